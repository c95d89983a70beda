"""A log that cannot be copied into the journal's file has an end, and shrinks by itself."""

from __future__ import annotations

import asyncio
import os
import sqlite3
from contextlib import closing
from pathlib import Path

from damage import letter, whole_journal
from house import until

from dispatcher.journal.base import LOG_KEPT, open_journal
from dispatcher.journal.disk import MOST_LOG, MUCH_LOG, Disk
from dispatcher.journal.store import record_letter


def test_it_is_told_before_it_is_full(tmp_path: Path) -> None:
    """Nothing is said of a log of ordinary length; from 80 % on there is a warning, at the end nothing new comes in."""
    disk, log = Disk(tmp_path / "journal.sqlite"), tmp_path / "journal.sqlite-wal"
    disk.keep_room()
    for length, words, full in (
        (MUCH_LOG - 1, "", False), (MUCH_LOG, "at 256 MB no new event", False), (MOST_LOG, "are not taken in", True),
    ):  # fmt: skip
        log.touch()
        os.truncate(log, length)
        disk.measure()
        assert (words in disk.trouble, bool(disk.trouble), disk.full) == (True, bool(words), full)
    disk.close()


async def test_it_shrinks_when_nobody_writes(tmp_path: Path) -> None:
    """When the reader that kept it from being copied has gone, it is copied and cut without any event."""
    path = whole_journal(tmp_path / "journal.sqlite")
    log = path.with_name("journal.sqlite-wal")
    async with open_journal(path) as journal:
        with closing(sqlite3.connect(f"file:{path}?mode=ro", uri=True, isolation_level=None)) as reader:
            reader.execute("BEGIN")
            reader.execute("SELECT count(*) FROM facts").fetchone()
            await journal.write(lambda connection: record_letter(connection, letter("x" * 6 * 2**20)))
            os.truncate(log, MOST_LOG)  # what lies behind its end does not concern SQLite
            tending = asyncio.create_task(journal.tend())
            await until(lambda: not journal.takes_in)
        await until(lambda: journal.takes_in)
        tending.cancel()
        assert log.stat().st_size <= LOG_KEPT
