"""One flipped bit in a journal's file, as a disk does it."""

from __future__ import annotations

import sqlite3
from contextlib import closing
from pathlib import Path

from sqlalchemy import Connection, insert
from unit.house import NOW

from dispatcher.journal import tables as t
from dispatcher.journal.base import sqlite_engine
from dispatcher.journal.schema import prepare
from dispatcher.journal.store import add_fact

PAGE = 4096


def flip(path: Path, table: str = "letters") -> None:
    """Turn one bit in the first page of ``table``, in the file itself and past every cache of SQLite's."""
    with closing(sqlite3.connect(f"file:{path}?mode=ro", uri=True)) as connection:
        asked = "SELECT rootpage FROM sqlite_schema WHERE name = ?"
        ((page,),) = connection.execute(asked, (table,)).fetchall()
    with path.open("r+b") as file:
        file.seek((page - 1) * PAGE)
        (kind,) = file.read(1)
        file.seek(-1, 1)
        file.write(bytes([kind ^ 0x40]))


def whole_journal(path: Path) -> Path:
    """A new journal at ``path`` with a fact in it, closed."""
    engine = sqlite_engine(path)
    prepare(engine)
    with engine.begin() as connection:
        add_fact(connection, NOW, "event.journaled", "leitstelle/1")
    engine.dispose()
    return path


def letters(connection: Connection) -> int:
    """A unit that reads the table that `flip` damages."""
    return len(connection.execute(t.letters.select()).all())


def write_letter(connection: Connection) -> None:
    """A unit that writes to the table that `flip` damages."""
    row = {"source": "s", "sha256": "0" * 64, "reason": "", "number": 1, "received_at": NOW, "payload": b""}
    connection.execute(insert(t.letters), row)
