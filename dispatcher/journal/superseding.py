"""What a later word takes away: deliveries that have not left, and alerts that wait for a person.

Whoever releases or writes an alert supersedes in the same transaction.
"""

from __future__ import annotations

import json
from collections.abc import Collection
from datetime import datetime

from sqlalchemy import Connection, and_, bindparam, func, or_, select, update

from dispatcher.journal import tables as t
from dispatcher.journal.log import add_facts
from dispatcher.journal.moves import set_state
from dispatcher.journal.prepared import prepared
from dispatcher.model.alert import Alert, Purpose
from dispatcher.model.delivery import UNTRIED, DeliveryState, IncidentId, Verb

PARTIAL = "partial_end"  # how the end of some channels stands in the table of alerts, beside the purposes

_UNSEEN = [*UNTRIED, DeliveryState.BY_HAND, DeliveryState.IN_DOUBT]
_d, _a = t.deliveries.c, t.alerts.c
_TEXTS = select(_d.id).where(_d.incident == bindparam("of"), _d.alert != bindparam("by"), _d.verb == Verb.POST)
_BEFORE_AN_END = prepared(
    _TEXTS.where(or_(_d.state == DeliveryState.HELD, and_(_d.revision < bindparam("before"), _d.state.in_(_UNSEEN))))
)
# The end for channels that this very word leaves behind waits for people of its own.
_ITS_OWN = select(_a.id).where(
    _a.incident == bindparam("of"), _a.purpose == PARTIAL, _a.created_at == bindparam("made_at")
)
_BEFORE_A_TEXT = prepared(_TEXTS.where(
    _d.revision < bindparam("before"), _d.state.in_(bindparam("states", expanding=True)), _d.alert.not_in(_ITS_OWN),
    _d.channel.in_(bindparam("channels", expanding=True)),
))  # fmt: skip
# By alert, for there is an index: whatever else stands by or is held is not looked at.
_ITS_ALERTS = select(_a.id).where(_a.incident == bindparam("of"))
_STANDBYS = prepared(select(_d.id).where(_d.alert.in_(_ITS_ALERTS), _d.state == DeliveryState.STANDBY))
# With nothing added, so that SQLite looks at the incident's alerts and not at all that are held.
_IS_HELD = _a.state + "" == "held"
_HELD = prepared(select(_a.id, _a.body).where(_a.incident == bindparam("of"), _a.id != bindparam("by"), _IS_HELD))
_HELD_FOR_NOTHING = prepared(
    _HELD.where(
        _a.revision < bindparam("before"),
        _a.id.not_in(select(_d.alert).where(_d.alert.in_(_ITS_ALERTS), _d.state == DeliveryState.HELD)),
    )
)
_ROWS = prepared(select(func.count()).where(_d.alert == bindparam("alert")))


def supersede(connection: Connection, alert: Alert, at: datetime) -> None:
    """Take out of the queue what ``alert`` replaces: an end everything earlier, an update what its channels never tried."""
    if alert.purpose is Purpose.RETRACTION:
        return
    detail, of = f"by {alert.purpose} {alert.code}", {"of": alert.incident, "by": alert.id, "before": alert.revision}
    if _ends_all(alert):
        standbys = connection.execute(_STANDBYS, {"of": alert.incident}).scalars().all()
        set_state(connection, standbys, DeliveryState.CANCELLED, at, reason="cancelled", detail=detail)
        ids = connection.execute(_BEFORE_AN_END, of).scalars().all()
    else:
        states, channels = _UNSEEN if alert.partial else list(UNTRIED), [planned.channel for planned in alert.plan]
        these = {**of, "states": states, "channels": channels, "made_at": alert.created_at}
        ids = connection.execute(_BEFORE_A_TEXT, these).scalars().all()
    set_state(connection, ids, DeliveryState.SUPERSEDED, at, reason=None, detail=detail)
    _supersede_held(connection, alert, at)


def _ends_all(alert: Alert) -> bool:
    return alert.purpose.ends and not alert.partial


def _supersede_held(connection: Connection, alert: Alert, at: datetime) -> None:
    """Nobody shall release what was replaced: all that waits before an end, else what has no delivery left to let out."""
    whole, of = _ends_all(alert), {"of": alert.incident, "by": alert.id}
    asked = (_HELD, of) if whole else (_HELD_FOR_NOTHING, {**of, "before": alert.revision})
    found = connection.execute(*asked).all()
    ids = [row.id for row in found if whole or _has_its_rows(connection, row.id, row.body)]
    if ids:
        connection.execute(update(t.alerts).where(_a.id.in_(ids)).values(state="superseded"))
    add_facts(connection, at, (("alert.superseded", key, {"incident": alert.incident, "by": alert.id}) for key in ids))


def _has_its_rows(connection: Connection, alert: str, body: str) -> bool:
    return connection.execute(_ROWS, {"alert": alert}).scalar() == len(json.loads(body)["plan"])


def take_out(
    connection: Connection, incident: IncidentId, revision: int, at: datetime, *,
    channels: Collection[str] | None = None, detail: str = "the area leaves this channel behind",
) -> None:  # fmt: skip
    """Nothing of ``incident`` before ``revision`` leaves any more, on ``channels`` or, without them, anywhere."""
    d, a = t.deliveries.c, t.alerts.c
    where = [d.incident == incident, d.revision < revision, d.verb == Verb.POST, d.state.in_(_UNSEEN)]
    if channels is not None:
        where.append(d.channel.in_(channels))
    ids = connection.execute(select(d.id).where(*where)).scalars().all()
    set_state(connection, ids, DeliveryState.SUPERSEDED, at, reason=None, detail=detail)
    if channels is not None:
        # A crash forgets the fence that holds what is being sent there, but not when its time is over.
        sent = (*where[:3], d.state == DeliveryState.SENDING, d.channel.in_(channels))
        connection.execute(update(t.deliveries).where(*sent).values(deadline_at=at))
    else:
        held = (a.incident == incident, _IS_HELD)
        gone = connection.execute(select(a.id).where(*held)).scalars().all()
        connection.execute(update(t.alerts).where(*held).values(state="superseded"))
        add_facts(connection, at, (("alert.superseded", key, {"incident": incident, "by": detail}) for key in gone))
