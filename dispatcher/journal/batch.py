"""Results come in by the hundred; they are written together, one unit under way at a time."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterable, Sequence
from datetime import datetime
from functools import partial

from dispatcher.clock import Clock
from dispatcher.journal.base import BUSY_PAUSE, Journal
from dispatcher.journal.moves import Called
from dispatcher.journal.steps import Step, Written, record_steps
from dispatcher.model.errors import JournalBusy
from dispatcher.telemetry import logger

log = logger("journal")


class StepBatch:
    """Collects steps while the last batch is being written, then writes them as one unit."""

    def __init__(self, journal: Journal, clock: Clock) -> None:
        """``clock`` stamps each batch."""
        self._journal, self._clock = journal, clock
        self.called: Callable[[Sequence[Called]], None] = lambda _: None  # told of standbys that are ours to send now
        self._waiting: list[tuple[Step, asyncio.Future[bool]]] = []
        self._task: asyncio.Task[None] | None = None

    async def write(self, step: Step) -> bool:
        """Journal ``step``; False where its claim did not hold any more. Ends after the commit, however long it takes."""
        return await asyncio.shield(self._add(step))

    async def write_all(self, steps: Iterable[Step]) -> None:
        """Journal ``steps``, however many, without a task for each."""
        await asyncio.shield(asyncio.gather(*(self._add(step) for step in steps)))

    def _add(self, step: Step) -> asyncio.Future[bool]:
        future: asyncio.Future[bool] = asyncio.get_running_loop().create_future()
        self._waiting.append((step, future))
        if self._task is None:
            self._task = asyncio.create_task(self._flush())
        return future

    async def _flush(self) -> None:
        try:
            while self._waiting:
                batch, self._waiting = self._waiting, []
                await self._write(batch)
        finally:
            self._task = None

    async def _write(self, batch: list[tuple[Step, asyncio.Future[bool]]]) -> None:
        """One unit for all; where it fails, each on its own, so that one bad step fails nobody else."""
        writing = self._until_written([step for step, _ in batch], self._clock.now())
        (written,) = await asyncio.gather(writing, return_exceptions=True)
        if isinstance(written, BaseException) and len(batch) > 1:
            for one in batch:
                await self._write([one])
            return
        for step, future in batch:
            if isinstance(written, BaseException):
                future.set_exception(written)
            else:
                future.set_result(step.delivery.id in written.held)
        if not isinstance(written, BaseException):
            self.called(written.called)

    async def _until_written(self, steps: list[Step], at: datetime) -> Written:
        while True:
            try:
                return await self._journal.write(partial(record_steps, steps=steps, at=at))
            except JournalBusy as error:
                log.warning("journal_busy", error=str(error), waiting=len(steps))
                await asyncio.sleep(BUSY_PAUSE)
