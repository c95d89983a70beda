"""Everything the page shows, gathered once for all who look: however many they are, the journal is asked once a change."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import partial
from typing import Any

from sqlalchemy import Connection

from dispatcher.console import lookups
from dispatcher.console.context import Context
from dispatcher.console.views import alert_in_full, alert_view, delivery_view, encoded, letter_view
from dispatcher.journal import queries
from dispatcher.model.alert import Alert, post_for
from dispatcher.model.delivery import Delivery, DeliveryState
from dispatcher.model.deployment import Deployment

INCIDENTS, HELD, BY_HAND, REST = 50, 20, 100, 20


@dataclass(slots=True)
class Snapshots:
    """The latest snapshot as JSON text, made anew when the journal has moved on."""

    context: Context
    _lock: asyncio.Lock = field(default_factory=asyncio.Lock)
    _state: tuple[int, Mapping[str, bool]] | None = None
    _text: str = ""

    async def latest(self) -> str:
        """What is the case now."""
        async with self._lock:
            journal, ready = self.context.journal, dict(self.context.ready())
            state = (await journal.read(queries.last_seq), ready)
            if state != self._state:
                gathered = await journal.read(partial(_gathered, deployment=self.context.deployment))
                self._text = encoded({"ready": ready, "problems": self._problems(), **gathered})
                self._state = state
            return self._text

    def _problems(self) -> list[str]:
        return [str(problem) for problem in self.context.problems]


def _gathered(connection: Connection, deployment: Deployment) -> dict[str, Any]:
    """One consistent look at the journal; ``seq`` says how far it goes."""
    held = queries.alert_records(connection, state="held", limit=HELD)
    by_hand = queries.deliveries(connection, state=DeliveryState.BY_HAND, limit=BY_HAND)
    return {
        "seq": queries.last_seq(connection),
        "incidents": queries.incidents(connection, limit=INCIDENTS),
        "held": [alert_in_full(record, deployment) for record in held],
        "by_hand": _tasks(connection, by_hand, deployment),
        "pages": [_page_view(record) for record in lookups.pages(connection, REST)],
        "letters": [letter_view(letter) for letter in queries.letters(connection, limit=REST)],
    }


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
    return {"body": body, "purpose": alert.purpose, "place": alert.place}


def _page_view(record: queries.AlertRecord) -> dict[str, Any]:
    """A page with what was said in it, which is the same on all staff channels but for its length."""
    longest = max((texts.first.body for texts in record.alert.texts.values()), key=len, default="")
    return alert_view(record) | {"body": longest}
