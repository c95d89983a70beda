"""What would become of a message, shown without sending it: the event it is, the playbooks' answers, the channels."""

from __future__ import annotations

from dataclasses import asdict
from datetime import UTC, datetime
from typing import Any

from dispatcher.intake.reader import read_as
from dispatcher.model.delivery import IncidentId
from dispatcher.model.errors import Unreadable
from dispatcher.model.incident import IncidentEvent, IncidentHistory
from dispatcher.model.source import Source
from dispatcher.plan.event import plan_event
from dispatcher.settings import Loaded


def rehearse(payload: bytes, name: str, loaded: Loaded) -> dict[str, Any]:
    """What ``payload`` from source ``name`` would lead to as the first word on its incident; says why where nothing."""
    now = datetime.now(UTC)
    source = loaded.deployment.sources.get(name, Source())
    if source is None:
        return {"state": "unreadable", "error": f"source {name} is misconfigured: `dispatcher check` says how"}
    try:
        event = read_as(payload, source, name, now)
    except Unreadable as error:
        return {"state": "unreadable", "field": error.field, "error": str(error)}
    return _planned(event, loaded, now)


def _planned(event: IncidentEvent, loaded: Loaded, now: datetime) -> dict[str, Any]:
    plan = plan_event(event, loaded.deployment, IncidentHistory(id=IncidentId(event.incident)), now)
    alert = plan.alert
    return {
        "state": plan.state,
        "event": {name: value for name, value in asdict(event).items() if value and name not in ("warnings", "unknown")},
        "notes": plan.notes,
        "pages": [{"cause": page.cause, "headline": page.cause.headline} for page in plan.pages],
        "alert": None if alert is None else {
            "playbook": alert.playbook, "purpose": alert.purpose, "held": alert.held, "people": alert.people,
            "channels": [planned.channel for planned in alert.plan],
        },
    }  # fmt: skip
