"""The journal's one writer: units of work in, group commits out, one disk flush for all that waited together."""

from __future__ import annotations

import asyncio
import queue
import sqlite3
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Generic, Protocol, TypeVar

from sqlalchemy import Connection, Engine, text
from sqlalchemy.exc import DataError, DBAPIError, IntegrityError, InterfaceError, ProgrammingError

from dispatcher.journal.prepared import prepared
from dispatcher.model.errors import JournalBroken, JournalBusy, JournalDamaged, JournalFull
from dispatcher.telemetry import COMMIT, logger

T = TypeVar("T")
Unit = Callable[[Connection], T]

GROUP_UNITS = 200
GROUP_SECONDS = 0.005
# What a unit does wrong by itself; whatever else the database raises concerns everyone.
_OWN_FAULTS = (IntegrityError, DataError, ProgrammingError, InterfaceError)

# In words, for SQLAlchemy's own bookkeeping of nested transactions takes three times as long.
_SAVEPOINT = prepared(text("SAVEPOINT unit"))
_RELEASE, _UNDO = prepared(text("RELEASE SAVEPOINT unit")), prepared(text("ROLLBACK TO SAVEPOINT unit"))

log = logger("journal")


@dataclass(slots=True)
class _Job(Generic[T]):
    unit: Unit[T]
    future: asyncio.Future[T]
    result: T | None = None
    error: BaseException | None = None


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


def run_group(engine: Engine, jobs: list[_Job[Any]]) -> None:
    """Run ``jobs`` in one transaction, each in its own savepoint; raises what the database itself fails of."""
    with engine.connect() as connection, connection.begin():
        for job in jobs:
            _run(connection, job)


def _run(connection: Connection, job: _Job[Any]) -> None:
    """A unit's own error undoes that unit alone."""
    connection.execute(_SAVEPOINT)
    try:
        job.result = job.unit(connection)
    except Exception as error:
        if isinstance(error, DBAPIError) and not isinstance(error, _OWN_FAULTS):
            raise  # no savepoint to undo: on a full disk SQLite has undone the whole transaction already
        connection.execute(_UNDO)
        job.error = error
    else:
        connection.execute(_RELEASE)


def translated(error: DBAPIError | sqlite3.Error) -> JournalBusy | JournalBroken:
    """Full or busy can pass by itself; after any other I/O error nobody knows what is on disk."""
    text = str(error.orig if isinstance(error, DBAPIError) else error)
    if "full" in text:
        return JournalFull(text)
    if "locked" in text or "busy" in text:
        return JournalBusy(text)
    if "malformed" in text or "not a database" in text:
        return JournalDamaged(text)
    return JournalBroken(text)


class InlineExecutor:
    """Runs each unit at once on the caller's thread: for simulation and tests on a virtual clock."""

    def __init__(self, engine: Engine, on_commit: Callable[[], None] = lambda: None) -> None:
        """``on_commit`` is called after every commit."""
        self._engine, self._on_commit = engine, on_commit
        self._broken: JournalBroken | None = None

    def submit(self, unit: Unit[T]) -> asyncio.Future[T]:
        """Run ``unit`` now."""
        job: _Job[T] = _Job(unit, asyncio.get_running_loop().create_future())
        try:
            if self._broken is not None:
                raise self._broken
            run_group(self._engine, [job])
        except DBAPIError as error:
            job.error = translated(error)
        except JournalBroken as error:
            job.error = error
        _settle([job])
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


class ThreadExecutor:
    """One thread that owns the only writing connection; whatever waits is committed together."""

    def __init__(
        self, engine: Engine, loop: asyncio.AbstractEventLoop,
        on_commit: Callable[[], None] = lambda: None, on_broken: Callable[[JournalBroken], None] = lambda _: None,
        on_full: Callable[[], None] = lambda: None,
    ) -> None:  # fmt: skip
        """``on_commit`` and ``on_broken`` are called on the event loop's thread, ``on_full`` on the writer's own."""
        self._engine, self._loop = engine, loop
        self._on_commit, self._on_broken, self._on_full = on_commit, on_broken, on_full
        self._broken: JournalBroken | None = None
        self._since: float | None = None
        self._queue: queue.SimpleQueue[_Job[Any] | None] = queue.SimpleQueue()
        self._thread = threading.Thread(target=self._run, name="journal-writer", daemon=True)
        self._thread.start()

    def submit(self, unit: Unit[T]) -> asyncio.Future[T]:
        """Queue ``unit``."""
        job: _Job[T] = _Job(unit, self._loop.create_future())
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
        while (job := self._queue.get()) is not None:
            jobs, last = self._gather(job)
            self._commit(jobs)
            if last:
                return

    def _gather(self, first: _Job[Any]) -> tuple[list[_Job[Any]], bool]:
        """``first`` and whatever else waits, without waiting for more."""
        jobs, limit = [first], time.monotonic() + GROUP_SECONDS
        while len(jobs) < GROUP_UNITS and time.monotonic() < limit:
            try:
                job = self._queue.get_nowait()
            except queue.Empty:
                break
            if job is None:
                return jobs, True
            jobs.append(job)
        return jobs, False

    def _commit(self, jobs: list[_Job[Any]]) -> None:
        """Nothing is written after the journal broke: a flush that works again does not bring back what the last one lost."""
        self._since = started = time.perf_counter()
        broken = self._broken
        try:
            if broken is None:
                run_group(self._engine, jobs)
        except DBAPIError as error:
            self._fail(jobs, translated(error))
        else:
            _give_up(jobs, broken)
        self._since = None
        COMMIT.observe(time.perf_counter() - started)
        self._loop.call_soon_threadsafe(self._done, jobs)

    def _fail(self, jobs: list[_Job[Any]], error: JournalBusy | JournalBroken) -> None:
        log.error("commit_failed", error=str(error), units=len(jobs))
        _give_up(jobs, error)
        if isinstance(error, JournalFull):
            self._on_full()
        if isinstance(error, JournalBroken):
            self._broken = error
            self._loop.call_soon_threadsafe(self._on_broken, error)

    def _done(self, jobs: list[_Job[Any]]) -> None:
        _settle(jobs)
        self._on_commit()


def _give_up(jobs: list[_Job[Any]], error: JournalBusy | JournalBroken | None) -> None:
    for job in jobs:
        job.error = error or job.error


def _settle(jobs: list[_Job[Any]]) -> None:
    for job in jobs:
        if job.future.done():
            continue
        if job.error is not None:
            job.future.set_exception(job.error)
        else:
            job.future.set_result(job.result)
