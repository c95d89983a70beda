"""Deliveries that move because of others: what a later text replaces, and standbys, which do what their primaries make needed.

Whoever moves a delivery here or in `steps` moves what stands by for it in the same transaction.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from datetime import datetime

from sqlalchemy import Connection, bindparam, select, update

from dispatcher.journal import tables as t
from dispatcher.journal.log import add_facts
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


def set_state(
    connection: Connection, ids: Sequence[str], state: DeliveryState, at: datetime, *, reason: str | None, detail: str
) -> None:
    """Move deliveries to ``state``, with a fact for each; what stood by only for them is not needed any more."""
    if not ids:
        return
    d, keys = t.deliveries.c, [{"key": key} for key in ids]
    if state is _S.SUPERSEDED:  # somebody may have posted it and not said so yet
        by_hand = update(t.deliveries).where(d.id == bindparam("key"), d.state == _S.BY_HAND)
        connection.execute(by_hand.values(doubtful=True), keys)
    statement = update(t.deliveries).where(d.id == bindparam("key"))
    statement = statement.values(state=state, updated_at=at, reason=reason, detail=detail)
    connection.execute(statement, keys)
    add_facts(connection, at, ((f"delivery.{state}", key, {"detail": detail}) for key in ids))
    _stand_down(connection, at, _standing_by(connection, {AlertId(key.partition(":")[0]) for key in ids}))


def states_of(connection: Connection, ids: Sequence[str]) -> dict[str, tuple[DeliveryState, int]]:
    """State and number of attempts of each delivery."""
    found: dict[str, tuple[DeliveryState, int]] = {}
    d = t.deliveries.c
    for at in range(0, len(ids), _CHUNK):
        rows = connection.execute(select(d.id, d.state, d.attempts).where(d.id.in_(ids[at : at + _CHUNK])))
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
    statement = update(t.deliveries).where(d.id == bindparam("key"))
    statement = statement.values(state=_S.QUEUED, released_at=at, due_at=at, updated_at=at, detail=bindparam("note"))
    connection.execute(statement, [{"key": key, "note": note} for key, note in notes.items()])
    add_facts(connection, at, ((f"delivery.{_S.QUEUED}", key, {"note": note}) for key, note in notes.items()))
    found = connection.execute(select(t.deliveries).where(d.id.in_(notes)).order_by(d.id))
    return with_alerts(connection, [delivery_of(row) for row in found])


def _stand_down(connection: Connection, at: datetime, waiting: _Waiting) -> None:
    over = ENDED - UNSAID
    spared = [standby for standby, primaries in waiting.items() if over.issuperset(primaries.values())]
    set_state(connection, spared, _S.CANCELLED, at, reason="cancelled", detail="not needed")


def _standing_by(connection: Connection, alerts: Collection[AlertId] | None) -> _Waiting:
    d = t.deliveries.c
    statement = select(d.id, d.alert, d.fallback_of).where(d.state == _S.STANDBY).order_by(d.id)
    rows = connection.execute(statement if alerts is None else statement.where(d.alert.in_(alerts))).all()
    states = states_of(connection, sorted({f"{row.alert}:{name}" for row in rows for name in row.fallback_of}))
    unwritten = (None, 0)
    return {row.id: {name: states.get(f"{row.alert}:{name}", unwritten)[0] for name in row.fallback_of} for row in rows}
