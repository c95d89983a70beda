"""What is written, as units of work: plain functions over a `Connection`, one set for SQLite and PostgreSQL.

Each keeps its natural keys, so writing twice is harmless, and appends to the log of facts in the same transaction.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any

from sqlalchemy import Connection, bindparam, insert, select, update

from dispatcher.journal import tables as t
from dispatcher.journal.accounts import Assignment, assign
from dispatcher.journal.log import add_fact, add_facts, add_missing, upsert
from dispatcher.journal.moves import set_state
from dispatcher.journal.neighbours import has_unknown
from dispatcher.journal.prepared import prepared
from dispatcher.journal.rows import delivery_row
from dispatcher.journal.superseding import PARTIAL, supersede, take_out
from dispatcher.model.alert import Alert, Planned, Purpose
from dispatcher.model.channel import ChannelId
from dispatcher.model.delivery import UNTRIED, AlertId, DeliveryId, DeliveryState, IncidentId
from dispatcher.model.errors import ConfigurationError, DispatcherError, Problem
from dispatcher.model.incident import IncidentEvent
from dispatcher.model.source import person_of

REFUSED = ("refused", "forbidden")  # events that do not count: of the other realm, or beyond what a person may say
ENDS = (Purpose.ALL_CLEAR, Purpose.FALSE_ALARM, PARTIAL)

_e, _i = t.events.c, t.incidents.c
_KNOWN = prepared(
    select(_e.digest, _e.number, _e.state).where(_e.source == bindparam("of"), _e.id == bindparam("event"))
)
_EVENT, _INCIDENT, _ALERT = prepared(insert(t.events)), prepared(insert(t.incidents)), prepared(insert(t.alerts))
_REVISION = prepared(select(_i.revision).where(_i.id == bindparam("incident")))
_CHANGED = prepared(
    update(t.incidents)
    .where(_i.id == bindparam("incident"))
    .values({c.name: bindparam(f"to_{c.name}") for c in t.incidents.c if c.name not in ("id", "opened_at")})
)
_ROWS_WRITTEN = prepared(update(t.alerts).where(t.alerts.c.id == bindparam("alert")).values(rows_written=True))


class Stale(DispatcherError):
    """The incident moved on between planning and writing: plan again."""


@dataclass(frozen=True, slots=True)
class Recorded:
    """What became of an event in the journal, and the number of the fact that says so."""

    state: str  # journaled | duplicate | conflict | unreadable | refused | forbidden
    number: int


@dataclass(frozen=True, slots=True, kw_only=True)
class IncidentRow:
    """What an event makes of its incident."""

    open: bool
    playbook: str | None
    covered: tuple[str, ...]
    kind: str
    place: str
    regions: tuple[str, ...]
    severity: str | None
    facts: Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Alone:
    """What a plan relied on: of this playbook no incident but ``known`` was heard of since then."""

    playbook: str
    since: datetime
    known: frozenset[str]


@dataclass(frozen=True, slots=True, kw_only=True)
class Entry:
    """One event with everything that was planned for it, ready to be written in one transaction."""

    event: IncidentEvent
    payload: bytes
    received_at: datetime
    state: str
    notes: tuple[str, ...]
    revision: int  # the incident's revision that the plan was made on
    incident: IncidentRow | None
    alerts: tuple[Alert, ...] = ()
    people: tuple[tuple[AlertId, str], ...] = ()  # named persons whose trigger counts as a release
    alone: Alone | None = None
    silenced: tuple[ChannelId, ...] = ()  # accounts of officers who are newly at work on it
    left: tuple[ChannelId, ...] = ()  # channels on which nothing earlier leaves any more


def claim_realm(connection: Connection, realm: str) -> None:
    """Bind a new journal to ``realm``; raises `ConfigurationError` where it belongs to the other one."""
    connection.execute(upsert(connection, t.meta).on_conflict_do_nothing(), {"key": "realm", "value": realm})
    found = connection.execute(select(t.meta.c.value).where(t.meta.c.key == "realm")).scalar_one()
    if found != realm:
        problem = Problem("journal", None, "realm", f"belongs to realm {found}, not {realm}", "give each realm its own")
        raise ConfigurationError([problem])


def record_event(connection: Connection, entry: Entry) -> Recorded:
    """Event, incident, alerts and plan rows in one step; a known event changes nothing. Raises `Stale`."""
    event = entry.event
    known = connection.execute(_KNOWN, {"of": event.source, "event": event.id}).first()
    if known is not None and known.digest != event.digest:
        return _conflict(connection, entry)
    if known is not None:
        return Recorded(known.state if known.state in REFUSED else "duplicate", known.number)
    if _revision(connection, event.incident) != entry.revision or not _still_alone(connection, entry):
        raise Stale(event.incident)
    number = add_fact(connection, entry.received_at, f"event.{entry.state}", f"{event.source}/{event.id}",
                      incident=event.incident, kind=event.kind, notes=entry.notes)  # fmt: skip
    connection.execute(_EVENT, {
        "source": event.source, "id": event.id, "incident": event.incident, "digest": event.digest,
        "state": entry.state, "number": number, "received_at": entry.received_at, "payload": entry.payload,
        "notes": json.dumps(entry.notes, ensure_ascii=False), "msg_type": event.msg_type,
    })  # fmt: skip
    if entry.incident is not None:
        revision = max((a.revision for a in entry.alerts if a.incident == event.incident), default=entry.revision + 1)
        _write_incident(connection, event.incident, entry.incident, revision, entry.received_at, new=not entry.revision)
    if event.assigned and entry.state not in REFUSED:
        assign(connection, _assignment(entry), entry.received_at)
    if entry.left:
        take_out(connection, event.incident, entry.revision + 1, entry.received_at, channels=entry.left)
    for alert in entry.alerts:
        write_alert(connection, alert, released_at=None if alert.held else entry.received_at)
    for alert_id, person in entry.people:
        write_release(connection, alert_id, person, "release", entry.received_at)
    return Recorded(entry.state, number)


def _still_alone(connection: Connection, entry: Entry) -> bool:
    incident, alone = entry.event.incident, entry.alone
    return alone is None or not has_unknown(
        connection, incident, entry.received_at, playbook=alone.playbook, since=alone.since, known=alone.known
    )


def _assignment(entry: Entry) -> Assignment:
    event, revision = entry.event, entry.revision + 1
    return Assignment(
        incident=event.incident, officers=event.assigned, silenced=entry.silenced, revision=revision,
        person=person_of(event.source) or "",
    )  # fmt: skip


def _conflict(connection: Connection, entry: Entry) -> Recorded:
    number = add_fact(connection, entry.received_at, "event.conflict", f"{entry.event.source}/{entry.event.id}",
                      incident=entry.event.incident, digest=entry.event.digest)  # fmt: skip
    return Recorded("conflict", number)


@dataclass(frozen=True, slots=True, kw_only=True)
class Letter:
    """Bytes that are no event, kept as they came, with the pages they caused."""

    source: str
    payload: bytes
    reason: str
    received_at: datetime
    pages: tuple[Alert, ...] = ()

    @property
    def sha256(self) -> str:
        """What makes it the same letter."""
        return hashlib.sha256(self.payload).hexdigest()


def record_letter(connection: Connection, letter: Letter) -> Recorded:
    """A dead letter and its pages; the same bytes from the same source are one letter."""
    table, sha256 = t.letters, letter.sha256
    known = select(table.c.number).where(table.c.source == letter.source, table.c.sha256 == sha256)
    number = connection.execute(known).scalar()
    if number is not None:
        return Recorded("duplicate", int(number))
    ref = f"{letter.source}/{sha256[:16]}"
    number = add_fact(connection, letter.received_at, "event.unreadable", ref, reason=letter.reason)
    connection.execute(insert(table), {
        "source": letter.source, "sha256": sha256, "reason": letter.reason, "number": number,
        "received_at": letter.received_at, "payload": letter.payload,
    })  # fmt: skip
    for page in letter.pages:
        write_alert(connection, page, released_at=letter.received_at)
    return Recorded("unreadable", number)


def _revision(connection: Connection, incident: IncidentId) -> int:
    return connection.execute(_REVISION, {"incident": incident}).scalar() or 0


def _write_incident(
    connection: Connection, incident: IncidentId, row: IncidentRow, revision: int, at: datetime, *, new: bool
) -> None:
    values = {
        "revision": revision, "open": row.open, "playbook": row.playbook, "covered": json.dumps(row.covered),
        "kind": row.kind, "place": row.place, "regions": json.dumps(row.regions), "severity": row.severity,
        "facts": json.dumps(dict(row.facts), ensure_ascii=False), "updated_at": at,
    }  # fmt: skip
    if new:
        connection.execute(_INCIDENT, {"id": incident, "opened_at": at, **values})
    else:
        changes = {f"to_{name}": value for name, value in values.items()}
        connection.execute(_CHANGED, {"incident": incident, **changes})
    add_fact(connection, at, "incident.opened" if new else "incident.changed", incident,
             revision=revision, open=row.open, place=row.place)  # fmt: skip


def bump_incident(
    connection: Connection, incident: IncidentId, expected: int, at: datetime, *, by: int = 1, **changes: Any
) -> None:
    """Move the incident ``by`` so many revisions, with ``changes``; raises `Stale` where someone was faster."""
    values = {"revision": expected + by, "updated_at": at, **changes}
    where = (t.incidents.c.id == incident, t.incidents.c.revision == expected)
    if connection.execute(update(t.incidents).where(*where).values(**values)).rowcount != 1:
        raise Stale(incident)
    add_fact(connection, at, "incident.changed", incident, revision=expected + by)


def close_incident(connection: Connection, incident: IncidentId, at: datetime) -> None:
    """The incident has ended."""
    connection.execute(update(t.incidents).where(t.incidents.c.id == incident).values(open=False, updated_at=at))
    add_fact(connection, at, "incident.closed", incident)


def as_json(values: Iterable[str]) -> str:
    """A list of texts as it stands in a column."""
    return json.dumps(list(values))


def narrow_incident(connection: Connection, incident: IncidentId, regions: Sequence[str]) -> None:
    """The incident goes on in ``regions`` only."""
    connection.execute(update(t.incidents).where(t.incidents.c.id == incident).values(regions=as_json(regions)))


def move_incident(connection: Connection, incident: IncidentId, place: str, regions: Sequence[str]) -> None:
    """The incident is here from now on."""
    where = update(t.incidents).where(t.incidents.c.id == incident)
    connection.execute(where.values(place=place, regions=as_json(regions)))


def write_alert(connection: Connection, alert: Alert, *, released_at: datetime | None) -> None:
    """The alert with its plan row; its deliveries follow in batches or are rebuilt from it after a crash."""
    state = "released" if released_at else "held"
    connection.execute(_ALERT, {
        "id": alert.id, "incident": alert.incident, "revision": alert.revision,
        "purpose": PARTIAL if alert.partial else alert.purpose, "state": state, "digest": alert.digest, "created_at": alert.created_at, "released_at": released_at,
        "rows_written": False, "body": alert.to_json(),
    })  # fmt: skip
    if released_at:
        supersede(connection, alert, released_at)
    add_fact(connection, alert.created_at, f"alert.{state}", alert.id, incident=alert.incident, purpose=alert.purpose,
             playbook=alert.playbook, channels=len(alert.speaking), degraded=alert.degraded,
             requested_by=alert.requested_by)  # fmt: skip


def write_pages(connection: Connection, pages: Sequence[Alert]) -> bool:
    """Pages on their own; False where they were written before."""
    known = select(t.alerts.c.id).where(t.alerts.c.id.in_([page.id for page in pages]))
    if connection.execute(known).first() is not None:
        return False
    for page in pages:
        write_alert(connection, page, released_at=page.created_at)
    return True


def write_rows(connection: Connection, alert: Alert, planned: Sequence[Planned], released_at: datetime | None) -> None:
    """Delivery rows, and first attempts where they start at once, for a batch of an alert's plan; it may be empty.

    A batch that is the whole plan is all there is to write: that is noted with it.
    """
    if len(planned) == len(alert.plan):
        finish_rows(connection, alert.id)
    if not planned:
        return
    found = alert.deliveries(planned, released_at)
    rows = [{**delivery_row(delivery), "updated_at": alert.created_at} for delivery in found]
    add_missing(connection, t.deliveries, rows)
    started = [attempt_row(d.id, 1, released_at) for d in found if d.state is DeliveryState.SENDING and released_at]
    if started:
        add_missing(connection, t.attempts, started)
    add_facts(connection, alert.created_at, ((f"delivery.{d.state}", d.id, {}) for d in found))


def finish_rows(connection: Connection, alert: AlertId) -> None:
    """Note that all delivery rows of ``alert`` are written."""
    connection.execute(_ROWS_WRITTEN, {"alert": alert})


def attempt_row(delivery: DeliveryId, number: int, at: datetime | None) -> dict[str, Any]:
    """Column values of an attempt that begins."""
    return {"delivery": delivery, "number": number, "started_at": at, "detail": ""}


def write_release(
    connection: Connection, alert: AlertId, person: str, decision: str, at: datetime, *, digest: str = "",
    reason: str = "",
) -> None:  # fmt: skip
    """One person's decision on an alert; who decides again is counted once, with what they said last."""
    row = {"alert": alert, "person": person, "decision": decision, "digest": digest, "reason": reason, "at": at}
    changes = {name: row[name] for name in ("decision", "digest", "reason", "at")}
    again = upsert(connection, t.releases).on_conflict_do_update(index_elements=["alert", "person"], set_=changes)
    connection.execute(again, row)
    add_fact(connection, at, f"alert.{decision}_by", alert, person=person, reason=reason)


def release_alert(connection: Connection, alert: Alert, at: datetime) -> None:
    """Let a held alert out, at the revision it is handed in with: supersede what it replaces, queue what does not stand by."""
    changes = {"state": "released", "released_at": at, "revision": alert.revision, "body": alert.to_json()}
    connection.execute(update(t.alerts).where(t.alerts.c.id == alert.id).values(changes))
    supersede(connection, alert, at)
    d = t.deliveries.c
    times = {
        "released_at": at,
        "due_at": at,
        "deadline_at": alert.deadline(at),
        "updated_at": at,
        "revision": alert.revision,
    }
    waiting = (d.alert == alert.id, d.state.in_([DeliveryState.HELD, DeliveryState.STANDBY]))
    connection.execute(update(t.deliveries).where(*waiting).values(times))
    held = (d.alert == alert.id, d.state == DeliveryState.HELD)
    ids = connection.execute(select(d.id).where(*held)).scalars().all()
    connection.execute(update(t.deliveries).where(*held).values(state=DeliveryState.QUEUED))
    add_facts(connection, at, ((f"delivery.{DeliveryState.QUEUED}", key, {}) for key in ids))
    add_fact(connection, at, "alert.released", alert.id, incident=alert.incident, purpose=alert.purpose)


def end_held(connection: Connection, alert: Alert, at: datetime, *, state: str, detail: str) -> None:
    """End a held alert as ``state`` (rejected, superseded); its deliveries with it."""
    connection.execute(update(t.alerts).where(t.alerts.c.id == alert.id).values(state=state))
    d = t.deliveries.c
    ids = connection.execute(select(d.id).where(d.alert == alert.id, d.state.in_(list(UNTRIED)))).scalars().all()
    ended, reason = (DeliveryState.CANCELLED, "cancelled") if state == "rejected" else (DeliveryState.SUPERSEDED, None)
    set_state(connection, ids, ended, at, reason=reason, detail=detail)
    add_fact(connection, at, f"alert.{state}", alert.id, incident=alert.incident)


def as_started(alert: Alert, started: frozenset[str]) -> Alert:
    """``alert`` with the plan entries of channels in ``started`` beginning as sending."""
    plan = tuple(planned.started() if planned.channel in started else planned for planned in alert.plan)
    return replace(alert, plan=plan)
