"""One flipped bit in a journal's file, as a disk does it."""

from __future__ import annotations

import shutil
import sqlite3
from contextlib import closing
from pathlib import Path

from sqlalchemy import Connection
from unit.house import NOW

from dispatcher.journal import tables as t
from dispatcher.journal.base import sqlite_engine
from dispatcher.journal.schema import prepare
from dispatcher.journal.store import Letter, add_fact, record_letter

PAGE = 4096


INDEX = "sqlite_autoindex_letters_1"


def flip(path: Path, name: str = "letters", at: int = 0) -> None:
    """Turn one bit of byte ``at`` in the first page of a table or index, in the file itself and past every cache of SQLite's.

    In the first byte stands what kind of page it is; the last ones of an index are the number of a row.
    """
    with closing(sqlite3.connect(f"file:{path}?mode=ro", uri=True)) as connection:
        asked = "SELECT rootpage FROM sqlite_schema WHERE name = ?"
        ((page,),) = connection.execute(asked, (name,)).fetchall()
    with path.open("r+b") as file:
        file.seek((page - 1) * PAGE + at % PAGE)
        (byte,) = file.read(1)
        file.seek(-1, 1)
        file.write(bytes([byte ^ 0x40]))


def whole_journal(path: Path) -> Path:
    """A new journal at ``path`` with an event and a letter in it, closed."""
    engine = sqlite_engine(path)
    prepare(engine)
    with engine.begin() as connection:
        add_fact(connection, NOW, "event.journaled", "leitstelle/1")
        record_letter(connection, letter("first"))
    engine.dispose()
    return path


def swell(path: Path) -> None:
    """Make it a file that takes a while to look through."""
    with closing(sqlite3.connect(path)) as connection, connection:
        connection.execute("CREATE TABLE much (n INTEGER PRIMARY KEY, filler TEXT)")
        connection.executemany("INSERT INTO much (filler) VALUES (?)", [("x" * 2_000,)] * 5_000)


def half_made(folder: Path) -> Path:
    """A journal as a kill leaves it before it has a write-ahead log: a transaction half in the file, its undo beside."""
    made, left = folder / "made.sqlite", folder / "journal.sqlite"
    with closing(sqlite3.connect(made)) as connection:
        connection.executescript("PRAGMA cache_size = 1; CREATE TABLE much (filler TEXT)")
        connection.executemany("INSERT INTO much VALUES (?)", [("x" * 2_000,)] * 100)  # more than the cache holds
        for suffix in ("", "-journal"):
            shutil.copy(f"{made}{suffix}", f"{left}{suffix}")
    return left


def letters(connection: Connection) -> int:
    """A unit that reads the table that `flip` damages."""
    return len(connection.execute(t.letters.select()).all())


def write_letter(connection: Connection) -> None:
    """A unit that writes to the table that `flip` damages."""
    record_letter(connection, letter("second"))


def letter(reason: str) -> Letter:
    """Bytes that are no event."""
    return Letter(source="leitstelle", payload=reason.encode(), reason=reason, received_at=NOW)
