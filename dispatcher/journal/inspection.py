"""Whether the journal's file is whole: looked at before the start, then every hour, on a thread and a connection of its own.

SQLite finds what is wrong in the structure of its file. It keeps no checksums: a letter that changed inside a text is not seen.
"""

from __future__ import annotations

import asyncio
import sqlite3
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing, suppress
from pathlib import Path

from dispatcher.journal.units import translated
from dispatcher.model.errors import JournalBusy, JournalDamaged, JournalError
from dispatcher.telemetry import logger

log = logger("journal")

START_SECONDS = 1.0  # a start waits no longer for its first look; that is enough for some 200 MB
EVERY_SECONDS = 3600.0
# Ten times as quick as the whole check, for it does not compare indexes with their tables (sqlite.org/pragma.html).
QUICK, WHOLE = "quick_check(1)", "integrity_check(1)"
REMEDY = "stop the daemon, then restore a backup: `dispatcher journal restore FILE`"


class Inspection:
    """Remembers what was found; a mark beside the file makes the next start look at all of it, however long that takes."""

    def __init__(self, path: Path, *, patience: float = START_SECONDS, every: float = EVERY_SECONDS) -> None:
        """``path`` is the journal's; a start waits ``patience`` seconds at most, then ``every`` so many it is looked at again."""
        self._path, self._mark = path, mark(path)
        self._patience, self._every, self._pause = patience, every, every
        self._pool = ThreadPoolExecutor(1, thread_name_prefix="journal-inspection")
        self._connection: sqlite3.Connection | None = None
        self._flaw = ""

    @property
    def trouble(self) -> str:
        """What is wrong with the file, in words; empty where nothing is known to be."""
        return f"{self._path}: the journal is damaged: {self._flaw} ({REMEDY})" if self._flaw else ""

    def admit(self) -> None:
        """Raise `JournalBusy` where nothing new may be written on top of the damage."""
        if self._flaw:
            raise JournalBusy("the journal is damaged")

    def begin(self) -> None:
        """Look before anything is written; raises `JournalDamaged`, and `JournalBroken` where the file cannot be read.

        A look that takes longer goes on while the daemon works, and `run` then begins at once.
        """
        if not self._path.exists():
            return
        self._roll_back()
        known = self._mark.exists()
        looking = self._pool.submit(self._look, WHOLE if known else QUICK)
        try:
            looking.result(None if known else self._patience)
        except TimeoutError:
            self._pause = 0.0
            return
        if self._flaw:
            raise JournalDamaged(self.trouble)
        with suppress(OSError):
            self._mark.unlink(missing_ok=True)

    async def run(self) -> None:
        """Look at all of it every hour, until damage is found or it is cancelled; raises `JournalBroken` where it cannot."""
        loop = asyncio.get_running_loop()
        while not self._flaw:
            await asyncio.sleep(self._pause)
            self._pause = self._every
            await loop.run_in_executor(self._pool, self._look, WHOLE)

    def note(self, error: JournalError) -> None:
        """Remember damage, whoever ran into it; any other error is none."""
        if self._flaw or not isinstance(error, JournalDamaged):
            return
        self._flaw = str(error)
        with suppress(OSError):
            self._mark.write_text(f"{error}\n")
        log.critical("journal_damaged", path=str(self._path), found=self._flaw, remedy=REMEDY)

    def close(self) -> None:
        """Cut a look off that is under way."""
        if self._connection is not None:
            with suppress(sqlite3.ProgrammingError):  # closed already
                self._connection.interrupt()
        self._pool.shutdown(wait=True, cancel_futures=True)

    def _roll_back(self) -> None:
        """What a kill left half done while the file was being made is undone first: who only reads cannot do it."""
        if self._path.with_name(f"{self._path.name}-journal").exists():
            with (
                suppress(sqlite3.Error),
                closing(sqlite3.connect(self._path)) as connection,
            ):  # the look says what is wrong
                connection.execute("SELECT count(*) FROM sqlite_schema").fetchone()

    def _look(self, check: str) -> None:
        """Note what ``check`` finds first; raises `JournalBroken` where the file cannot be read."""
        try:
            found = flaw(self._open(), check)
        except sqlite3.OperationalError as error:
            if error.sqlite_errorcode == sqlite3.SQLITE_INTERRUPT:
                return
            raise translated(error) from error
        if found:
            self.note(JournalDamaged(found))

    def _open(self) -> sqlite3.Connection:
        self._connection = sqlite3.connect(f"file:{self._path}?mode=ro", uri=True, check_same_thread=False)
        return self._connection


def mark(path: Path) -> Path:
    """The file that says of the journal at ``path`` that damage was found."""
    return path.with_name(f"{path.name}.damaged")


def flaw(connection: sqlite3.Connection, check: str = WHOLE) -> str:
    """What ``check`` finds first in the database, empty where it is whole; closes the connection."""
    with closing(connection):
        try:
            (found,) = connection.execute(f"PRAGMA {check}").fetchone()
        except sqlite3.DatabaseError as error:
            if not isinstance(translated(error), JournalDamaged):
                raise
            found = str(error)
    return "" if found == "ok" else " ".join(found.split())[:200]
