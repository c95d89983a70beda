"""A journal of years is as quick as a new one: nothing that the road asks reads what has ended long ago."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from pathlib import Path

import pytest
from sqlalchemy import Engine
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
def plans(engine: Engine) -> dict[str, list[tuple[str, str]]]:
    """How SQLite goes about each statement of each unit, with the statement as it was told."""
    told: list[str] = []
    found = {}
    with engine.connect() as connection, connection.begin():
        raw = connection.connection.driver_connection
        assert isinstance(raw, sqlite3.Connection)
        for name, units in UNITS.items():
            told.clear()
            raw.set_trace_callback(told.append)
            for unit in units:
                unit(connection)
            raw.set_trace_callback(None)
            found[name] = [(row[3], sql) for sql in told for row in raw.execute(f"EXPLAIN QUERY PLAN {sql}")]
    return found


def test_no_unit_reads_a_whole_table(plans: dict[str, list[tuple[str, str]]]) -> None:
    """What the road and a start ask finds its rows by an index, or in one that holds nothing else."""
    whole = tuple(f"SCAN {table}" for table in GROWING)
    scans = [(name, plan) for name, steps in plans.items() for plan, _ in steps if plan.startswith(whole)]
    assert [(n, plan) for n, plan in scans if n not in LISTS and not plan.endswith("INDEX alerts_unwritten")] == []


def test_neighbours_are_found_among_those_who_speak(plans: dict[str, list[tuple[str, str]]]) -> None:
    """A flood of events that no playbook is for does not make the next event slower: its incidents are not looked at."""
    asked = [
        plan for steps in plans.values() for plan, sql in steps if "incidents.updated_at >" in sql and "LIMIT" in sql
    ]
    assert asked
    assert [p for p in asked if p.startswith("SEARCH incidents") and "incidents_speaking" not in p] == []


def test_no_unit_looks_for_what_has_ended_by_its_state(
    plans: dict[str, list[tuple[str, str]]],
) -> None:
    """Nearly all has ended: whoever asks for states that are no longer open has another index to find it by."""
    many = [f"'{state}'" for state in (*ENDED, "released")]
    found = [(name, plan) for name, steps in plans.items() for plan, sql in steps
             if "by_state" in plan and sql.startswith("SELECT") and any(state in sql for state in many)]  # fmt: skip
    assert found == []
