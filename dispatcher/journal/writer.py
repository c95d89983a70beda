"""The journal's one writer: units of work in, group commits out, one disk flush for all that waited together."""

from __future__ import annotations

import asyncio
import queue
import threading
import time
from collections.abc import Callable
from typing import Any, Protocol

from sqlalchemy import Connection, text
from sqlalchemy.exc import DataError, DBAPIError, IntegrityError, InterfaceError, ProgrammingError

from dispatcher.journal.prepared import SqliteEngine, prepared
from dispatcher.journal.units import Door, Job, T, Unit, settle, translated, watched
from dispatcher.model.errors import JournalBroken, JournalBusy, JournalFull
from dispatcher.telemetry import COMMIT, logger

GROUP_UNITS = 200
BREATH = 0.001  # seconds between two commits, in which more can come; what comes after a rest is written at once
# What a unit does wrong by itself; whatever else the database raises concerns everyone.
_OWN_FAULTS = (IntegrityError, DataError, ProgrammingError, InterfaceError)

# In words, for SQLAlchemy's own bookkeeping of nested transactions takes three times as long.
_SAVEPOINT = prepared(text("SAVEPOINT unit"))
_RELEASE, _UNDO = prepared(text("RELEASE SAVEPOINT unit")), prepared(text("ROLLBACK TO SAVEPOINT unit"))

log = logger("journal")


class Executor(Protocol):
    """Runs units of work in the order they came; the answer comes after the commit."""

    def submit(self, unit: Unit[T]) -> asyncio.Future[T]:
        """Queue ``unit``; the future ends after its commit, or with its own error, `JournalBusy` or `JournalBroken`."""

    @property
    def busy_for(self) -> float:
        """Seconds that what is being written has taken so far; 0 where nothing is."""

    def refuse(self, error: JournalBroken) -> None:
        """Begin no commit any more; whoever waits for one gets ``error``."""

    def close(self) -> None:
        """Finish what is queued and stop."""


def run_group(door: Door, jobs: list[Job[Any]]) -> None:
    """Run ``jobs`` in one transaction, each in its own savepoint; raises what the database itself fails of."""
    with door.transaction("BEGIN IMMEDIATE") as connection:
        for job in jobs:
            _run(connection, job)


def _run(connection: Connection, job: Job[Any]) -> None:
    """A unit's own error undoes that unit alone."""
    connection.execute(_SAVEPOINT)
    job.run(connection)
    if isinstance(job.error, DBAPIError) and not isinstance(job.error, _OWN_FAULTS):
        raise job.error  # no savepoint to undo: on a full disk SQLite has undone the whole transaction already
    connection.execute(_UNDO if job.error else _RELEASE)


class InlineExecutor:
    """Runs each unit at once on the caller's thread: for simulation and tests on a virtual clock."""

    def __init__(self, engine: SqliteEngine, on_commit: Callable[[], None] = lambda: None) -> None:
        """``on_commit`` is called after every commit."""
        self._door, self._on_commit = Door(engine), on_commit
        self._broken: JournalBroken | None = None

    def submit(self, unit: Unit[T]) -> asyncio.Future[T]:
        """Run ``unit`` now."""
        job: Job[T] = Job(unit, asyncio.get_running_loop().create_future())
        try:
            if self._broken is not None:
                raise self._broken
            run_group(self._door, [job])
        except DBAPIError as error:
            job.error = translated(error)
        except JournalBroken as error:
            job.error = error
        settle([job])
        self._on_commit()
        return job.future

    @property
    def busy_for(self) -> float:
        """Who asks is not writing."""
        return 0.0

    def refuse(self, error: JournalBroken) -> None:
        """Begin no commit any more."""
        self._broken = error

    def close(self) -> None:
        """Nothing waits."""
        self._door.close()


class ThreadExecutor:
    """One thread that owns the only writing connection; whatever waits is committed together."""

    def __init__(
        self, engine: SqliteEngine, loop: asyncio.AbstractEventLoop,
        on_commit: Callable[[], None] = lambda: None, on_broken: Callable[[JournalBroken], None] = lambda _: None,
        on_full: Callable[[], None] = lambda: None,
    ) -> None:  # fmt: skip
        """``on_commit`` and ``on_broken`` are called on the event loop's thread, ``on_full`` on the writer's own."""
        self._door, self._loop = Door(engine), loop
        self._on_commit, self._on_broken, self._on_full = on_commit, on_broken, on_full
        self._broken: JournalBroken | None = None
        self._since: float | None = None
        self._queue: queue.SimpleQueue[Job[Any] | None] = queue.SimpleQueue()
        self._thread = threading.Thread(target=watched(self._run, self._break), name="journal-writer", daemon=True)
        self._thread.start()

    def submit(self, unit: Unit[T]) -> asyncio.Future[T]:
        """Queue ``unit``."""
        job: Job[T] = Job(unit, self._loop.create_future())
        self._queue.put(job)
        return job.future

    @property
    def busy_for(self) -> float:
        """How long the commit under way has taken so far."""
        since = self._since
        return 0.0 if since is None else time.perf_counter() - since

    def refuse(self, error: JournalBroken) -> None:
        """Begin no commit any more."""
        self._broken = error

    def close(self) -> None:
        """Finish what is queued, then end the thread."""
        self._queue.put(None)
        self._thread.join(timeout=10)

    def _run(self) -> None:
        rested = 0.0
        while (job := self._queue.get()) is not None:
            if (left := rested - time.monotonic()) > 0:
                time.sleep(left)
            jobs, last = self._gather(job)
            self._commit(jobs)
            if last:
                break
            rested = time.monotonic() + BREATH
        self._door.close()

    def _gather(self, first: Job[Any]) -> tuple[list[Job[Any]], bool]:
        """``first`` and whatever else waits, without waiting for more."""
        jobs = [first]
        while len(jobs) < GROUP_UNITS:
            try:
                job = self._queue.get_nowait()
            except queue.Empty:
                break
            if job is None:
                return jobs, True
            jobs.append(job)
        return jobs, False

    def _commit(self, jobs: list[Job[Any]]) -> None:
        """Nothing is written after the journal broke: a flush that works again does not bring back what the last one lost."""
        self._since = started = time.perf_counter()
        broken = self._broken
        try:
            if broken is None:
                run_group(self._door, jobs)
        except DBAPIError as error:
            self._fail(jobs, translated(error))
        else:
            _give_up(jobs, broken)
        self._since = None
        COMMIT.observe(time.perf_counter() - started)
        self._loop.call_soon_threadsafe(self._done, jobs)

    def _fail(self, jobs: list[Job[Any]], error: JournalBusy | JournalBroken) -> None:
        log.error("commit_failed", error=str(error), units=len(jobs))
        _give_up(jobs, error)
        if isinstance(error, JournalFull):
            self._on_full()
        if isinstance(error, JournalBroken):
            self._break(error)

    def _break(self, error: JournalBroken) -> None:
        self._broken = error
        self._loop.call_soon_threadsafe(self._on_broken, error)

    def _done(self, jobs: list[Job[Any]]) -> None:
        settle(jobs)
        self._on_commit()


def _give_up(jobs: list[Job[Any]], error: JournalBusy | JournalBroken | None) -> None:
    for job in jobs:
        job.error = error or job.error
