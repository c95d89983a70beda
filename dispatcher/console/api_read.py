"""What people look at: incidents, alerts, deliveries, channels, dead letters, and all that changes, live."""

from __future__ import annotations

from collections import Counter
from functools import partial
from typing import Any, TypeVar

from aiohttp import web
from sqlalchemy import Connection

from dispatcher.console import lookups
from dispatcher.console.auth import Role
from dispatcher.console.routing import Call, Routes, still_recognised
from dispatcher.console.schemas import Limited, Nothing, WhichAlerts, WhichDeliveries
from dispatcher.console.shared import SHARED
from dispatcher.console.snapshot import snapshot
from dispatcher.console.stream import stream_facts
from dispatcher.console.views import (
    alert_in_full,
    alerts_view,
    answer,
    channel_view,
    delivery_view,
    letter_view,
    reach,
    updates_view,
)
from dispatcher.journal import queries
from dispatcher.model.channel import ChannelId
from dispatcher.model.delivery import AlertId, DeliveryId, IncidentId
from dispatcher.model.deployment import Deployment
from dispatcher.model.errors import NotFound
from dispatcher.model.incident import IncidentHistory

routes = Routes()
T = TypeVar("T")

_MANY = 10_000


@routes("GET /api/v1/incidents", role=Role.VIEWER, reads=Limited)
async def incidents(call: Call[Limited]) -> web.Response:
    """List incidents, latest change first."""
    found = await call.context.journal.read(partial(queries.incidents, limit=call.data.limit))
    return answer({"incidents": found})


@routes("GET /api/v1/incidents/{id}", role=Role.VIEWER, reads=Nothing)
async def incident(call: Call[Nothing]) -> web.Response:
    """Show one incident with its events, alerts and deliveries."""
    wanted = IncidentId(call.path("id"))
    look = partial(_incident, wanted=wanted, deployment=call.context.deployment)
    return _json(_found(await call.request.app[SHARED].text(f"incident {wanted}", look), f"no incident {wanted}"))


@routes("GET /api/v1/alerts", role=Role.VIEWER, reads=WhichAlerts)
async def alerts(call: Call[WhichAlerts]) -> web.Response:
    """List alerts, newest first."""
    query = call.data
    incident = IncidentId(query.incident) if query.incident else None
    unit = partial(queries.alert_records, incident=incident, state=query.state, limit=query.limit)
    return answer({"alerts": alerts_view(await call.request.app[SHARED].long(unit))})


@routes("GET /api/v1/alerts/{id}", role=Role.VIEWER, reads=Nothing)
async def alert(call: Call[Nothing]) -> web.Response:
    """Show one alert with its texts, its plan and its deliveries."""
    wanted = AlertId(call.path("id"))
    unit = partial(_alert, wanted=wanted, deployment=call.context.deployment)
    return answer(_found(await call.context.journal.read(unit), f"no alert {wanted}"))


@routes("GET /api/v1/deliveries", role=Role.VIEWER, reads=WhichDeliveries)
async def deliveries(call: Call[WhichDeliveries]) -> web.Response:
    """List deliveries, latest change first."""
    query = call.data
    unit = partial(
        _deliveries, deployment=call.context.deployment, state=query.state, open_only=query.open, limit=query.limit,
        channel=ChannelId(query.channel) if query.channel else None, alert=AlertId(query.alert) if query.alert else None,
        incident=IncidentId(query.incident) if query.incident else None,
    )  # fmt: skip
    return answer({"deliveries": await call.request.app[SHARED].long(unit)})


@routes("GET /api/v1/deliveries/{id}", role=Role.VIEWER, reads=Nothing)
async def delivery(call: Call[Nothing]) -> web.Response:
    """Show one delivery with all its attempts."""
    wanted = DeliveryId(call.path("id"))
    unit = partial(_delivery, wanted=wanted, deployment=call.context.deployment)
    return answer(_found(await call.context.journal.read(unit), f"no delivery {wanted}"))


@routes("GET /api/v1/channels", role=Role.VIEWER, reads=Nothing)
async def channels(call: Call[Nothing]) -> web.Response:
    """List the channels, those last that are retired, with what each has done so far."""
    long = call.request.app[SHARED].long
    counts, latest = await long(lookups.channel_counts), await long(lookups.channel_latest)
    deployment = call.context.deployment
    profiles = (*deployment.channels.values(), *deployment.retired())
    return answer({"channels": [channel_view(p, counts.get(p.id), latest.get(p.id)) for p in profiles]})


@routes("GET /api/v1/letters", role=Role.VIEWER, reads=Limited)
async def letters(call: Call[Limited]) -> web.Response:
    """List what came in and could not be read, newest first."""
    found = await call.context.journal.read(partial(queries.letters, limit=call.data.limit))
    return answer({"letters": [letter_view(letter) for letter in found]})


@routes("GET /api/v1/stream", role=Role.VIEWER, reads=Nothing)
async def stream(call: Call[Nothing]) -> web.StreamResponse:
    """Follow the log of facts by server-sent events; Last-Event-ID takes it up again."""
    still = partial(still_recognised, call.request, call.context)
    return await stream_facts(call.request, call.context.hub, call.context.journal, still)


@routes("GET /api/v1/snapshot", role=Role.VIEWER, reads=Nothing)
async def all_at_once(call: Call[Nothing]) -> web.Response:
    """Give all that the page shows, in one piece."""
    context, ready = call.context, dict(call.context.ready())
    problems = [str(problem) for problem in context.problems]
    channels = Counter(condition.state.value for condition in context.board.conditions())
    look = partial(snapshot, deployment=context.deployment, ready=ready, problems=problems, channels=channels)
    key = f"snapshot {ready} {sorted(channels.items())}"
    return _json(_found(await call.request.app[SHARED].text(key, look), "no snapshot"))


def _found(data: T | None, otherwise: str) -> T:
    if data is None:
        raise NotFound(otherwise)
    return data


def _json(text: str) -> web.Response:
    return web.Response(text=text, content_type="application/json")


def _incident(connection: Connection, wanted: IncidentId, deployment: Deployment) -> dict[str, Any] | None:
    row = queries.incident(connection, wanted)
    if row is None:
        return None
    history = queries.history(connection, wanted)
    return row | _next_words(history, deployment) | {
        "events": queries.events_of(connection, wanted),
        "alerts": alerts_view(queries.alert_records(connection, incident=wanted)),
        "deliveries": _deliveries(connection, deployment, incident=wanted, limit=_MANY),
    }  # fmt: skip


def _next_words(history: IncidentHistory, deployment: Deployment) -> dict[str, Any]:
    """What a person may say next: the playbook's named updates, and how far words would reach."""
    playbook = deployment.speaker(history.playbook) if history.playbook else None
    if playbook is None:
        return {"title": history.kind, "reach": {"update": 0, "end": 0}, "updates": []}
    return {"title": playbook.title, "reach": reach(history, playbook, deployment), "updates": updates_view(playbook)}


def _alert(connection: Connection, wanted: AlertId, deployment: Deployment) -> dict[str, Any] | None:
    record = queries.alert_record(connection, wanted)
    if record is None:
        return None
    return alert_in_full(record, deployment) | {
        "deliveries": _deliveries(connection, deployment, alert=wanted, limit=_MANY)
    }  # fmt: skip


def _delivery(connection: Connection, wanted: DeliveryId, deployment: Deployment) -> dict[str, Any] | None:
    found = queries.delivery(connection, wanted)
    if found is None:
        return None
    [(_, changed_at)] = lookups.dated(connection, [found])
    return delivery_view(found, changed_at, deployment) | {"history": queries.attempts(connection, wanted)}


def _deliveries(connection: Connection, deployment: Deployment, **which: Any) -> list[dict[str, Any]]:
    found = lookups.dated(connection, queries.deliveries(connection, **which))
    return [delivery_view(delivery, changed_at, deployment) for delivery, changed_at in found]
