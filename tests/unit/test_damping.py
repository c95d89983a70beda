"""A flood of bad events: the duty team hears of it without drowning in it."""

from __future__ import annotations

from collections import Counter
from datetime import timedelta
from functools import partial
from pathlib import Path

import pytest
from unit.house import NOW, Road, deployment, playbook, road

from dispatcher.journal import queries
from dispatcher.model.errors import JournalBusy
from dispatcher.pager import Pager


async def _texts(found: Road) -> list[str]:
    await found.quiet()
    return [post.text.body for post in found.fakes["duty-team"].posts]


async def test_a_flood_is_paged_ten_times_and_then_in_one(tmp_path: Path) -> None:
    """Of a hundred unreadable messages ten are paged with their text; a minute later one page counts the other ninety."""
    async with road(tmp_path) as found:
        pager = Pager(found.pipeline, found.journal, found.clock)
        for n in range(100):
            assert (await found.receive(raw=f"garbage {n}".encode())).state == "unreadable"
        await pager.page()
        assert len(await _texts(found)) == 10
        found.push(timedelta(seconds=60))
        await pager.page()
        await pager.page()
        texts = await _texts(found)
        assert len(texts) == 11
        assert "90 more from control-room since 09:40:00 UTC" in texts[-1]
        letters = await found.journal.read(partial(queries.letters, limit=1000))
        assert len(letters) == 100


async def test_one_flood_hides_no_other_trouble(tmp_path: Path) -> None:
    """Sources and causes are counted apart, what waits for a release is always paged, and after a minute all begins anew."""
    async with road(tmp_path, deployment(playbook(release="one_person"))) as found:
        for n in range(20):
            await found.receive(raw=f"garbage {n}".encode())
            await found.receive("second", raw=f"garbage {n}".encode())
            await found.receive(id=f"odd-{n}", incident=f"odd-{n}", kind="unheard-of")
            await found.receive(id=f"amok-{n}", incident=f"amok-{n}")
        assert Counter(await found.pages()) == {"unreadable": 20, "nothing_matched": 10, "held": 20}
        found.push(timedelta(seconds=61))
        assert [key.split("/")[1] for _, key in found.pipeline.damper.summaries(found.clock.now())] == [
            "unreadable", "unreadable", "nothing_matched",
        ]  # fmt: skip
        await found.receive(raw=b"garbage again")
        assert Counter(await found.pages())["unreadable"] == 21


async def test_a_summary_that_could_not_be_written_is_told_later(tmp_path: Path) -> None:
    """A full disk keeps the count: the summary goes out when there is room again."""
    async with road(tmp_path) as found:
        pager = Pager(found.pipeline, found.journal, found.clock)
        for n in range(12):
            await found.receive(raw=f"garbage {n}".encode())
        found.push(timedelta(seconds=60))
        await found.quiet()
        await found.fill_disk()
        await pager.page()
        await found.empty_disk()
        await pager.page()
        assert "2 more from control-room" in (await _texts(found))[-1]


async def test_every_old_alarm_that_waits_is_paged(tmp_path: Path) -> None:
    """A backlog of old events is held for people, and each is paged: nobody releases what they never heard of."""
    async with road(tmp_path) as found:
        for n in range(20):
            await found.receive(id=f"old-{n}", incident=f"old-{n}", sent=(NOW - timedelta(hours=5)).isoformat())
        assert Counter(await found.pages()) == {"stale": 20}


async def test_what_is_tried_again_is_counted_once(tmp_path: Path) -> None:
    """A full disk refuses an unreadable message many times; when there is room again it is paged, as the first of its kind."""
    async with road(tmp_path) as found:
        await found.fill_disk()
        for _ in range(15):
            with pytest.raises(JournalBusy):
                await found.receive(raw=b"garbage" * 2_000)
        await found.empty_disk()
        await found.receive(raw=b"garbage" * 2_000)
        assert await found.pages() == ["unreadable"]
        found.push(timedelta(seconds=60))
        assert list(found.pipeline.damper.summaries(found.clock.now())) == []


async def test_what_is_kept_back_again_is_counted_once(tmp_path: Path) -> None:
    """The summary counts messages, not how often each was sent."""
    async with road(tmp_path) as found:
        for _ in range(3):
            for n in range(12):
                await found.receive(raw=f"garbage {n}".encode())
        found.push(timedelta(seconds=60))
        ((page, _),) = found.pipeline.damper.summaries(found.clock.now())
        assert page.lines[0].startswith("2 more from control-room")
