"""Everything the page shows, in one piece."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from sqlalchemy import Connection

from dispatcher.console import lookups
from dispatcher.console.views import alert_in_full, alert_view, delivery_view, letter_view, unsigned
from dispatcher.journal import queries
from dispatcher.journal.queries import AlertRecord
from dispatcher.model.alert import Alert, post_for
from dispatcher.model.delivery import Delivery, DeliveryState
from dispatcher.model.deployment import Deployment

INCIDENTS, HELD, BY_HAND, REST = 50, 100, 100, 20


def snapshot(
    connection: Connection,
    deployment: Deployment,
    ready: Mapping[str, bool],
    problems: list[str],
    channels: Mapping[str, int],
) -> dict[str, Any]:
    """One consistent look at the journal; ``seq`` says how far it goes."""
    held = queries.alert_records(connection, state="held", limit=HELD, oldest=True)
    by_hand = queries.deliveries(connection, state=DeliveryState.BY_HAND, limit=BY_HAND)
    return {
        "seq": queries.last_seq(connection), "ready": ready, "problems": problems,
        "channels": channels,
        "incidents": queries.incidents(connection, limit=INCIDENTS),
        "held": [alert_in_full(record, deployment) for record in held],
        "by_hand": _tasks(connection, by_hand, deployment),
        "pages": [_page_view(record) for record in lookups.pages(connection, REST)],
        "letters": [letter_view(letter) for letter in queries.letters(connection, limit=REST)],
    }  # fmt: skip


def _tasks(connection: Connection, found: list[Delivery], deployment: Deployment) -> list[dict[str, Any]]:
    """What people have to post by hand, with the text to copy."""
    records = {key: queries.alert_record(connection, key) for key in {delivery.alert for delivery in found}}
    alerts = {key: record.alert for key, record in records.items() if record}
    return [
        delivery_view(delivery, changed_at, deployment) | _task(delivery, alerts[delivery.alert])
        for delivery, changed_at in lookups.dated(connection, found)
    ]


def _task(delivery: Delivery, alert: Alert) -> dict[str, Any]:
    body = post_for(alert, delivery, repeat=delivery.doubtful).text.body
    return {"body": unsigned(body), "purpose": alert.purpose, "place": alert.place}


def _page_view(record: AlertRecord) -> dict[str, Any]:
    """A page with what was said in it, which is the same on all staff channels but for its length."""
    longest = max((texts.first.body for texts in record.alert.texts.values()), key=len, default="")
    return alert_view(record) | {"body": unsigned(longest)}
