"""The journal's settings, contract and door: units of work are plain functions over a `Connection`."""

from __future__ import annotations

import asyncio
import fcntl
import os
import sqlite3
from collections.abc import AsyncIterator, Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import asynccontextmanager, suppress
from functools import partial
from pathlib import Path
from typing import Protocol

from sqlalchemy import Connection, Engine, create_engine, event
from sqlalchemy.exc import DBAPIError

from dispatcher.journal.disk import Disk
from dispatcher.journal.guard import Guard
from dispatcher.journal.inspection import Inspection
from dispatcher.journal.prepared import SqliteConnection, SqliteEngine
from dispatcher.journal.reader import InlineReaders, Readers, ThreadReaders
from dispatcher.journal.units import T, Unit, translated
from dispatcher.journal.writer import Executor, InlineExecutor, ThreadExecutor
from dispatcher.model.errors import JournalBroken, JournalBusy, JournalLocked
from dispatcher.model.playbook import Strict
from dispatcher.telemetry import logger

log = logger("journal")

BUSY_PAUSE = 0.5  # seconds until what a busy journal refused is tried again
TEND_SECONDS = 1.0
# Before it, two connections that write or checkpoint at once may damage the file (sqlite.org/wal.html#walresetbug). Ours is
# the only one: the lock keeps other daemons out, and everything else opens the file with mode=ro.
WAL_RESET_FIXED = (3, 51, 3)
LOG_KEPT = 16 * 2**20  # bytes; a log that was longer once is cut when all of it is in the file
STALL_SECONDS = 0.5  # a commit that takes longer waits for a disk that hangs


class JournalSettings(Strict):
    """Where the journal lies: one SQLite file on a local disk."""

    path: Path = Path("dispatcher.sqlite")


class Journal(Protocol):
    """What the road needs of a journal."""

    def write(self, unit: Unit[T]) -> asyncio.Future[T]:
        """Run ``unit`` in the writer's next transaction; the answer comes after the commit."""

    async def read(self, unit: Unit[T]) -> T:
        """Run ``unit`` on a reading connection; it sees everything committed before."""


class SqliteJournal:
    """SQLite in WAL mode with synchronous=FULL: one writer, readers in ``mode=ro``."""

    def __init__(self, writer: Executor, readers: Readers, disk: Disk, guard: Guard, inspection: Inspection) -> None:
        """Use `open_journal` to make one."""
        self._writer, self._readers, self._disk, self._guard = writer, readers, disk, guard
        self._inspection = inspection
        self._pool = ThreadPoolExecutor(1, thread_name_prefix="journal-tender")

    def write(self, unit: Unit[T]) -> asyncio.Future[T]:
        """Run ``unit`` in the writer's next transaction."""
        return self._writer.submit(unit)

    async def read(self, unit: Unit[T]) -> T:
        """Run ``unit`` on a reading connection, off the event loop; raises `JournalBusy` or `JournalBroken`."""
        return await self._readers.submit(unit)

    @property
    def trouble(self) -> str:
        """What is wrong with its file or with the room on its disk, in words; empty where nothing is."""
        return self._inspection.trouble or self._disk.trouble

    @property
    def damage(self) -> str:
        """That its file is malformed, in words; empty where nobody knows of it."""
        return self._inspection.trouble

    @property
    def hangs(self) -> str:
        """That its disk does not answer, in words; empty where it does."""
        return "a commit does not end: the disk hangs" if self._writer.busy_for > STALL_SECONDS else ""

    @property
    def takes_in(self) -> bool:
        """Whether what is new can be written now."""
        return not (self._disk.full or self.damage or self.hangs)

    def admit(self) -> None:
        """Raise `JournalBusy` where only what is under way may still be written."""
        self._inspection.admit()
        self._disk.admit()

    async def inspect(self) -> None:
        """Look every hour whether the file is whole, until cancelled; raises `JournalBroken` where it cannot be read."""
        await self._inspection.run()

    async def tend(self) -> None:
        """Look after disk and files each second, until cancelled; raises `JournalBroken` where a file was taken away."""
        run = partial(asyncio.get_running_loop().run_in_executor, self._pool)
        while (gone := await run(self._guard.missing)) is None:
            await run(self._disk.keep_room)
            await run(self._disk.measure)
            if self._disk.crowded:
                with suppress(JournalBusy):
                    await self._writer.submit(_touch)
            await asyncio.sleep(TEND_SECONDS)
        self._writer.refuse(gone)
        with suppress(JournalBroken):  # what is being written now is the last
            await self._writer.submit(lambda _: None)
        await run(self._guard.rescue)
        raise gone

    def close(self) -> None:
        """Readers first, the writer last, so that its close checkpoints the log."""
        self._inspection.close()
        self._pool.shutdown(wait=True)
        self._readers.close()
        self._guard.close()
        self._writer.close()
        self._disk.close()


def sqlite_engine(path: Path, *, readonly: bool = False) -> SqliteEngine:
    """An engine over ``path`` that begins immediately when it writes and never when it reads."""
    uri = f"sqlite:///file:{path}?mode={'ro' if readonly else 'rwc'}&uri=true"
    made = create_engine(uri, connect_args={"check_same_thread": False, "isolation_level": None, "timeout": 2})
    engine = SqliteEngine(made.pool, made.dialect, made.url)

    @event.listens_for(engine, "connect")
    def _pragmas(connection: object, _record: object) -> None:
        cursor = connection.cursor()  # type: ignore[attr-defined]
        if not readonly:
            cursor.execute("PRAGMA journal_mode=WAL")
            cursor.execute("PRAGMA synchronous=FULL")
            cursor.execute(f"PRAGMA journal_size_limit={LOG_KEPT}")
        cursor.close()

    @event.listens_for(engine, "begin")
    def _begin(connection: SqliteConnection) -> None:
        if not connection.driver.in_transaction:
            connection.tell("BEGIN" if readonly else "BEGIN IMMEDIATE")

    return engine


def lock_file(path: Path) -> int:
    """Take the lock beside ``path`` for the life of this process.

    Raises `JournalLocked` when another daemon has it, `JournalBroken` where there can be no journal.
    """
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        handle = os.open(path.with_name(path.name + ".lock"), os.O_RDWR | os.O_CREAT, 0o600)
    except OSError as error:
        raise JournalBroken(f"{path}: no journal can be here: {error.strerror}") from error
    try:
        fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        os.close(handle)
        remedy = "stop it, or give this one a journal.path of its own"
        raise JournalLocked(f"{path}: another daemon holds this journal ({remedy})") from None
    return handle


def _touch(connection: Connection) -> None:
    """Change something that nobody reads: only after a commit that did does SQLite try to copy its log."""
    version = connection.exec_driver_sql("PRAGMA user_version").scalar_one()
    connection.exec_driver_sql(f"PRAGMA user_version = {1 - version}")


def _prepare(engine: Engine, path: Path) -> None:
    from dispatcher.journal.schema import prepare  # noqa: PLC0415 - alembic only where the schema is not current

    try:
        prepare(engine)
    except DBAPIError as error:
        found = translated(error)
        raise type(found)(f"{path}: {found}") from error


@asynccontextmanager
async def open_journal(
    path: Path, *, inline: bool = False,
    on_commit: Callable[[], None] = lambda: None, on_broken: Callable[[JournalBroken], None] = lambda _: None,
) -> AsyncIterator[SqliteJournal]:  # fmt: skip
    """The journal at ``path``, created or migrated first. ``inline`` runs all on the caller's thread.

    Raises `JournalLocked`, and `JournalDamaged`, `JournalBroken` or `JournalBusy` where its file cannot be used.
    """
    old = sqlite3.sqlite_version_info < WAL_RESET_FIXED
    log.info("sqlite", version=sqlite3.sqlite_version, needs_single_writer=old)
    lock = lock_file(path)
    engine, reading = sqlite_engine(path), sqlite_engine(path, readonly=True)
    disk, inspection = Disk(path), Inspection(path)

    def broken(error: JournalBroken) -> None:
        """Remember it, and tell whoever has to end the process."""
        inspection.note(error)
        on_broken(error)

    try:
        inspection.begin()
        _prepare(engine, path)
        loop = asyncio.get_running_loop()
        writer: Executor = (
            InlineExecutor(engine, on_commit)
            if inline
            else ThreadExecutor(engine, loop, on_commit, broken, disk.give_way)
        )
        readers: Readers = (
            InlineReaders(reading, inspection.note) if inline else ThreadReaders(reading, loop, inspection.note, broken)
        )
        journal = SqliteJournal(writer, readers, disk, Guard(path), inspection)
        try:
            yield journal
        finally:
            await loop.run_in_executor(None, journal.close)
    finally:
        inspection.close()
        reading.dispose()
        engine.dispose()
        os.close(lock)
