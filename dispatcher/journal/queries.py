"""What is read: plain functions over a `Connection`. People, the plan and a restart all see the journal through these."""

from __future__ import annotations

import json
from collections import defaultdict
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import Connection, Row, Select, String, bindparam, func, or_, select

from dispatcher.journal import tables as t
from dispatcher.journal.accounts import assigned
from dispatcher.journal.neighbours import neighbours
from dispatcher.journal.prepared import prepared
from dispatcher.journal.rows import delivery_of, with_alerts
from dispatcher.journal.standing import stops
from dispatcher.journal.store import ENDS
from dispatcher.journal.superseding import PARTIAL
from dispatcher.model.alert import Alert, Purpose
from dispatcher.model.cap import MsgType, Severity
from dispatcher.model.channel import ChannelId
from dispatcher.model.delivery import (
    CARRIED,
    ENDED,
    MAYBE_OUT,
    UNTRIED,
    WENT_OUT,
    AlertId,
    Delivery,
    DeliveryId,
    DeliveryState,
    IncidentId,
    Lane,
    Verb,
)
from dispatcher.model.incident import IncidentEvent, IncidentHistory, LaneHistory
from dispatcher.model.playbook import PlaybookId

_S = DeliveryState

_d, _a, _i, _j, _r, _e = t.deliveries.c, t.alerts.c, t.incidents.c, t.joins.c, t.releases.c, t.events.c
_OF = bindparam("incident", type_=String())
_INCIDENT = prepared(select(t.incidents).where(_i.id == _OF))
_ALERTS = prepared(select(_a.id).where(_a.incident == _OF))
_LAST_WORD = prepared(
    select(_a.purpose)
    .where(_a.incident == _OF, _a.state == "released", _a.purpose.not_in([PARTIAL, Purpose.RETRACTION]))
    .order_by(_a.revision.desc())
    .limit(1)
)
_WITHDRAWN = prepared(
    select(_e.id).where(_e.incident == _OF, _e.msg_type == MsgType.CANCEL, _e.state == "journaled").limit(1)
)
_GIVEN = _r.decision.in_(["release", "break_glass"])
_READ = prepared(
    select(_r.alert)
    .join(t.alerts, _a.id == _r.alert)
    .where(_a.incident == _OF, _a.purpose == Purpose.ALERT, _GIVEN)
    .limit(1)
)
_JOINED = prepared(select(_j.incident, _j.at).where(_j.into == _OF))
_SAID = prepared(
    select(_d.incident, _d.channel, _d.revision, _d.state, _d.doubtful, _d.fallback_of, _a.purpose, _a.released_at)
    .join(t.alerts, _a.id == _d.alert)
    .where(_d.incident.in_(bindparam("incidents", expanding=True)), _d.verb == Verb.POST)
    .order_by(_a.released_at, _d.revision)
)
_UNWRITTEN = prepared(
    select(_a.body)
    .where(_a.incident.in_(bindparam("incidents", expanding=True)), _a.rows_written.is_(False))
    .order_by(_a.released_at, _a.revision)
)
_THESE = prepared(select(t.deliveries).where(_d.id.in_(bindparam("ids", expanding=True))).order_by(_d.rank, _d.id))
_LATE_STANDBYS = prepared(select(t.deliveries).where(_d.state == _S.STANDBY, _d.deadline_at <= bindparam("now")))
_SEEN = prepared(select(_e.number).where(_e.source == bindparam("of"), _e.id == bindparam("event")))
_PEOPLE = prepared(select(_r.person).where(_r.alert == bindparam("of"), _GIVEN))
_FACTS = prepared(
    select(t.facts).where(t.facts.c.seq > bindparam("after")).order_by(t.facts.c.seq).limit(bindparam("most"))
)


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


def history(connection: Connection, incident: IncidentId, now: datetime | None = None) -> IncidentHistory:
    """What is known of ``incident``, revision 0 where it was never heard of.

    ``now`` asks for its neighbours as well, where nothing was said of it yet: it may be a second report of one of them.
    """
    row = connection.execute(_INCIDENT, {"incident": incident}).first()
    beside = neighbours(connection, incident, now) if now and (row is None or row.playbook is None) else ()
    at_work = assigned(connection, incident)
    stopped = tuple(str(stop) for stop in stops(connection))
    if row is None:
        withdrawn = _withdrawn(connection, incident)
        return IncidentHistory(
            id=incident, neighbours=beside, stops=stopped, withdrawn=withdrawn, assigned=at_work
        )  # fmt: skip
    alerts = connection.execute(_ALERTS, {"incident": incident}).scalars().all()
    return IncidentHistory(
        id=incident, revision=row.revision, open=row.open, ended=_ended(connection, incident), kind=row.kind, place=row.place,
        playbook=PlaybookId(row.playbook) if row.playbook else None,
        covered=tuple(PlaybookId(p) for p in json.loads(row.covered)), regions=tuple(json.loads(row.regions)),
        severity=Severity(row.severity) if row.severity else None, facts=json.loads(row.facts),
        lanes=lanes(connection, incident), alerts=tuple(AlertId(a) for a in alerts),
        neighbours=beside, stops=stopped, read=_read(connection, incident),
        withdrawn=row.playbook is None and _withdrawn(connection, incident), assigned=at_work,
    )  # fmt: skip


def _ended(connection: Connection, incident: IncidentId) -> bool:
    """Whether the latest released word on ``incident`` was an end."""
    last = connection.execute(_LAST_WORD, {"incident": incident}).scalar()
    return last is not None and Purpose(last).ends


def _withdrawn(connection: Connection, incident: IncidentId) -> bool:
    """Whether a source took ``incident`` back, be it before anybody had heard of it."""
    return connection.execute(_WITHDRAWN, {"incident": incident}).first() is not None


def _read(connection: Connection, incident: IncidentId) -> bool:
    """Whether a person has triggered or released an alert of ``incident``."""
    return connection.execute(_READ, {"incident": incident}).first() is not None


@dataclass(frozen=True, slots=True)
class _Word:
    """One text on one channel, as far as it tells what the channel has carried.

    An end speaks for its own incident and for those that had been joined into it by then.
    """

    incident: IncidentId
    carried: bool
    maybe: bool
    ends: frozenset[IncidentId] = frozenset()
    called: bool = False


def lanes(connection: Connection, incident: IncidentId) -> dict[ChannelId, LaneHistory]:
    """What each channel has carried, or may have carried, of ``incident`` and of what was joined into it."""
    said: dict[ChannelId, list[_Word]] = defaultdict(list)
    joined = {row.incident: row.at for row in connection.execute(_JOINED, {"incident": incident})}
    rows = connection.execute(_SAID, {"incidents": [incident, *joined]}).all()
    # Times tell how several incidents went on beside each other; one is told by its own count, however the clock was set.
    for row in rows if joined else sorted(rows, key=lambda row: row.revision):
        state = _S(row.state)
        at_home = row.incident == incident and row.released_at is not None
        by_then = (one for one, at in joined.items() if at_home and at <= row.released_at)  # asked of ends only
        ends = frozenset({row.incident, *by_then}) if row.purpose in ENDS else frozenset()
        called = state is _S.QUEUED and bool(row.fallback_of)
        word = _Word(row.incident, state in WENT_OUT, state in MAYBE_OUT or row.doubtful, ends, called)
        said[ChannelId(row.channel)].append(word)
    for alert in _unwritten(connection, [incident, *joined]):
        for planned in alert.plan:
            said[planned.channel].append(_Word(alert.incident, carried=False, maybe=planned.state in MAYBE_OUT))
    return {channel: _lane(words) for channel, words in said.items()}


def _lane(words: list[_Word]) -> LaneHistory:
    reached = [word for word in words if word.carried or word.maybe]
    going_on: set[IncidentId] = set()
    for word in reached:
        if word.ends and word.carried:
            going_on -= word.ends
        else:
            going_on.add(word.incident)
    return LaneHistory(
        carried=any(word.carried for word in reached), may_have_carried=any(word.maybe for word in reached),
        ended=bool(reached) and not going_on, called=any(word.called for word in words),
    )  # fmt: skip


def _unwritten(connection: Connection, incidents: Sequence[IncidentId]) -> list[Alert]:
    bodies = connection.execute(_UNWRITTEN, {"incidents": incidents}).scalars()
    found = (Alert.from_json(body) for body in bodies)
    return [alert for alert in found if alert.purpose is not Purpose.RETRACTION]


def seen(connection: Connection, source: str, event: str) -> bool:
    """Whether this event is in the journal already."""
    return connection.execute(_SEEN, {"of": source, "event": event}).first() is not None


def before(connection: Connection, event: IncidentEvent, now: datetime) -> tuple[bool, IncidentHistory]:
    """Whether ``event`` was seen, and what is known of its incident."""
    return seen(connection, event.source, event.id), history(connection, event.incident, now)


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
    people = connection.execute(_PEOPLE, {"of": row.id}).scalars()
    return AlertRecord(Alert.from_json(row.body), row.state, row.released_at, row.digest, tuple(people))


def unwritten_alerts(connection: Connection) -> list[AlertRecord]:
    """Alerts whose delivery rows were not all written: a crash came between."""
    rows = connection.execute(select(t.alerts).where(t.alerts.c.rows_written.is_(False)))
    return [_record(connection, row) for row in rows]


def stranded(connection: Connection, channels: Collection[ChannelId]) -> list[tuple[Delivery, Alert]]:
    """What waits for a channel that is none of ``channels``, with its alert.

    What stands by comes first: nothing that is decided about the others may call a channel that is gone.
    """
    statement = select(t.deliveries).where(_d.state.in_(list(UNTRIED)), _d.channel.not_in(list(channels)))
    rows = connection.execute(statement.order_by(_d.state != _S.STANDBY, _d.rank))
    return with_alerts(connection, [delivery_of(row) for row in rows])


def in_state(connection: Connection, state: DeliveryState) -> dict[DeliveryId, Lane]:
    """Every delivery in ``state`` and its lane, best rank first."""
    statement = select(_d.id, _d.incident, _d.channel).where(_d.state == state).order_by(_d.rank, _d.id)
    return {DeliveryId(key): (IncidentId(of), ChannelId(on)) for key, of, on in connection.execute(statement)}


def still_in_state(
    connection: Connection, state: DeliveryState, wanted: Sequence[DeliveryId]
) -> list[tuple[Delivery, Alert]]:
    """Those of ``wanted`` that are, with their alerts."""
    rows = connection.execute(_THESE, {"ids": wanted})
    return with_alerts(connection, [delivery_of(row) for row in rows if row.state == state])


def late_standbys(connection: Connection, now: datetime) -> list[Delivery]:
    """What still stands by though its time is over."""
    return [delivery_of(row) for row in connection.execute(_LATE_STANDBYS, {"now": now})]


def ended_revisions(connection: Connection) -> dict[IncidentId, int]:
    """For each incident that was ended as a whole, or joined into another: before which revision nothing leaves."""
    a, i = t.alerts.c, t.incidents.c
    statement = select(a.incident, func.max(a.revision)).where(
        a.purpose.in_([Purpose.ALL_CLEAR, Purpose.FALSE_ALARM]), a.state == "released"
    )
    joined = select(i.id, i.revision).where(i.id.in_(select(t.joins.c.incident)))
    found = [*connection.execute(statement.group_by(a.incident)), *connection.execute(joined)]
    return {IncidentId(incident): revision for incident, revision in sorted(found, key=lambda row: row[1])}


def posts_of(
    connection: Connection, *, incident: IncidentId, alert: AlertId | None = None
) -> list[tuple[Alert, list[Delivery]]]:
    """Earlier texts of ``incident`` and of what was joined into it, or of one ``alert``, with their posts, first to last."""
    a, d = t.alerts.c, t.deliveries.c
    ids = [incident, *connection.execute(select(t.joins.c.incident).where(t.joins.c.into == incident)).scalars()]
    where = [a.incident.in_(ids), a.state == "released", a.purpose.in_([Purpose.ALERT, Purpose.UPDATE])]
    if alert is not None:
        where.append(a.id == alert)
    found = []
    for row in connection.execute(select(a.id, a.body).where(*where).order_by(a.released_at)):
        may_be_out = or_(d.state.in_([*CARRIED, _S.SENDING, _S.IN_DOUBT, _S.BY_HAND]), d.doubtful.is_(True))
        posted = (d.alert == row.id, d.verb == Verb.POST, may_be_out)
        deliveries = [delivery_of(one) for one in connection.execute(select(t.deliveries).where(*posted))]
        if deliveries:
            found.append((Alert.from_json(row.body), deliveries))
    return found


def partial_ends(connection: Connection) -> list[Alert]:
    """Released ends of channels that dropped out of an incident which is open still."""
    a, i = t.alerts.c, t.incidents.c
    statement = select(a.body).join(t.incidents, i.id == a.incident)
    statement = statement.where(a.purpose == PARTIAL, a.state == "released", i.open.is_(True))
    return [Alert.from_json(body) for body in connection.execute(statement).scalars()]


def delivery(connection: Connection, wanted: DeliveryId) -> Delivery | None:
    """One delivery, or None."""
    row = connection.execute(select(t.deliveries).where(t.deliveries.c.id == wanted)).first()
    return None if row is None else delivery_of(row)


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
        statement = statement.where(d.state.in_(set(_S) - ENDED))
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
    row = connection.execute(_INCIDENT, {"incident": wanted}).first()
    return None if row is None else _incident(row)


def _incident(row: Row[Any]) -> dict[str, Any]:
    found = dict(zip(t.incidents.c.keys(), row, strict=True))
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
    rows = connection.execute(_FACTS, {"after": seq, "most": limit})
    return [Fact(number, at, kind, ref, json.loads(body)) for number, at, kind, ref, body in rows]


def last_seq(connection: Connection) -> int:
    """The number of the latest fact."""
    return connection.execute(select(func.max(t.facts.c.seq))).scalar() or 0


def meta(connection: Connection, key: str) -> str | None:
    """A value of the journal about itself."""
    return connection.execute(select(t.meta.c.value).where(t.meta.c.key == key)).scalar()
