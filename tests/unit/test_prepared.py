"""What is prepared: the same answers, the same rows and the same errors as by SQLAlchemy's own way."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, cast

import pytest
from house import NOW, alert
from sqlalchemy import Connection, select
from sqlalchemy.exc import DatabaseError, IntegrityError
from test_postgresql_dialect import UNITS

from dispatcher.journal import store
from dispatcher.journal.base import sqlite_engine
from dispatcher.journal.moves import states_of
from dispatcher.journal.prepared import SqliteConnection
from dispatcher.journal.schema import prepare
from dispatcher.journal.tables import metadata
from dispatcher.model.delivery import DeliveryState


@dataclass
class Slow:
    """A connection on which everything goes SQLAlchemy's own way."""

    inner: SqliteConnection

    @property
    def dialect(self) -> Any:
        """The same."""
        return self.inner.dialect

    def execute(self, statement: Any, parameters: Any = None) -> Any:
        """Past what is prepared."""
        return Connection.execute(self.inner, statement, parameters)


@pytest.fixture
def db(tmp_path: Path) -> Iterator[SqliteConnection]:
    """A connection to a new journal."""
    yield from opened(tmp_path / "journal.sqlite")


@pytest.fixture
def other(tmp_path: Path) -> Iterator[SqliteConnection]:
    """A connection to another."""
    yield from opened(tmp_path / "other.sqlite")


def opened(path: Path) -> Iterator[SqliteConnection]:
    """A new journal at ``path``, inside a transaction."""
    engine = sqlite_engine(path)
    prepare(engine)
    with engine.connect() as connection, connection.begin():
        yield connection
    engine.dispose()


def everything(db: SqliteConnection) -> dict[str, list[Any]]:
    """All rows of all tables."""
    found = {table.name: db.execute(select(table).order_by(*table.primary_key)) for table in metadata.sorted_tables}
    return {name: [*map(tuple, rows)] for name, rows in found.items()}


def test_units_answer_and_write_as_by_sqlalchemy(db: SqliteConnection, other: SqliteConnection) -> None:
    """Every unit of the journal comes to the same answer and leaves the same rows, whichever way its statements go."""
    slow = cast("Connection", Slow(other))
    for name, group in UNITS.items():
        for unit in group:
            assert name == "link_key" or unit(db) == unit(slow), name
        rows = [{**everything(one), "meta": []} for one in (db, other)]  # a key that is drawn by lot lies there
        assert rows[0] == rows[1], name


@pytest.mark.parametrize("number", [0, 1, 2, 3, 4, 5, 500, 512, 513, 1030])
def test_a_list_may_have_any_length(number: int, db: SqliteConnection) -> None:
    """Whoever asks about so many is told about each of them, and about nothing else."""
    found = alert(*(f"website-{one}" for one in range(number + 1)))
    store.write_rows(db, found, found.plan, NOW)
    wanted = [f"a1:website-{one}" for one in range(number)]
    assert states_of(db, wanted) == dict.fromkeys(wanted, (DeliveryState.QUEUED, 0))


def test_an_error_is_sqlalchemys(db: SqliteConnection) -> None:
    """What SQLite refuses comes as the error that the writer tells apart: a unit's own fault, or the file's."""
    store.add_fact(db, NOW, "kind", "ref")
    values = {"id": "1", "source": "s"}
    with pytest.raises(IntegrityError, match="NOT NULL"):
        db.execute(store._EVENT, values)
    with pytest.raises(DatabaseError, match="no such table"):
        db.tell("SELECT * FROM missing")
