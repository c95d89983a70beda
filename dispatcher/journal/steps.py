"""What becomes of deliveries: attempts that start, and the steps that end them. Units of work like those of `store`."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime
from operator import attrgetter
from typing import Any

from sqlalchemy import Connection, Select, and_, bindparam, insert, or_, select, update

from dispatcher.journal import tables as t
from dispatcher.journal.log import add_facts
from dispatcher.journal.moves import Called, set_state, settle_standbys, states_of
from dispatcher.journal.prepared import prepared
from dispatcher.journal.store import attempt_row
from dispatcher.model.delivery import (
    CARRIED,
    MAYBE_OUT,
    WENT_OUT,
    Attempt,
    Delivery,
    DeliveryId,
    DeliveryState,
    Verb,
)  # fmt: skip

_CHUNK = 500
_PLANNED = frozenset({
    "id", "alert", "channel", "incident", "text", "rank", "revision", "verb", "target", "follows", "fallback_of",
})  # fmt: skip
_MOVING = tuple(column.name for column in t.deliveries.c if column.name not in _PLANNED | {"updated_at"})
_TO = tuple(f"to_{name}" for name in _MOVING)
_MOVED = attrgetter(*_MOVING)

_KEY = t.deliveries.c.id == bindparam("key")
_START = prepared(update(t.deliveries).where(_KEY).values(
    state=DeliveryState.SENDING, attempts=t.deliveries.c.attempts + 1, updated_at=bindparam("at")
))  # fmt: skip
_ATTEMPT = prepared(insert(t.attempts))
_STEP = prepared(update(t.deliveries).where(_KEY).values(
    {name: bindparam(to) for name, to in zip(_MOVING, _TO, strict=True)} | {"updated_at": bindparam("at")}
))  # fmt: skip
_END = prepared(
    update(t.attempts)
    .where(t.attempts.c.delivery == bindparam("key"), t.attempts.c.number == bindparam("nth"))
    .values({name: bindparam(f"to_{name}") for name in ("ended_at", "result", "reason", "detail")})
)


def _overtaken() -> Select[Any]:
    d, later = t.deliveries.c, t.deliveries.alias("later").c
    lane = and_(later.incident == d.incident, later.channel == d.channel, later.revision > d.revision)
    sent = or_(later.state.in_(bindparam("states", expanding=True)), later.doubtful)
    where = (d.id.in_(bindparam("ids", expanding=True)), d.verb == Verb.POST, lane, later.verb == Verb.POST, sent)
    return select(d.id).where(*where).distinct().order_by(d.id)


_OVERTAKEN = prepared(_overtaken())


@dataclass(frozen=True, slots=True)
class Claims:
    """What became of deliveries that were to start: those that may, and those whose rows are not written yet."""

    started: frozenset[DeliveryId]
    unwritten: frozenset[DeliveryId]


def start_attempts(connection: Connection, starting: Sequence[Delivery], at: datetime) -> Claims:
    """Move queued deliveries to sending with one attempt more; what is not queued any more is not claimed.

    Nor is a text that a later one of its lane went before, for instance after a crash: it is superseded.
    """
    states = states_of(connection, [delivery.id for delivery in starting])
    queued = [d for d in starting if states.get(d.id) == (DeliveryState.QUEUED, d.attempts)]
    late = overtaken(connection, [d.id for d in queued])
    set_state(connection, late, DeliveryState.SUPERSEDED, at, reason=None, detail="a later text went out first")
    claimed = [d for d in queued if d.id not in late]
    if claimed:
        connection.execute(_START, [{"key": d.id, "at": at} for d in claimed])
        connection.execute(_ATTEMPT, [attempt_row(d.id, d.attempts + 1, at) for d in claimed])
        add_facts(connection, at, ((f"delivery.{DeliveryState.SENDING}", d.id, {}) for d in claimed))
    return Claims(frozenset(d.id for d in claimed), frozenset(d.id for d in starting if d.id not in states))


def overtaken(
    connection: Connection, ids: Sequence[str], by: Collection[DeliveryState] = frozenset()
) -> list[DeliveryId]:
    """Those of ``ids`` that a later text of their lane went out before, or may have; ``by`` are more of its states."""
    found: list[DeliveryId] = []
    states = [*WENT_OUT, *MAYBE_OUT, *by]
    for at in range(0, len(ids), _CHUNK):
        found += connection.execute(_OVERTAKEN, {"ids": ids[at : at + _CHUNK], "states": states}).scalars()
    return found


@dataclass(frozen=True, slots=True)
class Step:
    """A delivery's new state after an attempt or a decision, with the states it passed through on the way."""

    delivery: Delivery
    path: tuple[DeliveryState, ...]
    before: DeliveryState
    attempt: Attempt | None = None
    note: str = ""
    retracts: DeliveryId | None = None  # the earlier post that it changed or deleted


@dataclass(frozen=True, slots=True)
class Written:
    """What came of steps: those whose claim held, and the standbys that are ours to send because of them."""

    held: frozenset[DeliveryId]
    called: tuple[Called, ...] = ()


def record_steps(connection: Connection, steps: Sequence[Step], at: datetime) -> Written:
    """Write steps whose claim still holds (same state, same number of attempts); standbys move with what they stand by for."""
    states = states_of(connection, [step.delivery.id for step in steps])
    held = [s for s in steps if states.get(s.delivery.id) == (s.before, s.delivery.attempts)]
    called: list[Called] = []
    if held:
        connection.execute(_STEP, [_moved(s.delivery, at) for s in held])
        _end_attempts(connection, [s.attempt for s in held if s.attempt])
        add_facts(connection, at, (fact for s in held for fact in _step_facts(s)))
        _retract(connection, [s.retracts for s in held if s.retracts], at)
        called = settle_standbys(connection, at, {s.delivery.alert for s in held})
    return Written(frozenset(s.delivery.id for s in held), tuple(called))


def _moved(delivery: Delivery, at: datetime) -> dict[str, Any]:
    """All that a step may change; what was planned stays as it is."""
    return {"key": delivery.id, "at": at, **dict(zip(_TO, _MOVED(delivery), strict=True))}


def _retract(connection: Connection, originals: Sequence[str], at: datetime) -> None:
    """Posts that were changed or deleted are retracted."""
    out = CARRIED | {DeliveryState.IN_DOUBT}
    ids = [key for key, (state, _) in states_of(connection, originals).items() if state in out]
    set_state(connection, ids, DeliveryState.RETRACTED, at, reason=None, detail="corrected")


def _step_facts(step: Step) -> Iterable[tuple[str, str, dict[str, Any]]]:
    d = step.delivery
    body = {"reason": d.reason, "detail": d.detail, "note": step.note, "url": d.url, "doubtful": d.doubtful}
    return [(f"delivery.{state}", d.id, {k: v for k, v in body.items() if v}) for state in step.path]


def _end_attempts(connection: Connection, ended: Sequence[Attempt]) -> None:
    if not ended:
        return
    connection.execute(_END, [
        {"key": x.delivery, "nth": x.number, "to_ended_at": x.ended_at, "to_result": x.result, "to_reason": x.reason,
         "to_detail": x.detail}
        for x in ended
    ])  # fmt: skip
