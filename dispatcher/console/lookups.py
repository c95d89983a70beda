"""What only people ask the journal for: plain functions over a `Connection`, like those of the journal itself."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from datetime import datetime
from typing import Any

from sqlalchemy import Connection, func, select

from dispatcher.journal import queries
from dispatcher.journal import tables as t
from dispatcher.journal.queries import AlertRecord
from dispatcher.model.delivery import AlertId, Delivery

_d = t.deliveries.c


def dated(connection: Connection, found: Sequence[Delivery]) -> list[tuple[Delivery, datetime]]:
    """Deliveries with the time of their latest change."""
    statement = select(_d.id, _d.updated_at).where(_d.id.in_([delivery.id for delivery in found]))
    changed = {row.id: row.updated_at for row in connection.execute(statement)}
    return [(delivery, changed[delivery.id]) for delivery in found]


def pages(connection: Connection, limit: int) -> list[AlertRecord]:
    """Pages to staff, newest first."""
    a = t.alerts.c
    ids = select(a.id).where(t.IS_PAGE).order_by(a.created_at.desc()).limit(limit)
    found = (queries.alert_record(connection, AlertId(key)) for key in connection.execute(ids).scalars())
    return [record for record in found if record is not None]


def channel_counts(connection: Connection) -> dict[str, dict[str, int]]:
    """For each channel, how many deliveries are in which state."""
    counts: dict[str, dict[str, int]] = defaultdict(dict)
    for channel, state, count in connection.execute(
        select(_d.channel, _d.state, func.count()).group_by(_d.channel, _d.state)
    ):
        counts[channel][state] = count
    return counts


def channel_latest(connection: Connection) -> dict[str, dict[str, Any]]:
    """For each channel, its delivery that changed last."""
    latest = select(_d.channel, func.max(_d.updated_at).label("at")).group_by(_d.channel).subquery()
    same = (latest.c.channel == _d.channel) & (latest.c.at == _d.updated_at)
    rows = connection.execute(
        select(_d.channel, _d.id, _d.state, _d.reason, _d.updated_at).join(latest, same).order_by(_d.id)
    )
    return {row.channel: {"delivery": row.id, "state": row.state, "reason": row.reason, "at": row.updated_at}
            for row in rows}  # fmt: skip
