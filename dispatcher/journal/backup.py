"""A copy of the journal while the daemon works, and the way back from one when the file is damaged."""

from __future__ import annotations

import os
import sqlite3
from contextlib import closing
from datetime import UTC, datetime
from pathlib import Path

from dispatcher.journal.base import lock_file
from dispatcher.journal.inspection import flaw, mark
from dispatcher.model.errors import JournalBroken, JournalDamaged


def backup(journal: Path, copy: Path) -> None:
    """Write all that is committed in ``journal`` to ``copy``, whole or not at all; a daemon may be at work on it.

    Raises `JournalDamaged` where the journal is no longer whole: an earlier copy then stays as it was.
    """
    _copied(journal, part := copy.with_name(f"{copy.name}.part"))
    _named(part, copy)


def restore(journal: Path, copy: Path) -> tuple[Path | None, datetime | None]:
    """Put ``copy`` in the place of ``journal``: where that lies now, and until when the copy knows what happened.

    Raises `JournalLocked` while a daemon has it, `JournalDamaged` or `JournalBroken` where the copy is not a whole journal.
    """
    lock = lock_file(journal)
    try:
        until = _until(copy)
        _copied(copy, part := journal.with_name(f"{journal.name}.part"))
        _logged(part)
        aside = _aside(journal) if journal.exists() else None
        _named(part, journal)
        mark(journal).unlink(missing_ok=True)
        return aside, until
    finally:
        os.close(lock)


def _copied(source: Path, target: Path) -> None:
    """One file that needs no log beside it; where it is not whole it is gone again."""
    target.unlink(missing_ok=True)
    try:
        with closing(_reading(source)) as old, closing(sqlite3.connect(target)) as new:
            old.backup(new)
            new.execute("PRAGMA journal_mode=DELETE").close()
        found = flaw(_reading(target))
    except sqlite3.Error as error:
        target.unlink(missing_ok=True)
        raise JournalBroken(f"{source}: {error}") from error
    if found:
        target.unlink()
        raise JournalDamaged(f"{source} is damaged: {found}")


def _logged(path: Path) -> None:
    """Let it have a log from now on: a start that begins one itself would wait for the look that it has just begun."""
    try:
        with closing(sqlite3.connect(path)) as connection:
            connection.execute("PRAGMA journal_mode=WAL").close()
    except sqlite3.Error as error:
        path.unlink()
        raise JournalBroken(f"{path}: {error}") from error


def _reading(path: Path) -> sqlite3.Connection:
    return sqlite3.connect(f"file:{path}?mode=ro", uri=True)


def _until(path: Path) -> datetime | None:
    """The time of the newest fact; raises `JournalBroken` where this is no journal."""
    try:
        with closing(_reading(path)) as connection:
            (newest,) = connection.execute("SELECT max(at) FROM facts").fetchone()
    except sqlite3.Error as error:
        raise JournalBroken(f"{path} is no backup of a journal: {error}") from error
    return newest and datetime.fromtimestamp(newest / 1_000_000, UTC)


def _aside(journal: Path) -> Path:
    """Another name for the journal and its log, which must never meet another file."""
    aside = journal.with_name(f"{journal.name}.before-{datetime.now(UTC):%Y%m%dT%H%M%SZ}")
    os.link(journal, aside)  # the name stays taken: a daemon that starts now shall not begin an empty journal
    log = journal.with_name(f"{journal.name}-wal")
    if log.exists():
        log.rename(aside.with_name(f"{aside.name}-wal"))
    journal.with_name(f"{journal.name}-shm").unlink(missing_ok=True)
    return aside


def _named(part: Path, name: Path) -> None:
    """Give ``part`` its name, on disk."""
    _flush(part)
    part.replace(name)
    _flush(name.parent)


def _flush(path: Path) -> None:
    handle = os.open(path, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
