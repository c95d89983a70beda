"""What people decide: updates and ends, releases and rejections, posts by hand, resends. Always with their name."""

from __future__ import annotations

from functools import partial
from typing import Any

from aiohttp import web

from dispatcher.console.api_events import idempotency_key
from dispatcher.console.auth import Role
from dispatcher.console.lookups import dated
from dispatcher.console.routing import Call, Routes
from dispatcher.console.schemas import Confirmation, Nothing, Rejection, Seen, Words
from dispatcher.console.views import alert_view, answer, delivery_view
from dispatcher.journal import queries
from dispatcher.model.alert import Purpose
from dispatcher.model.command import Command, Confirm, Reject, Release, Resend, Speak
from dispatcher.model.delivery import AlertId, DeliveryId, IncidentId
from dispatcher.model.errors import NotFound

routes = Routes()


@routes("POST /api/v1/incidents/{id}/update", role=Role.OPERATOR, reads=Words)
async def update(call: Call[Words]) -> web.Response:
    """Say more about an open incident."""
    return await _speak(call, Purpose.UPDATE)


@routes("POST /api/v1/incidents/{id}/all-clear", role=Role.OPERATOR, reads=Words)
async def all_clear(call: Call[Words]) -> web.Response:
    """Say that it is over, wherever it was spoken of."""
    return await _speak(call, Purpose.ALL_CLEAR)


@routes("POST /api/v1/incidents/{id}/false-alarm", role=Role.OPERATOR, reads=Words)
async def false_alarm(call: Call[Words]) -> web.Response:
    """Say that it was a false alarm, wherever it was spoken of."""
    return await _speak(call, Purpose.FALSE_ALARM)


@routes("POST /api/v1/alerts/{id}/release", role=Role.OPERATOR, reads=Seen)
async def release(call: Call[Seen]) -> web.Response:
    """Let a held alert out, once as many people as it needs have said so."""
    alert = AlertId(call.path("id"))
    return await _alert(call, Release(person=call.who.person, alert=alert, digest=call.data.digest))


@routes("POST /api/v1/alerts/{id}/reject", role=Role.OPERATOR, reads=Rejection)
async def reject(call: Call[Rejection]) -> web.Response:
    """End a held alert: nobody will hear it."""
    return await _alert(call, Reject(person=call.who.person, alert=AlertId(call.path("id")), reason=call.data.reason))


@routes("POST /api/v1/deliveries/{id}/confirm", role=Role.OPERATOR, reads=Confirmation)
async def confirm(call: Call[Confirmation]) -> web.Response:
    """Say that you have posted by hand."""
    delivery = DeliveryId(call.path("id"))
    return await _delivery(call, Confirm(person=call.who.person, delivery=delivery, url=call.data.url))


@routes("POST /api/v1/deliveries/{id}/resend", role=Role.OPERATOR, reads=Nothing)
async def resend(call: Call[Nothing]) -> web.Response:
    """Try a failed delivery again."""
    return await _delivery(call, Resend(person=call.who.person, delivery=DeliveryId(call.path("id"))))


async def _speak(call: Call[Words], purpose: Purpose) -> web.Response:
    words = call.data
    return await _alert(call, Speak(
        person=call.who.person, incident=IncidentId(call.path("id")), purpose=purpose, key=idempotency_key(call),
        name=words.name, place=words.place or "", facts=words.facts,
    ))  # fmt: skip


async def _alert(call: Call[Any], command: Command) -> web.Response:
    """Carry out ``command``; the alert as it is now."""
    alert = AlertId(await call.context.pipeline.command(command))
    record = await call.context.journal.read(partial(queries.alert_record, alert=alert))
    if record is None:
        raise NotFound(f"no alert {alert}")
    return answer(alert_view(record))


async def _delivery(call: Call[Any], command: Command) -> web.Response:
    """Carry out ``command``; the delivery as it is now."""
    wanted = DeliveryId(await call.context.pipeline.command(command))
    delivery = await call.context.journal.read(partial(queries.delivery, wanted=wanted))
    if delivery is None:
        raise NotFound(f"no delivery {wanted}")
    [(found, changed_at)] = await call.context.journal.read(partial(dated, found=[delivery]))
    return answer(delivery_view(found, changed_at, call.context.deployment))
