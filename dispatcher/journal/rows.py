"""Rows to words and back: the only place that knows how a delivery lies in its table."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import fields
from operator import attrgetter, itemgetter
from typing import Any

from sqlalchemy import Connection, Row, bindparam, select

from dispatcher.journal.prepared import prepared
from dispatcher.journal.tables import alerts, deliveries
from dispatcher.model.alert import Alert
from dispatcher.model.delivery import Delivery, DeliveryState, Reason, Verb

_FIELDS = tuple(field.name for field in fields(Delivery))
_SAID = attrgetter("id", *_FIELDS)
_VALUES = itemgetter(*(deliveries.c.keys().index(name) for name in _FIELDS))
_BODIES = prepared(select(alerts.c.id, alerts.c.body).where(alerts.c.id.in_(bindparam("ids", expanding=True))))


def delivery_row(delivery: Delivery) -> dict[str, Any]:
    """Column values of a delivery, its id included."""
    return dict(zip(("id", *_FIELDS), _SAID(delivery), strict=True))


def delivery_of(row: Row[Any]) -> Delivery:
    """The delivery in a whole row of the deliveries table."""
    values = dict(zip(_FIELDS, _VALUES(row), strict=True))
    values["state"] = DeliveryState(values["state"])
    values["verb"] = Verb(values["verb"])
    values["reason"] = Reason(values["reason"]) if values["reason"] else None
    return Delivery(**values)


def with_alerts(connection: Connection, found: Sequence[Delivery]) -> list[tuple[Delivery, Alert]]:
    """Each delivery with the frozen alert that holds its text."""
    wanted = {"ids": list({delivery.alert for delivery in found})}
    bodies = {row.id: Alert.from_json(row.body) for row in connection.execute(_BODIES, wanted)}
    return [(delivery, bodies[delivery.alert]) for delivery in found]
