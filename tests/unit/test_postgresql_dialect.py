"""PostgreSQL runs the same units: every statement of store and queries is one that it can be told. No server needed."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from types import ModuleType
from typing import Any, cast

import pytest
from house import NOW, alert, delivery, event
from sqlalchemy import Connection, Dialect
from sqlalchemy.dialects import postgresql
from sqlalchemy.dialects.postgresql import Insert
from sqlalchemy.dialects.sqlite import insert as sqlite_insert
from sqlalchemy.schema import CreateIndex, CreateTable

from dispatcher.journal import (
    accounts,
    keeping,
    moves,
    neighbours,
    queries,
    standing,
    steps,
    store,
    subscribers,
    superseding,
    tables,
)
from dispatcher.journal import log as facts
from dispatcher.journal.base import sqlite_engine
from dispatcher.journal.schema import prepare
from dispatcher.journal.standing import StopRow
from dispatcher.journal.steps import Step
from dispatcher.journal.store import Entry, IncidentRow, Letter
from dispatcher.journal.subscribers import Subscriber
from dispatcher.journal.tables import metadata
from dispatcher.model.account import Account, Standing
from dispatcher.model.alert import Purpose
from dispatcher.model.channel import ChannelId
from dispatcher.model.command import Scope
from dispatcher.model.delivery import AlertId, Attempt, DeliveryId, DeliveryState, IncidentId, Result

POSTGRESQL = postgresql.dialect()  # type: ignore[no-untyped-call]


@dataclass
class Interpreter:
    """Stands between a unit and SQLite and claims to be PostgreSQL: keeps what PostgreSQL would have been told."""

    inner: Connection
    dialect: Dialect = POSTGRESQL
    told: list[str] = field(default_factory=list)

    def execute(self, statement: Any, parameters: Any = None) -> Any:
        """Compile for PostgreSQL, then run the same on SQLite."""
        rows = parameters if isinstance(parameters, list) else [parameters] if parameters else []
        self.told.append(str(statement.compile(dialect=POSTGRESQL, column_keys=list(rows[0]) if rows else None)))
        if isinstance(statement, Insert):
            statement = sqlite_insert(statement.table).on_conflict_do_nothing()
        return self.inner.execute(statement, parameters)


@pytest.fixture
def interpreter(tmp_path: Path) -> Iterator[Interpreter]:
    """An interpreter over a new journal in which an alert, an update and a held end are written."""
    engine = sqlite_engine(tmp_path / "journal.sqlite")
    prepare(engine)
    with engine.connect() as connection, connection.begin():
        yield Interpreter(connection)
    engine.dispose()


FOUND = event()
SENT = alert("website", "facebook-leer", state=DeliveryState.SENDING)
HELD = alert("website", name="held", purpose=Purpose.ALL_CLEAR, revision=3, state=DeliveryState.HELD)
QUEUED = alert("other", name="queued", incident=IncidentId("i2"))
ENTRY = Entry(
    event=FOUND, payload=b"{}", received_at=NOW, state="journaled", notes=(), revision=0, alerts=(SENT,),
    people=((SENT.id, "anna"),),
    incident=IncidentRow(
        open=True, playbook="amok", covered=(), kind="amok", place="", regions=(), severity=None, facts={},
    ),
)  # fmt: skip
ATTEMPT = Attempt(delivery=delivery().id, number=1, started_at=NOW, ended_at=NOW, result=Result.ACCEPTED)
STEP = Step(delivery().move(DeliveryState.ACCEPTED), (DeliveryState.ACCEPTED,), DeliveryState.SENDING, ATTEMPT)
SUBSCRIBER = Subscriber("https://x", b"", b"", ("leer",))
OWN = Account(channel=ChannelId("officers-1"), group="officers", officer="4711", standing=Standing.PAUSED, at=NOW)
AT_WORK = accounts.Assignment(incident=IncidentId("i1"), officers=["4711"], silenced=[OWN.channel], revision=2)
STOP = StopRow(Scope.CHANNEL, "website", "anna", "broken", NOW)
INCIDENT, ALERT, DELIVERY = IncidentId("i1"), AlertId("a1"), DeliveryId("a1:website")

# Every unit with what it needs, in an order in which each has something to do.
UNITS: dict[str, list[Callable[[Connection], Any]]] = {
    "claim_realm": [partial(store.claim_realm, realm="live")],
    "record_event": [partial(store.record_event, entry=ENTRY)] * 2,
    "record_letter": [
        partial(store.record_letter, letter=Letter(source="s", payload=b"", reason="", received_at=NOW))
    ] * 2,
    "write_pages": [partial(store.write_pages, pages=[alert("duty-team", name="page")])],
    "write_alert": [partial(store.write_alert, alert=found, released_at=at) for found, at in ((HELD, None), (QUEUED, NOW))],
    "write_rows": [
        partial(store.write_rows, alert=found, planned=found.plan, released_at=at)
        for found, at in ((SENT, NOW), (HELD, None), (QUEUED, NOW))
    ],
    "finish_rows": [partial(store.finish_rows, alert=ALERT)],
    "start_attempts": [partial(steps.start_attempts, starting=QUEUED.deliveries(QUEUED.plan[:1], NOW), at=NOW)],
    "record_steps": [partial(steps.record_steps, steps=[STEP], at=NOW)],
    "write_release": [partial(store.write_release, alert=HELD.id, person="anna", decision="release", at=NOW)],
    "supersede": [partial(superseding.supersede, alert=alert("website", name="a2", revision=2, purpose=Purpose.UPDATE), at=NOW)],
    "release_alert": [partial(store.release_alert, alert=HELD, at=NOW)],
    "end_held": [partial(store.end_held, alert=QUEUED, at=NOW, state="rejected", detail="rejected")],
    "bump_incident": [partial(store.bump_incident, incident=INCIDENT, expected=1, at=NOW, open=True)],
    "move_incident": [partial(store.move_incident, incident=INCIDENT, place="p", regions=["leer"])],
    "unuse_link": [partial(standing.unuse_link, sha256="0" * 64)],
    "close_incident": [partial(store.close_incident, incident=INCIDENT, at=NOW)],
    "add_fact": [lambda connection: store.add_fact(connection, NOW, "kind", "ref")],
    "add_facts": [lambda connection: store.add_facts(connection, NOW, [("kind", "ref", {})])],
    "add_missing": [lambda connection: facts.add_missing(connection, tables.meta, [{"key": "k", "value": "v"}])],
    "settle_standbys": [partial(moves.settle_standbys, at=NOW)],
    "late_standbys": [partial(queries.late_standbys, now=NOW)],
    "states_of": [partial(moves.states_of, ids=[DELIVERY])],
    "history": [partial(queries.history, incident=INCIDENT)],
    "lanes": [partial(queries.lanes, incident=INCIDENT)],
    "seen": [partial(queries.seen, source="s", event="1")],
    "before": [partial(queries.before, event=FOUND, now=NOW)],
    "neighbours": [partial(neighbours.neighbours, incident=INCIDENT, now=NOW)],
    "has_unknown": [
        partial(neighbours.has_unknown, incident=INCIDENT, now=NOW, playbook="amok", since=NOW, known=["i2"])
    ],
    "posts_of": [partial(queries.posts_of, incident=INCIDENT, alert=ALERT)],
    "partial_ends": [queries.partial_ends],
    "set_state": [partial(moves.set_state, ids=[DELIVERY], state=DeliveryState.QUEUED, at=NOW, reason=None, detail="")],
    "take_out": [partial(superseding.take_out, incident=INCIDENT, revision=9, at=NOW, channels=scope) for scope in (["website"], None)],
    "narrow_incident": [partial(store.narrow_incident, incident=INCIDENT, regions=["leer"])],
    "stops": [standing.stops],
    "subscribe": [partial(subscribers.subscribe, channel="c", one=SUBSCRIBER, at=NOW, most=9)] * 2,
    "subscribed": [partial(subscribers.subscribed, channel="c", regions=["leer"])],
    "unsubscribe": [partial(subscribers.unsubscribe, channel="c", endpoints=["https://x"])],
    "accounts": [accounts.accounts],
    "invite": [partial(accounts.invite, invited=[OWN], renewed=[OWN], person="anna")],
    "change": [partial(accounts.change, account=OWN, said="paused", why="its owner has paused")],
    "at_work": [accounts.at_work],
    "assigned": [partial(accounts.assigned, incident=INCIDENT)],
    "assign": [partial(accounts.assign, assignment=AT_WORK, at=NOW)],
    "write_stop": [partial(standing.write_stop, stop=STOP)],
    "write_resume": [
        partial(standing.write_resume, scope=STOP.scope, ref=STOP.ref, person=person, at=NOW) for person in ("anna", "ben")
    ],
    "joins": [standing.joins],
    "write_join": [partial(standing.write_join, incident=INCIDENT, into=IncidentId("i2"), person="anna", at=NOW)],
    "given": [partial(standing.given, alert=HELD.id, now=NOW)],
    "lapse_releases": [partial(standing.lapse_releases, now=NOW)],
    "lapsing": [partial(standing.lapsing, now=NOW)],
    "waiting": [standing.waiting],
    "use_link": [partial(standing.use_link, sha256="0" * 64, person="anna", at=NOW)],
    "keep_configuration": [partial(keeping.keep_configuration, digest="d", main="m", files={}, at=NOW)],
    "last_good": [partial(keeping.last_good, main="m")],
    "link_used": [partial(standing.link_used, sha256="0" * 64)],
    "link_key": [standing.link_key],
    "called_until": [standing.called_until],
    "note_called": [partial(standing.note_called, seq=7)],
    "note_sequence": [partial(standing.note_sequence, source="s", latest=7)],
    "sequences": [standing.sequences],
    "alert_record": [partial(queries.alert_record, alert=ALERT)],
    "alert_records": [partial(queries.alert_records, incident=INCIDENT, state="held")],
    "unwritten_alerts": [queries.unwritten_alerts],
    "stranded": [partial(queries.stranded, channels=[ChannelId("website")])],
    "in_state": [partial(queries.in_state, state=DeliveryState.QUEUED)],
    "still_in_state": [partial(queries.still_in_state, state=DeliveryState.QUEUED, wanted=[DELIVERY])],
    "ended_revisions": [queries.ended_revisions],
    "delivery": [partial(queries.delivery, wanted=DELIVERY)],
    "overtaken": [partial(steps.overtaken, ids=[DELIVERY], by=frozenset({DeliveryState.QUEUED}))],
    "deliveries": [
        partial(
            queries.deliveries, alert=ALERT, incident=INCIDENT, channel=ChannelId("website"),
            state=DeliveryState.QUEUED, open_only=True,
        )
    ],
    "attempts": [partial(queries.attempts, wanted=DELIVERY)],
    "incidents": [queries.incidents],
    "incident": [partial(queries.incident, wanted=INCIDENT)],
    "events_of": [partial(queries.events_of, wanted=INCIDENT)],
    "letters": [queries.letters],
    "facts_after": [partial(queries.facts_after, seq=0)],
    "last_seq": [queries.last_seq],
    "meta": [partial(queries.meta, key="realm")],
}  # fmt: skip


def units(module: ModuleType) -> set[str]:
    """Names of a module's own public functions over a connection; ``upsert`` only makes a statement."""
    functions = inspect.getmembers(module, inspect.isfunction)
    own = ((name, found) for name, found in functions if found.__module__ == module.__name__)
    return {n for n, f in own if "connection" in inspect.signature(f).parameters and n[0] != "_" and n != "upsert"}


def test_every_unit_is_tried() -> None:
    """No unit of store, queries or log is left out of the test below."""
    assert units(store) | units(subscribers) | units(accounts) | units(superseding) | units(steps) | units(
        moves
    ) | units(standing) | units(keeping) | units(queries) | units(neighbours) | units(facts) == set(UNITS)


def test_every_statement_can_be_told_to_postgresql(interpreter: Interpreter) -> None:
    """Every unit's statements compile for PostgreSQL, conflicts and all, and each unit makes at least one."""
    connection = cast("Connection", interpreter)
    for name, group in UNITS.items():
        before = len(interpreter.told)
        for unit in group:
            unit(connection)
        assert len(interpreter.told) > before, name
    conflicts = [told for told in interpreter.told if "ON CONFLICT DO NOTHING" in told]
    assert {told.split()[2] for told in conflicts} == {
        "meta",
        "deliveries",
        "attempts",
        "stops",
        "used_links",
        "assignments",
    }
    assert any("RETURNING facts.seq" in told for told in interpreter.told)
    assert not [told for told in interpreter.told if "?" in told]


@pytest.mark.parametrize("table", metadata.sorted_tables, ids=lambda table: table.name)
def test_every_table_can_be_made_on_postgresql(table: Any) -> None:
    """Tables and indexes compile for PostgreSQL, with times and fact numbers wide enough."""
    made = str(CreateTable(table).compile(dialect=POSTGRESQL))
    assert f"CREATE TABLE {table.name}" in made
    assert all(f"\t{column.name} BIGINT" in made for column in table.columns if column.name.endswith("_at"))
    assert table.name != "facts" or "seq BIGSERIAL NOT NULL" in made
    assert all(str(CreateIndex(index).compile(dialect=POSTGRESQL)) for index in table.indexes)
