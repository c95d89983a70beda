"""The journal's readers: each question is a transaction of its own, off the event loop, that sees all that is committed."""

from __future__ import annotations

import asyncio
import queue
import threading
from collections.abc import Callable
from typing import Any, Protocol

from sqlalchemy.exc import DBAPIError

from dispatcher.journal.prepared import SqliteEngine
from dispatcher.journal.units import Door, Job, T, Unit, settle, translated, watched
from dispatcher.model.errors import JournalBroken, JournalError

THREADS = 2  # so that one long question does not hold up every other


class Readers(Protocol):
    """Answer questions about what is committed."""

    def submit(self, unit: Unit[T]) -> asyncio.Future[T]:
        """Ask ``unit``; the future ends with its answer, its own error, `JournalBusy` or `JournalBroken`."""

    def close(self) -> None:
        """Answer what was asked and stop."""


def _ask(door: Door, job: Job[Any], on_error: Callable[[JournalError], None]) -> None:
    try:
        with door.transaction("BEGIN") as connection:
            job.run(connection)
    except DBAPIError as error:
        job.error = error
    if isinstance(job.error, DBAPIError):
        job.error = found = translated(job.error)
        on_error(found)


class InlineReaders:
    """Answer in the next turn on the caller's thread: for simulation and tests on a virtual clock."""

    def __init__(self, engine: SqliteEngine, on_error: Callable[[JournalError], None] = lambda _: None) -> None:
        """``on_error`` is told what the database fails of."""
        self._door, self._on_error = Door(engine), on_error

    def submit(self, unit: Unit[T]) -> asyncio.Future[T]:
        """Ask ``unit`` now; nobody who asks goes on without others having had a turn."""
        loop = asyncio.get_running_loop()
        job: Job[T] = Job(unit, loop.create_future())
        _ask(self._door, job, self._on_error)
        loop.call_soon(settle, [job])
        return job.future

    def close(self) -> None:
        """Nothing waits."""
        self._door.close()


class ThreadReaders:
    """Threads with a connection each; whoever is free takes the next question."""

    def __init__(
        self, engine: SqliteEngine, loop: asyncio.AbstractEventLoop,
        on_error: Callable[[JournalError], None] = lambda _: None, on_broken: Callable[[JournalBroken], None] = lambda _: None,
    ) -> None:  # fmt: skip
        """``on_error`` is told on the reader's thread what the database fails of, ``on_broken`` on the loop's that one died."""
        self._engine, self._loop, self._on_error = engine, loop, on_error
        self._queue: queue.SimpleQueue[Job[Any] | None] = queue.SimpleQueue()
        names = [f"journal-reader-{number}" for number in range(THREADS)]
        work = watched(self._run, lambda error: loop.call_soon_threadsafe(on_broken, error))
        self._threads = [threading.Thread(target=work, name=name, daemon=True) for name in names]
        for thread in self._threads:
            thread.start()

    def submit(self, unit: Unit[T]) -> asyncio.Future[T]:
        """Queue ``unit``."""
        job: Job[T] = Job(unit, self._loop.create_future())
        self._queue.put(job)
        return job.future

    def close(self) -> None:
        """Answer what is queued, then end the threads."""
        for _ in self._threads:
            self._queue.put(None)
        for thread in self._threads:
            thread.join(timeout=10)

    def _run(self) -> None:
        door = Door(self._engine)
        while (job := self._queue.get()) is not None:
            _ask(door, job, self._on_error)
            self._loop.call_soon_threadsafe(settle, [job])
        door.close()
