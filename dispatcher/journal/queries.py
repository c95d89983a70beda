"""What is read: plain functions over a `Connection`. People, the plan and a restart all see the journal through these."""

from __future__ import annotations

import json
from collections import defaultdict
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import Connection, Row, Select, func, select

from dispatcher.journal import tables as t
from dispatcher.journal.rows import delivery_of
from dispatcher.model.alert import Alert, Purpose
from dispatcher.model.cap import Severity
from dispatcher.model.channel import ChannelId
from dispatcher.model.delivery import CARRIED, ENDED, AlertId, Delivery, DeliveryId, DeliveryState, IncidentId
from dispatcher.model.incident import IncidentEvent, IncidentHistory, LaneHistory
from dispatcher.model.playbook import PlaybookId

_S = DeliveryState
_MAYBE = frozenset({_S.SENDING, _S.IN_DOUBT, _S.BY_HAND})


@dataclass(frozen=True, slots=True)
class Fact:
    """One line of the ordered log."""

    seq: int
    at: datetime
    kind: str
    ref: str
    body: dict[str, Any]


@dataclass(frozen=True, slots=True)
class AlertRecord:
    """An alert with what became of it."""

    alert: Alert
    state: str
    released_at: datetime | None
    digest: str
    released_by: tuple[str, ...] = ()


def history(connection: Connection, incident: IncidentId) -> IncidentHistory:
    """What is known of ``incident``; revision 0 where it was never heard of."""
    row = connection.execute(select(t.incidents).where(t.incidents.c.id == incident)).first()
    if row is None:
        return IncidentHistory(id=incident)
    alerts = connection.execute(select(t.alerts.c.id).where(t.alerts.c.incident == incident)).scalars().all()
    return IncidentHistory(
        id=incident, revision=row.revision, open=row.open, ended=_ended(connection, incident), kind=row.kind, place=row.place,
        playbook=PlaybookId(row.playbook) if row.playbook else None,
        covered=tuple(PlaybookId(p) for p in json.loads(row.covered)), regions=tuple(json.loads(row.regions)),
        severity=Severity(row.severity) if row.severity else None, facts=json.loads(row.facts),
        lanes=lanes(connection, incident), alerts=tuple(AlertId(a) for a in alerts),
    )  # fmt: skip


def _ended(connection: Connection, incident: IncidentId) -> bool:
    """Whether the latest released word on ``incident`` was an end."""
    a = t.alerts.c
    where = (a.incident == incident, a.state == "released")
    last = connection.execute(select(a.purpose).where(*where).order_by(a.revision.desc()).limit(1)).scalar()
    return last is not None and Purpose(last).ends


def lanes(connection: Connection, incident: IncidentId) -> dict[ChannelId, LaneHistory]:
    """What each channel has carried, or may have carried, of ``incident``."""
    d = t.deliveries.c
    seen: dict[ChannelId, list[tuple[DeliveryState, bool]]] = defaultdict(list)
    for row in connection.execute(select(d.channel, d.state, d.doubtful).where(d.incident == incident)):
        seen[ChannelId(row.channel)].append((_S(row.state), row.doubtful))
    for alert in _unwritten(connection, incident):
        for planned in alert.plan:
            seen[planned.channel].append((planned.state, False))
    return {channel: _lane(states) for channel, states in seen.items()}


def _lane(states: list[tuple[DeliveryState, bool]]) -> LaneHistory:
    return LaneHistory(
        carried=any(state in CARRIED for state, _ in states),
        may_have_carried=any(state in _MAYBE or doubtful for state, doubtful in states),
    )


def _unwritten(connection: Connection, incident: IncidentId) -> list[Alert]:
    where = (t.alerts.c.incident == incident, t.alerts.c.rows_written.is_(False))
    return [Alert.from_json(body) for body in connection.execute(select(t.alerts.c.body).where(*where)).scalars()]


def seen(connection: Connection, source: str, event: str) -> bool:
    """Whether this event is in the journal already."""
    e = t.events.c
    return connection.execute(select(e.number).where(e.source == source, e.id == event)).first() is not None


def before(connection: Connection, event: IncidentEvent) -> tuple[bool, IncidentHistory]:
    """Whether ``event`` was seen, and what is known of its incident."""
    return seen(connection, event.source, event.id), history(connection, event.incident)


def alert_record(connection: Connection, alert: AlertId) -> AlertRecord | None:
    """One alert, or None."""
    row = connection.execute(select(t.alerts).where(t.alerts.c.id == alert)).first()
    return None if row is None else _record(connection, row)


def alert_records(
    connection: Connection, *, incident: IncidentId | None = None, state: str | None = None, limit: int = 100,
    oldest: bool = False,
) -> list[AlertRecord]:  # fmt: skip
    """Alerts, newest first, or ``oldest`` first."""
    order = t.alerts.c.created_at.asc() if oldest else t.alerts.c.created_at.desc()
    statement = select(t.alerts).order_by(order).limit(limit)
    if incident is not None:
        statement = statement.where(t.alerts.c.incident == incident)
    if state is not None:
        statement = statement.where(t.alerts.c.state == state)
    return [_record(connection, row) for row in connection.execute(statement)]


def _record(connection: Connection, row: Row[Any]) -> AlertRecord:
    r = t.releases.c
    people = connection.execute(select(r.person).where(r.alert == row.id, r.decision == "release")).scalars()
    return AlertRecord(Alert.from_json(row.body), row.state, row.released_at, row.digest, tuple(people))


def unwritten_alerts(connection: Connection) -> list[AlertRecord]:
    """Alerts whose delivery rows were not all written: a crash came between."""
    rows = connection.execute(select(t.alerts).where(t.alerts.c.rows_written.is_(False)))
    return [_record(connection, row) for row in rows]


def open_deliveries(connection: Connection) -> list[tuple[Delivery, Alert]]:
    """Every held, queued or sending delivery with its alert: what a restart looks at again."""
    d = t.deliveries.c
    found = [delivery_of(r) for r in connection.execute(
        select(t.deliveries).where(d.state.in_([_S.HELD, _S.QUEUED, _S.SENDING])).order_by(d.rank))]  # fmt: skip
    bodies = connection.execute(
        select(t.alerts.c.id, t.alerts.c.body).where(t.alerts.c.id.in_({delivery.alert for delivery in found}))
    )
    alerts = {row.id: Alert.from_json(row.body) for row in bodies}
    return [(delivery, alerts[delivery.alert]) for delivery in found]


def ended_revisions(connection: Connection) -> dict[IncidentId, int]:
    """For each incident that was ended: the revision of its latest released end."""
    a = t.alerts.c
    statement = select(a.incident, func.max(a.revision)).where(
        a.purpose.in_(["all_clear", "false_alarm"]), a.state == "released"
    )
    return {IncidentId(row[0]): row[1] for row in connection.execute(statement.group_by(a.incident))}


def delivery(connection: Connection, wanted: DeliveryId) -> Delivery | None:
    """One delivery, or None."""
    row = connection.execute(select(t.deliveries).where(t.deliveries.c.id == wanted)).first()
    return None if row is None else delivery_of(row)


def is_overtaken(connection: Connection, delivery: Delivery) -> bool:
    """Whether a later text of its incident went out, or may have, on the same channel."""
    d = t.deliveries.c
    lane = (d.incident == delivery.incident, d.channel == delivery.channel, d.revision > delivery.revision)
    sent = d.state.in_([*CARRIED, *_MAYBE])
    return connection.execute(select(d.id).where(*lane, sent).limit(1)).first() is not None


def deliveries(
    connection: Connection, *, alert: AlertId | None = None, incident: IncidentId | None = None,
    channel: ChannelId | None = None, state: DeliveryState | None = None, open_only: bool = False, limit: int = 1000,
) -> list[Delivery]:  # fmt: skip
    """Deliveries that match, latest change first."""
    d = t.deliveries.c
    statement: Select[Any] = select(t.deliveries).order_by(d.updated_at.desc(), d.id).limit(limit)
    for column, value in ((d.alert, alert), (d.incident, incident), (d.channel, channel), (d.state, state)):
        if value is not None:
            statement = statement.where(column == value)
    if open_only:
        statement = statement.where(d.state.not_in(list(ENDED)))
    return [delivery_of(row) for row in connection.execute(statement)]


def attempts(connection: Connection, wanted: DeliveryId) -> list[dict[str, Any]]:
    """All attempts of one delivery, first to last."""
    a = t.attempts
    rows = connection.execute(select(a).where(a.c.delivery == wanted).order_by(a.c.number))
    return [dict(row._mapping) for row in rows]  # noqa: SLF001 - SQLAlchemy's public name


def incidents(connection: Connection, *, limit: int = 100) -> list[dict[str, Any]]:
    """Incidents, latest change first, with counts of their deliveries by state."""
    i, d = t.incidents, t.deliveries.c
    found = [_incident(row) for row in connection.execute(select(i).order_by(i.c.updated_at.desc()).limit(limit))]
    counts: dict[str, dict[str, int]] = defaultdict(dict)
    ids = [incident["id"] for incident in found]
    statement = select(d.incident, d.state, func.count()).where(d.incident.in_(ids)).group_by(d.incident, d.state)
    for incident, state, count in connection.execute(statement):
        counts[incident][state] = count
    return [incident | {"deliveries": counts[incident["id"]]} for incident in found]


def incident(connection: Connection, wanted: IncidentId) -> dict[str, Any] | None:
    """One incident, or None."""
    row = connection.execute(select(t.incidents).where(t.incidents.c.id == wanted)).first()
    return None if row is None else _incident(row)


def _incident(row: Row[Any]) -> dict[str, Any]:
    found = dict(row._mapping)  # noqa: SLF001 - SQLAlchemy's public name
    return found | {key: json.loads(found[key]) for key in ("covered", "regions", "facts")}


def events_of(connection: Connection, wanted: IncidentId) -> list[dict[str, Any]]:
    """The events of one incident, first to last."""
    e = t.events.c
    columns = (e.source, e.id, e.state, e.number, e.received_at, e.notes)
    rows = connection.execute(select(*columns).where(e.incident == wanted).order_by(e.number))
    return [dict(row._mapping) | {"notes": json.loads(row.notes)} for row in rows]  # noqa: SLF001


def letters(connection: Connection, *, limit: int = 100) -> list[dict[str, Any]]:
    """Dead letters, newest first."""
    rows = connection.execute(select(t.letters).order_by(t.letters.c.number.desc()).limit(limit))
    return [dict(row._mapping) for row in rows]  # noqa: SLF001 - SQLAlchemy's public name


def facts_after(connection: Connection, seq: int, *, limit: int = 500) -> list[Fact]:
    """The log from the fact after ``seq`` on."""
    f = t.facts
    rows = connection.execute(select(f).where(f.c.seq > seq).order_by(f.c.seq).limit(limit))
    return [Fact(row.seq, row.at, row.kind, row.ref, json.loads(row.body)) for row in rows]


def last_seq(connection: Connection) -> int:
    """The number of the latest fact."""
    return connection.execute(select(func.max(t.facts.c.seq))).scalar() or 0


def meta(connection: Connection, key: str) -> str | None:
    """A value of the journal about itself."""
    return connection.execute(select(t.meta.c.value).where(t.meta.c.key == key)).scalar()
