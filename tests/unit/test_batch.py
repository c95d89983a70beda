"""Results are written together, one batch under way at a time, and each caller hears what became of its own."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from functools import partial
from pathlib import Path

import pytest
from house import NOW, alert, delivery, full, roomy

from dispatcher.journal import queries, store
from dispatcher.journal.base import SqliteJournal, open_journal
from dispatcher.journal.batch import StepBatch
from dispatcher.journal.steps import Step
from dispatcher.model.delivery import Attempt, Delivery, DeliveryState, Result
from dispatcher.model.errors import JournalBroken
from dispatcher.testing import FakeClock

NAMES = [f"c{number:02}" for number in range(20)]
S = DeliveryState


@pytest.fixture
async def journal(tmp_path: Path) -> AsyncIterator[SqliteJournal]:
    """A journal with twenty deliveries under way."""
    async with open_journal(tmp_path / "journal.sqlite", inline=True) as found:
        sent = alert(*NAMES, state=S.SENDING)
        await found.write(partial(store.write_alert, alert=sent, released_at=NOW))
        await found.write(partial(store.write_rows, alert=sent, planned=sent.plan, released_at=NOW))
        yield found


def accepted(name: str, detail: str = "", **changes: int) -> Step:
    """The step of an accepted first attempt on a channel."""
    before = delivery(channel=name, **changes)
    after = before.move(S.ACCEPTED, provider_id=f"id-{name}", detail=detail)
    attempt = Attempt(delivery=after.id, number=before.attempts, started_at=NOW, ended_at=NOW, result=Result.ACCEPTED)
    return Step(after, (S.ACCEPTED,), S.SENDING, attempt)


async def found_in(journal: SqliteJournal) -> list[Delivery]:
    """All deliveries that are accepted."""
    return await journal.read(partial(queries.deliveries, state=S.ACCEPTED))


async def test_steps_are_written_together(journal: SqliteJournal) -> None:
    """Steps that come together are on disk together when their writers go on, each delivery with its own result."""
    batch = StepBatch(journal, FakeClock())
    async with asyncio.timeout(5):
        assert await asyncio.gather(*(batch.write(accepted(name)) for name in NAMES)) == [True] * 20
    assert {(d.channel, d.provider_id) for d in await found_in(journal)} == {(name, f"id-{name}") for name in NAMES}


async def test_what_comes_meanwhile_goes_next(journal: SqliteJournal) -> None:
    """A step that comes while a batch is being written is written after it and not forgotten."""
    batch = StepBatch(journal, FakeClock())
    first = asyncio.create_task(batch.write(accepted("c00")))
    await asyncio.sleep(0)
    async with asyncio.timeout(5):
        assert await batch.write(accepted("c01"))
        assert await first
        assert await batch.write(accepted("c02"))
    assert len(await found_in(journal)) == 3


async def test_a_stale_claim_is_told_to_its_own_writer(journal: SqliteJournal) -> None:
    """Only the step whose delivery moved on meanwhile is refused, and only its writer hears so."""
    batch = StepBatch(journal, FakeClock())
    steps = [accepted("c00"), accepted("c01", attempts=2), accepted("unknown"), accepted("c02")]
    assert await asyncio.gather(*map(batch.write, steps)) == [True, False, False, True]
    assert await batch.write(accepted("c00")) is False


async def test_one_bad_step_fails_alone(journal: SqliteJournal) -> None:
    """A step that no journal can hold fails for its own writer; its neighbours' are written."""
    batch = StepBatch(journal, FakeClock())
    steps = [accepted("c00"), accepted("c01", detail="\ud800"), accepted("c02")]
    answers = await asyncio.gather(*map(batch.write, steps), return_exceptions=True)
    assert [type(answer) for answer in answers] == [bool, UnicodeEncodeError, bool]
    assert {found.channel for found in await found_in(journal)} == {"c00", "c02"}


async def test_who_stops_waiting_takes_nothing_with_them(journal: SqliteJournal) -> None:
    """A step whose writer was cancelled is written all the same."""
    batch = StepBatch(journal, FakeClock())
    gone = asyncio.create_task(batch.write(accepted("c00")))
    await asyncio.sleep(0)
    gone.cancel()
    async with asyncio.timeout(5):
        assert await batch.write(accepted("c01"))
    assert len(await found_in(journal)) == 2


async def test_a_full_disk_is_waited_for(journal: SqliteJournal) -> None:
    """While the disk is full the writer waits; with room again its step is written, once."""
    batch = StepBatch(journal, FakeClock())
    await journal.write(full)
    waiting = asyncio.create_task(batch.write(accepted("c00", detail="x" * 100_000)))
    await asyncio.sleep(0.05)
    assert not waiting.done()
    assert await found_in(journal) == []
    await journal.write(roomy)
    assert await waiting
    assert len(await found_in(journal)) == 1


async def test_a_broken_journal_is_told_to_everyone_who_waits(journal: SqliteJournal) -> None:
    """Where the journal breaks every writer hears it, and none waits for ever."""
    batch = StepBatch(journal, FakeClock())
    await journal.write(lambda connection: connection.exec_driver_sql("DROP TABLE attempts").close())
    answers = asyncio.gather(*(batch.write(accepted(name)) for name in NAMES[:3]), return_exceptions=True)
    assert [type(answer) for answer in await answers] == [JournalBroken] * 3
