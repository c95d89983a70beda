"""Who has signed up for push messages: kept over restarts, asked by region, forgotten on request."""

from __future__ import annotations

from pathlib import Path

from house import Sluice

from dispatcher.channels._subscribers import Subscription
from dispatcher.journal import queries
from dispatcher.journal.base import open_journal
from dispatcher.model.channel import ChannelId
from dispatcher.subscribers import JournalSubscribers
from dispatcher.testing import FakeClock

HERE, ELSEWHERE = ChannelId("browsers"), ChannelId("other")


def one(name: str, auth: bytes = b"a") -> Subscription:
    """A browser."""
    return Subscription(f"https://push.example/{name}", b"p", auth)


async def names(book: JournalSubscribers, *regions: str, channel: ChannelId = HERE) -> list[str]:
    """Who is sent something about ``regions``."""
    return [found.endpoint.rpartition("/")[2] for found in await book.of(channel, regions)]


async def test_who_signed_up_is_kept(tmp_path: Path) -> None:
    """A restart forgets nobody; each channel has its own list, and no fact tells of it."""
    for _ in range(2):
        async with open_journal(tmp_path / "journal.sqlite", inline=True) as journal:
            book = JournalSubscribers(journal, FakeClock())
            assert await book.add(HERE, one("anna"), [], most=2)
            assert await journal.read(lambda c: queries.facts_after(c, 0)) == []
    async with open_journal(tmp_path / "journal.sqlite", inline=True) as journal:
        book = JournalSubscribers(journal, FakeClock())
        assert await book.of(HERE, []) == [one("anna")]
        assert await names(book, channel=ELSEWHERE) == []


async def test_regions_decide_who_hears(tmp_path: Path) -> None:
    """Who chose regions hears of those, who chose none of all; what concerns no region goes to everybody."""
    async with open_journal(tmp_path / "journal.sqlite", inline=True) as journal:
        clock = FakeClock()
        book = JournalSubscribers(journal, clock)
        for name, regions in {"anna": ["leer"], "ben": ["emden", "aurich"], "cem": []}.items():
            await book.add(HERE, one(name), regions, most=9)
        assert await names(book, "leer") == ["anna", "cem"]
        assert await names(book, "aurich", "leer") == ["anna", "ben", "cem"]
        assert await names(book, "wittmund") == ["cem"]
        assert await names(book) == ["anna", "ben", "cem"]


async def test_signing_up_again_changes_what_one_wants(tmp_path: Path) -> None:
    """The same browser stands on the list once, with its newest keys and regions, even where the list is full."""
    async with open_journal(tmp_path / "journal.sqlite", inline=True) as journal:
        book = JournalSubscribers(journal, FakeClock())
        assert await book.add(HERE, one("anna"), ["leer"], most=1)
        assert await book.add(HERE, one("anna", b"new"), ["emden"], most=1)
        assert not await book.add(HERE, one("ben"), [], most=1)
        assert (await names(book, "leer"), await book.of(HERE, ["emden"])) == ([], [one("anna", b"new")])


async def test_who_leaves_is_forgotten(tmp_path: Path) -> None:
    """Those named are gone, on this channel alone."""
    async with open_journal(tmp_path / "journal.sqlite", inline=True) as journal:
        book = JournalSubscribers(journal, FakeClock())
        for channel in (HERE, ELSEWHERE):
            for name in ("anna", "ben"):
                await book.add(channel, one(name), [], most=9)
        await book.drop(HERE, [one("anna").endpoint, *(f"https://push.example/{n}" for n in range(1_200))])
        assert (await names(book), await names(book, channel=ELSEWHERE)) == (["ben"], ["anna", "ben"])


async def test_a_busy_journal_forgets_nobody_by_half(tmp_path: Path) -> None:
    """Where a departure cannot be written nothing fails: the browser stays on the list and is met again."""
    async with open_journal(tmp_path / "journal.sqlite", inline=True) as journal:
        sluice = Sluice(journal)
        book = JournalSubscribers(sluice, FakeClock())
        await book.add(HERE, one("anna"), [], most=9)
        sluice.refusals = 1
        await book.drop(HERE, [one("anna").endpoint])
        assert await names(book) == ["anna"]
        await book.drop(HERE, [one("anna").endpoint])
        assert await names(book) == []
