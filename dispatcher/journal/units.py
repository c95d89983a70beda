"""Units of work, and the one connection that a thread runs them over."""

from __future__ import annotations

import asyncio
import sqlite3
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, Generic, TypeVar

from sqlalchemy import Connection
from sqlalchemy.exc import DBAPIError

from dispatcher.journal.prepared import SqliteConnection, SqliteEngine
from dispatcher.model.errors import JournalBroken, JournalBusy, JournalDamaged, JournalFull

T = TypeVar("T")
Unit = Callable[[Connection], T]


@dataclass(slots=True)
class Job(Generic[T]):
    """A unit of work, who waits for it, and what came of it."""

    unit: Unit[T]
    future: asyncio.Future[T]
    result: T | None = None
    error: BaseException | None = None

    def run(self, connection: Connection) -> None:
        """Note what the unit answers, or what it raises."""
        try:
            self.result = self.unit(connection)
        except Exception as error:  # noqa: BLE001 - whoever waits for it is told
            self.error = error


class Door:
    """One connection, opened when it is first needed and kept: to open one takes longer than most units of work."""

    def __init__(self, engine: SqliteEngine) -> None:
        """Each thread has its own."""
        self._engine = engine
        self._connection: SqliteConnection | None = None

    @contextmanager
    def transaction(self, begin: str) -> Iterator[SqliteConnection]:
        """A transaction that ``begin`` begins; whatever is raised in it undoes it. Raises SQLAlchemy's errors."""
        if self._connection is None:
            self._connection = self._engine.connect()
        connection = self._connection
        connection.tell(begin)
        try:
            yield connection
            connection.tell("COMMIT")
        finally:
            connection.leave()

    def close(self) -> None:
        """What is open is undone."""
        if self._connection is not None:
            self._connection.close()
            self._connection = None


def watched(work: Callable[[], None], died: Callable[[JournalBroken], object]) -> Callable[[], None]:
    """``work`` for a thread; ``died`` is told when a mistake ends it, for whoever asks it then would wait for ever."""

    def run() -> None:
        """Work to the end, or say that it was none."""
        whole = False
        try:
            work()
            whole = True
        finally:
            if not whole:
                died(JournalBroken(f"the thread {threading.current_thread().name} ended of a mistake"))

    return run


def settle(jobs: Sequence[Job[Any]]) -> None:
    """Tell those who still wait."""
    for job in jobs:
        if job.future.done():
            continue
        if job.error is not None:
            job.future.set_exception(job.error)
        else:
            job.future.set_result(job.result)


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
