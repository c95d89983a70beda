"""What stands until a person lifts it: stops, joins, half-given releases, used links; and how far staff were called.

Units of work like those of `store`, over the same tables and with the same promise: writing twice is harmless.
"""

from __future__ import annotations

import secrets
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta

from sqlalchemy import Connection, bindparam, delete, func, insert, select, update

from dispatcher.journal import tables as t
from dispatcher.journal.log import add_fact, add_facts, upsert
from dispatcher.journal.prepared import prepared
from dispatcher.journal.rows import delivery_of
from dispatcher.model.command import Scope
from dispatcher.model.delivery import AlertId, Delivery, DeliveryState, IncidentId
from dispatcher.model.errors import Conflict

_STOPS = prepared(select(t.stops).order_by(t.stops.c.at))
_CALLED_UNTIL = "called_until"
GIVEN_FOR = timedelta(minutes=10)  # how long one person's consent waits for the second

_a, _d, _r = t.alerts.c, t.deliveries.c, t.releases.c
_HELD = prepared(select(_a.id, _a.created_at).where(_a.state == "held"))
_BY_HAND = prepared(select(t.deliveries).where(_d.state == DeliveryState.BY_HAND))
_LAPSES = (
    _r.decision == "release",
    _r.at <= bindparam("before"),
    _r.alert.in_(select(_a.id).where(_a.state == "held")),
)
_LAPSED = prepared(select(_r.alert, _r.person).where(*_LAPSES))
_LAPSING = prepared(_LAPSED.limit(1))


@dataclass(frozen=True, slots=True)
class StopRow:
    """One stop that stands, and who has asked to lift it so far."""

    scope: Scope
    ref: str
    person: str
    reason: str
    at: datetime
    resumed_by: str | None = None

    def __str__(self) -> str:
        """As people read it."""
        what = f"{self.scope} {self.ref}".strip()
        return f"{what} stopped by {self.person}: {self.reason}"


def stops(connection: Connection) -> list[StopRow]:
    """Every stop that stands, oldest first."""
    rows = connection.execute(_STOPS)
    return [StopRow(Scope(row.scope), row.ref, row.person, row.reason, row.at, row.resumed_by) for row in rows]


def write_stop(connection: Connection, stop: StopRow) -> bool:
    """Begin a stop; False where it stands already, `Conflict` where its incident has just become part of another."""
    home = select(t.joins.c.into).where(t.joins.c.incident == stop.ref)
    if stop.scope is Scope.INCIDENT and (into := connection.execute(home).scalar()):
        raise Conflict(f"incident {stop.ref} is part of {into}: stop that one")
    values = {"scope": stop.scope, "ref": stop.ref, "person": stop.person, "reason": stop.reason, "at": stop.at}
    begun = connection.execute(upsert(connection, t.stops).on_conflict_do_nothing(), values).rowcount == 1
    if begun:
        add_fact(connection, stop.at, "stop.begun", _ref(stop.scope, stop.ref), person=stop.person, reason=stop.reason)
    return begun


def write_resume(
    connection: Connection, scope: Scope, ref: str, person: str, at: datetime, *, alone: str = ""
) -> bool | None:
    """Ask to lift a stop: True where it is lifted, False where a second person has to ask, None where none stands.

    ``alone`` is the reason why one person is enough.
    """
    s = t.stops.c
    where = (s.scope == scope, s.ref == ref)
    found = connection.execute(select(s.resumed_by, s.resumed_at).where(*where)).first()
    if found is None:
        return None
    given = found.resumed_by if found.resumed_at and at - found.resumed_at < GIVEN_FOR else None
    if alone or (given and given != person):
        connection.execute(delete(t.stops).where(*where))
        people = sorted({person, *([given] if given else [])})
        add_fact(connection, at, "stop.lifted", _ref(scope, ref), people=people, break_glass=alone)
        return True
    connection.execute(update(t.stops).where(*where).values(resumed_by=person, resumed_at=at))
    add_fact(connection, at, "stop.resume_asked", _ref(scope, ref), person=person)
    return False


def _ref(scope: Scope, ref: str) -> str:
    return f"{scope}:{ref}" if ref else scope


def joins(connection: Connection) -> dict[IncidentId, IncidentId]:
    """Every incident that was joined into another, with the one that speaks for it."""
    j = t.joins.c
    return {IncidentId(row.incident): IncidentId(row.into) for row in connection.execute(select(j.incident, j.into))}


def write_join(connection: Connection, incident: IncidentId, into: IncidentId, person: str, at: datetime) -> None:
    """``incident`` and all that was joined into it belong to ``into`` from now on; nothing of it leaves any more.

    Raises `Conflict` where it is stopped: a stop must neither fall silent with it nor silence another incident.
    """
    s = t.stops.c
    if connection.execute(select(s.ref).where(s.scope == Scope.INCIDENT, s.ref == incident)).first():
        raise Conflict(f"incident {incident} is stopped: resume it, then join")
    connection.execute(update(t.joins).where(t.joins.c.into == incident).values(into=into))
    connection.execute(insert(t.joins), {"incident": incident, "into": into, "person": person, "at": at})
    connection.execute(update(t.incidents).where(t.incidents.c.id == incident).values(open=False, updated_at=at))
    add_fact(connection, at, "incident.joined", incident, into=into, person=person)


def lapsing(connection: Connection, now: datetime) -> bool:
    """Whether something given for a held alert has waited too long for a second person."""
    return connection.execute(_LAPSING, {"before": now - GIVEN_FOR}).first() is not None


def lapse_releases(connection: Connection, now: datetime) -> list[tuple[AlertId, str]]:
    """Void what was given for a held alert and waited too long for a second person; (alert, person) of each."""
    before = {"before": now - GIVEN_FOR}
    found = [(AlertId(row.alert), row.person) for row in connection.execute(_LAPSED, before)]
    if found:
        connection.execute(update(t.releases).where(*_LAPSES).values(decision="lapsed"), before)
        add_facts(connection, now, (("alert.release_lapsed", alert, {"person": who}) for alert, who in found))
    return found


def given(connection: Connection, alert: AlertId, now: datetime) -> frozenset[str]:
    """Named persons whose release of ``alert`` counts at this moment."""
    r = t.releases.c
    where = (r.alert == alert, r.decision == "release", r.at > now - GIVEN_FOR)
    return frozenset(connection.execute(select(r.person).where(*where)).scalars())


@dataclass(frozen=True, slots=True)
class Waiting:
    """What waits for people: held alerts with the time they were held, and deliveries to be posted by hand."""

    held: Mapping[AlertId, datetime]
    by_hand: tuple[tuple[Delivery, datetime], ...]


def waiting(connection: Connection) -> Waiting:
    """Everything that waits for a person now."""
    held, rows = connection.execute(_HELD), connection.execute(_BY_HAND)
    return Waiting(
        {AlertId(row.id): row.created_at for row in held}, tuple((delivery_of(row), row.updated_at) for row in rows)
    )


def use_link(connection: Connection, sha256: str, person: str, at: datetime) -> bool:
    """Use a one-time link; False where it was used before."""
    values = {"sha256": sha256, "person": person, "at": at}
    return connection.execute(upsert(connection, t.used_links).on_conflict_do_nothing(), values).rowcount == 1


def unuse_link(connection: Connection, sha256: str) -> None:
    """What a one-time link offers did not come to be: it may be used again."""
    connection.execute(delete(t.used_links).where(t.used_links.c.sha256 == sha256))


def link_used(connection: Connection, sha256: str) -> bool:
    """Whether a one-time link was used."""
    return connection.execute(select(t.used_links.c.at).where(t.used_links.c.sha256 == sha256)).first() is not None


def link_key(connection: Connection) -> str:
    """The key that this journal's links are signed with, made when it is first asked for."""
    values = {"key": "link_key", "value": secrets.token_hex(32)}
    connection.execute(upsert(connection, t.meta).on_conflict_do_nothing(), values)
    return str(connection.execute(select(t.meta.c.value).where(t.meta.c.key == "link_key")).scalar_one())


def called_until(connection: Connection) -> int:
    """The fact up to which staff were called about everything; a journal that does not know begins with its latest."""
    latest = connection.execute(select(func.max(t.facts.c.seq))).scalar() or 0
    values = {"key": _CALLED_UNTIL, "value": str(latest)}
    connection.execute(upsert(connection, t.meta).on_conflict_do_nothing(), values)
    return int(connection.execute(select(t.meta.c.value).where(t.meta.c.key == _CALLED_UNTIL)).scalar_one())


def note_called(connection: Connection, seq: int) -> None:
    """Staff were called about everything up to fact ``seq``: a later start begins after it."""
    connection.execute(update(t.meta).where(t.meta.c.key == _CALLED_UNTIL).values(value=str(seq)))


def note_sequence(connection: Connection, source: str, latest: int) -> None:
    """Keep the latest sequence number heard from ``source``."""
    again = upsert(connection, t.sequences).on_conflict_do_update(index_elements=["source"], set_={"latest": latest})
    connection.execute(again, {"source": source, "latest": latest})


def sequences(connection: Connection) -> dict[str, int]:
    """The latest sequence number of each source."""
    return {row.source: row.latest for row in connection.execute(select(t.sequences))}
