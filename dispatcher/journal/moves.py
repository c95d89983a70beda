"""Deliveries that move because of others: what a later text replaces, and standbys, which do what their primaries make needed.

Whoever moves a delivery here or in `steps` moves what stands by for it in the same transaction.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from datetime import datetime

from sqlalchemy import Connection, bindparam, select, update

from dispatcher.journal import tables as t
from dispatcher.journal.log import add_facts
from dispatcher.journal.prepared import prepared
from dispatcher.journal.rows import delivery_of, with_alerts
from dispatcher.model.alert import Alert
from dispatcher.model.channel import ChannelId
from dispatcher.model.delivery import ENDED, UNSAID, AlertId, Delivery, DeliveryId, DeliveryState

_CHUNK = 500
_S = DeliveryState

Called = tuple[Delivery, Alert]  # a standby that is ours to send now, with the alert that holds its text
_Waiting = Mapping[
    DeliveryId, Mapping[ChannelId, DeliveryState | None]
]  # standbys: how those fare whom they stand by for


_KEY = t.deliveries.c.id == bindparam("key")
_DOUBT_BY_HAND = prepared(update(t.deliveries).where(_KEY, t.deliveries.c.state == _S.BY_HAND).values(doubtful=True))
_MOVE = prepared(update(t.deliveries).where(_KEY).values(
    state=bindparam("to_state"), updated_at=bindparam("at"), reason=bindparam("why"), detail=bindparam("words")
))  # fmt: skip
_CALL = prepared(update(t.deliveries).where(_KEY).values(
    state=_S.QUEUED, released_at=bindparam("at"), due_at=bindparam("at"), updated_at=bindparam("at"),
    detail=bindparam("note"),
))  # fmt: skip
_STATES = prepared(
    select(t.deliveries.c.id, t.deliveries.c.state, t.deliveries.c.attempts).where(
        t.deliveries.c.id.in_(bindparam("ids", expanding=True))
    )
)
_STANDING_BY = prepared(
    select(t.deliveries.c.id, t.deliveries.c.alert, t.deliveries.c.fallback_of)
    .where(t.deliveries.c.state == _S.STANDBY)
    .order_by(t.deliveries.c.id)
)
_STANDING_BY_IN = prepared(_STANDING_BY.where(t.deliveries.c.alert.in_(bindparam("alerts", expanding=True))))


def set_state(
    connection: Connection, ids: Sequence[str], state: DeliveryState, at: datetime, *, reason: str | None, detail: str
) -> None:
    """Move deliveries to ``state``, with a fact for each; what stood by only for them is not needed any more."""
    if not ids:
        return
    if state is _S.SUPERSEDED:  # somebody may have posted it and not said so yet
        connection.execute(_DOUBT_BY_HAND, [{"key": key} for key in ids])
    change = {"to_state": state, "at": at, "why": reason, "words": detail}
    connection.execute(_MOVE, [{"key": key, **change} for key in ids])
    add_facts(connection, at, ((f"delivery.{state}", key, {"detail": detail}) for key in ids))
    _stand_down(connection, at, _standing_by(connection, {AlertId(key.partition(":")[0]) for key in ids}))


def states_of(connection: Connection, ids: Sequence[str]) -> dict[str, tuple[DeliveryState, int]]:
    """State and number of attempts of each delivery."""
    found: dict[str, tuple[DeliveryState, int]] = {}
    for at in range(0, len(ids), _CHUNK):
        rows = connection.execute(_STATES, {"ids": ids[at : at + _CHUNK]})
        found |= {row.id: (_S(row.state), row.attempts) for row in rows}
    return found


def settle_standbys(connection: Connection, at: datetime, alerts: Collection[AlertId] | None = None) -> list[Called]:
    """Queue what stands by for a failed or expired delivery, cancel what is not needed any more; those queued.

    Of ``alerts``, or of all. What may still be needed goes on standing by.
    """
    waiting = _standing_by(connection, alerts)
    called = _stand_in(connection, at, waiting)
    _stand_down(connection, at, waiting)
    return called


def _stand_in(connection: Connection, at: datetime, waiting: _Waiting) -> list[Called]:
    notes = {}
    for standby, primaries in waiting.items():
        failed = next((f"{channel}: {state}" for channel, state in primaries.items() if state in UNSAID), None)
        if failed is not None:
            notes[standby] = f"standby for {failed}"
    if not notes:
        return []
    d = t.deliveries.c
    connection.execute(_CALL, [{"key": key, "at": at, "note": note} for key, note in notes.items()])
    add_facts(connection, at, ((f"delivery.{_S.QUEUED}", key, {"note": note}) for key, note in notes.items()))
    found = connection.execute(select(t.deliveries).where(d.id.in_(notes)).order_by(d.id))
    return with_alerts(connection, [delivery_of(row) for row in found])


def _stand_down(connection: Connection, at: datetime, waiting: _Waiting) -> None:
    over = ENDED - UNSAID
    spared = [standby for standby, primaries in waiting.items() if over.issuperset(primaries.values())]
    set_state(connection, spared, _S.CANCELLED, at, reason="cancelled", detail="not needed")


def _standing_by(connection: Connection, alerts: Collection[AlertId] | None) -> _Waiting:
    asked = (_STANDING_BY,) if alerts is None else (_STANDING_BY_IN, {"alerts": list(alerts)})
    rows = connection.execute(*asked).all()
    states = states_of(connection, sorted({f"{row.alert}:{name}" for row in rows for name in row.fallback_of}))
    unwritten = (None, 0)
    return {row.id: {name: states.get(f"{row.alert}:{name}", unwritten)[0] for name in row.fallback_of} for row in rows}
