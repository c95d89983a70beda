"""Journals as a crash leaves them: written by the daemon's own units of work, and a long history copied from one incident.

A copy of an incident is what the units wrote for the first one, row by row, with another name and later fact numbers.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator, Sequence
from contextlib import closing, contextmanager
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from sqlalchemy import Column, Connection, String, Table, func, select
from unit.house import alert, event

from dispatcher.journal import steps, store
from dispatcher.journal import tables as t
from dispatcher.journal.base import sqlite_engine
from dispatcher.journal.schema import prepare
from dispatcher.journal.steps import Step
from dispatcher.journal.store import Entry, IncidentRow
from dispatcher.model.alert import Alert, Purpose
from dispatcher.model.cap import Realm, Severity, Status
from dispatcher.model.delivery import Attempt, Delivery, DeliveryState, IncidentId, Result

MODEL = "past-000000"  # the name of the incident that others are copied from, wherever it stands in a text
ON_THEIR_WAY = 2_000  # as many as may be under way at once, when the daemon is killed
_HISTORY = (t.events, t.incidents, t.alerts, t.deliveries, t.attempts, t.facts)
_S = DeliveryState


def write_open(path: Path, channels: Sequence[str], incidents: int, sending: int = ON_THEIR_WAY) -> None:
    """A journal in which each of ``incidents`` waits for every channel: ``sending`` deliveries cut off, the rest queued.

    Every other incident is extreme, the rest are minor.
    """
    now = datetime.now(UTC)
    with _writing(path) as connection:
        for number in range(incidents):
            cut_off = max(0, min(len(channels), sending - number * len(channels)))
            found = _alert(
                open_incident(number), now, channels, severity=Severity.MINOR if number % 2 else Severity.EXTREME
            )
            started = frozenset(channels[:cut_off])
            _record(connection, store.as_started(found, started), now)


def open_incident(number: int) -> str:
    """The name of an incident that is open, with the mark by which the provider knows it."""
    return f"bench-open-{number:07}"


def write_history(path: Path, channels: Sequence[str], rows: int) -> int:
    """Finished incidents, an alert and its all-clear each, until the journal holds ``rows``; how many it holds then."""
    each = _one_finished(path, channels)
    copies = rows // each
    _copy_all(path, copies)
    return each * (copies + 1)


def write_finished(path: Path, channels: Sequence[str], incidents: int) -> None:
    """So many finished incidents, an alert and its all-clear each."""
    _one_finished(path, channels)
    _copy_all(path, incidents - 1)


def _one_finished(path: Path, channels: Sequence[str]) -> int:
    """The incident that others are copied from; its rows."""
    with _writing(path) as connection:
        _finished(connection, channels, datetime.now(UTC) - timedelta(days=1))
        return sum(_count(connection, table) for table in _HISTORY)


def _copy_all(path: Path, copies: int) -> None:
    """A journal that is not there yet may be lost, so nothing is written twice or flushed."""
    with closing(sqlite3.connect(path, isolation_level=None)) as connection:
        for pragma in ("journal_mode = OFF", "synchronous = OFF", "cache_size = -262144", "temp_store = MEMORY"):
            connection.execute(f"PRAGMA {pragma}")
        (facts,) = connection.execute("SELECT count(*) FROM facts").fetchone()
        connection.execute("BEGIN")
        for table in _HISTORY:
            connection.execute(_copy(table), {"model": MODEL, "copies": copies, "facts": facts})
        connection.execute("COMMIT")
        connection.execute("PRAGMA journal_mode = WAL")  # as the daemon left it


@contextmanager
def _writing(path: Path) -> Iterator[Connection]:
    """One transaction; afterwards everything is in the one file."""
    engine = sqlite_engine(path)
    prepare(engine)
    with engine.begin() as connection:
        yield connection
    engine.dispose()


def _alert(incident: str, at: datetime, channels: Sequence[str], **changes: Any) -> Alert:
    usual = {
        "name": incident, "incident": IncidentId(incident), "realm": Realm.EXERCISE, "status": Status.EXERCISE, "created_at": at,
        "deliver_within": timedelta(hours=12),
    }  # fmt: skip
    return alert(*channels, **{**usual, **changes})


def _record(connection: Connection, said: Alert, at: datetime) -> None:
    """What an event leaves behind that led to ``said``."""
    found = replace(event(), id=said.id, incident=said.incident, digest=said.id)
    incident = IncidentRow(
        open=True, playbook="benchmark", covered=(), kind="benchmark", place="", regions=(), severity=None, facts={},
    )  # fmt: skip
    store.record_event(connection, Entry(
        event=found, payload=b"{}", received_at=at, state="journaled", notes=(), revision=said.revision - 1,
        incident=incident, alerts=(said,),
    ))  # fmt: skip
    store.write_rows(connection, said, said.plan, at)


def _finished(connection: Connection, channels: Sequence[str], at: datetime) -> None:
    """One incident from its alert to its end, accepted everywhere."""
    end = {"name": f"{MODEL}-end", "purpose": Purpose.ALL_CLEAR, "revision": 2}
    for said in (_alert(MODEL, at, channels), _alert(MODEL, at, channels, **end)):
        _record(connection, said, at)
        deliveries = said.deliveries(said.plan, at)
        steps.start_attempts(connection, deliveries, at)
        steps.record_steps(connection, [_accepted(delivery, at) for delivery in deliveries], at)
    store.close_incident(connection, IncidentId(MODEL), at)


def _accepted(delivery: Delivery, at: datetime) -> Step:
    sent = delivery.move(_S.SENDING, attempts=1)
    attempt = Attempt(delivery=sent.id, number=1, ended_at=at, result=Result.ACCEPTED)
    return Step(sent.move(_S.ACCEPTED, provider_id="1"), (_S.ACCEPTED,), _S.SENDING, attempt)


def _count(connection: Connection, table: Table) -> int:
    return connection.execute(select(func.count()).select_from(table)).scalar_one()


def _copy(table: Table) -> str:
    """The statement that copies all that ``table`` holds, each copy under a name of its own."""
    new = {column.name: f"replace({column.name}, :model, name_of_copy)" for column in table.c if _says(column)}
    counted = {"facts": "seq", "events": "number"}.get(table.name)
    if counted:
        new[counted] = f"{counted} + copy * :facts"
    names = [column.name for column in table.c]
    return f"""
        WITH RECURSIVE copies (copy, name_of_copy) AS (
            SELECT 1, printf('past-%06d', 1)
            UNION ALL SELECT copy + 1, printf('past-%06d', copy + 1) FROM copies WHERE copy < :copies
        )
        INSERT INTO {table.name} ({", ".join(names)})
        SELECT {", ".join(new.get(name, name) for name in names)} FROM copies CROSS JOIN {table.name}
    """


def _says(column: Column[Any]) -> bool:
    """Whether the incident's name may stand in it."""
    return isinstance(column.type, String)
