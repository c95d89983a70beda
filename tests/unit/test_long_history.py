"""A journal of years is as quick as a new one: nothing that the road asks reads what has ended long ago."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from sqlalchemy import Engine, event
from test_postgresql_dialect import UNITS

from dispatcher.journal.base import sqlite_engine
from dispatcher.journal.schema import prepare
from dispatcher.model.delivery import ENDED

GROWING = ("events", "letters", "incidents", "alerts", "releases", "deliveries", "attempts", "facts")
# People's lists: the latest so many, or all that ever was wrong.
LISTS = ("incidents", "alert_records", "letters")


@pytest.fixture
def engine(tmp_path: Path) -> Iterator[Engine]:
    """A new journal: SQLite plans alike for a long one, for nobody tells it how long it is."""
    found = sqlite_engine(tmp_path / "journal.sqlite")
    prepare(found)
    yield found
    found.dispose()


@pytest.fixture
def plans(engine: Engine) -> dict[str, list[tuple[str, tuple[object, ...]]]]:
    """How SQLite goes about each statement of each unit, with the statement's values."""
    told: list[tuple[str, tuple[object, ...]]] = []

    @event.listens_for(engine, "before_cursor_execute")
    def _told(
        _connection: object, _cursor: object, statement: str, values: object, _context: object, many: bool
    ) -> None:
        told.append((statement, values[0] if many else values))

    found = {}
    with engine.connect() as connection, connection.begin():
        for name, units in UNITS.items():
            told.clear()
            for unit in units:
                unit(connection)
            explained = [
                (s, v, connection.connection.cursor().execute(f"EXPLAIN QUERY PLAN {s}", v)) for s, v in [*told]
            ]
            found[name] = [
                (row[3], values if s.startswith("SELECT") else ()) for s, values, rows in explained for row in rows
            ]
    return found


def test_no_unit_reads_a_whole_table(plans: dict[str, list[tuple[str, tuple[object, ...]]]]) -> None:
    """What the road and a start ask finds its rows by an index, or in one that holds nothing else."""
    whole = tuple(f"SCAN {table}" for table in GROWING)
    scans = [(name, plan) for name, steps in plans.items() for plan, _ in steps if plan.startswith(whole)]
    assert [(n, plan) for n, plan in scans if n not in LISTS and not plan.endswith("INDEX alerts_unwritten")] == []


def test_no_unit_looks_for_what_has_ended_by_its_state(
    plans: dict[str, list[tuple[str, tuple[object, ...]]]],
) -> None:
    """Nearly all has ended: whoever asks for states that are no longer open has another index to find it by."""
    many = {*ENDED, "released"}
    found = [(name, plan) for name, steps in plans.items() for plan, values in steps
             if "by_state" in plan and many.intersection(map(str, values))]  # fmt: skip
    assert found == []
