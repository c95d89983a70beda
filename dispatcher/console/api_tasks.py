"""What people have to post by hand: the official desk first, then by reach, with everything that is needed to do it."""

from __future__ import annotations

from functools import partial
from typing import Any

from aiohttp import web
from sqlalchemy import Connection

from dispatcher.console import lookups
from dispatcher.console.auth import Role
from dispatcher.console.page import html
from dispatcher.console.routing import Call, Routes
from dispatcher.console.schemas import Nothing
from dispatcher.console.views import answer, delivery_view, unsigned
from dispatcher.journal import queries
from dispatcher.model.alert import Alert, post_for
from dispatcher.model.cap import Region
from dispatcher.model.delivery import Delivery, DeliveryId, DeliveryState
from dispatcher.model.deployment import Deployment
from dispatcher.model.errors import NotFound

routes = Routes()

_MOST = 1_000


@routes("GET /api/v1/tasks", role=Role.VIEWER, reads=Nothing)
async def tasks(call: Call[Nothing]) -> web.Response:
    """List the posts that wait for a person."""
    look = partial(_tasks, deployment=call.context.deployment)
    return answer({"tasks": await call.context.journal.read(look)})


@routes("GET /api/v1/tasks/{id}/sheet", role=Role.VIEWER, reads=Nothing)
async def sheet(call: Call[Nothing]) -> web.Response:
    """The hand-over sheet of one task, to print or to read out."""
    wanted, deployment = DeliveryId(call.path("id")), call.context.deployment
    found = await call.context.journal.read(partial(_task_of, wanted=wanted, deployment=deployment))
    if found is None:
        raise NotFound(f"no delivery {wanted}")
    return html("task.html", call.context, task=found)


def _tasks(connection: Connection, deployment: Deployment) -> list[dict[str, Any]]:
    found = queries.deliveries(connection, state=DeliveryState.BY_HAND, limit=_MOST)
    records = {key: queries.alert_record(connection, key) for key in {delivery.alert for delivery in found}}
    views = [
        delivery_view(delivery, changed_at, deployment) | _task(delivery, record.alert, deployment)
        for delivery, changed_at in lookups.dated(connection, found)
        if (record := records[delivery.alert]) is not None
    ]
    return sorted(views, key=lambda task: (not task["official"], -task["reach"], task["id"]))


def _task_of(connection: Connection, wanted: DeliveryId, deployment: Deployment) -> dict[str, Any] | None:
    delivery = queries.delivery(connection, wanted)
    record = queries.alert_record(connection, delivery.alert) if delivery else None
    if delivery is None or record is None:
        return None
    [(_, changed_at)] = lookups.dated(connection, [delivery])
    return delivery_view(delivery, changed_at, deployment) | _task(delivery, record.alert, deployment)


def _task(delivery: Delivery, alert: Alert, deployment: Deployment) -> dict[str, Any]:
    """What a person needs: the text, where, in the keys of the warning systems, and where to post it."""
    text = post_for(alert, delivery, repeat=delivery.doubtful).text
    playbook, profile = deployment.playbook(alert.playbook), deployment.channel(delivery.channel)
    return {
        "purpose": alert.purpose, "code": alert.code, "place": alert.place, "headline": text.headline, "body": unsigned(text.body),
        "languages": text.languages, "event_code": playbook.event_code if playbook else "",
        "severity": alert.severity, "created_at": alert.created_at,
        "areas": [_area(region) for region in deployment.regions if region.id in alert.regions],
        "official": bool(profile and profile.official), "reach": profile.reach if profile else 0,
        "link": profile.link if profile else "", "instructions": profile.instructions if profile else "",
    }  # fmt: skip


def _area(region: Region) -> dict[str, str]:
    """A region with its keys: the AGS as configured, and the 12 digits of a district's ARS, which follow from it."""
    ars = region.ags.ljust(12, "0") if len(region.ags) == 5 else ""
    return {"id": region.id, "name": region.name, "ags": region.ags, "ars": ars}
