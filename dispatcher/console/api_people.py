"""What people decide: updates and ends, releases and rejections, posts by hand, resends. Always with their name."""

from __future__ import annotations

from functools import partial
from typing import Any

from aiohttp import web

from dispatcher.console.api_events import idempotency_key
from dispatcher.console.auth import Role
from dispatcher.console.lookups import dated
from dispatcher.console.routing import Call, Routes
from dispatcher.console.schemas import Confirmation, End, Joining, Nothing, Rejection, Seen, Takeback, Words
from dispatcher.console.views import alert_view, answer, delivery_view
from dispatcher.journal import queries
from dispatcher.model.alert import Purpose
from dispatcher.model.channel import ChannelId
from dispatcher.model.command import Command, Confirm, Farewell, Join, Reject, Release, Renew, Resend, Retract, Speak
from dispatcher.model.delivery import AlertId, DeliveryId, IncidentId
from dispatcher.model.errors import NotFound

routes = Routes()


@routes("POST /api/v1/incidents/{id}/update", role=Role.OPERATOR, reads=Words)
async def update(call: Call[Words]) -> web.Response:
    """Say more about an open incident."""
    return await _speak(call, Purpose.UPDATE)


@routes("POST /api/v1/incidents/{id}/all-clear", role=Role.OPERATOR, reads=End)
async def all_clear(call: Call[End]) -> web.Response:
    """Say that it is over, wherever it was spoken of."""
    return await _speak(call, Purpose.ALL_CLEAR)


@routes("POST /api/v1/incidents/{id}/false-alarm", role=Role.OPERATOR, reads=End)
async def false_alarm(call: Call[End]) -> web.Response:
    """Say that it was a false alarm, wherever it was spoken of, and change what was posted."""
    return await _speak(call, Purpose.FALSE_ALARM)


@routes("POST /api/v1/incidents/{id}/reopen", role=Role.OPERATOR, reads=End)
async def reopen(call: Call[End]) -> web.Response:
    """Say that an incident which had ended goes on, to all who heard of it."""
    return await _speak(call, Purpose.ALERT)


@routes("POST /api/v1/incidents/{id}/join", role=Role.OPERATOR, reads=Joining)
async def join(call: Call[Joining]) -> web.Response:
    """Make this incident part of another one, which speaks for both from now on."""
    own, into = IncidentId(call.path("id")), IncidentId(call.data.into)
    command = Join(person=call.who.person, incident=own, into=into, key=idempotency_key(call))
    await call.context.pipeline.command(command)
    return answer({"incident": own, "into": into})


@routes("POST /api/v1/channels/{id}/farewell", role=Role.OPERATOR, reads=Nothing)
async def farewell(call: Call[Nothing]) -> web.Response:
    """Say a retired channel's prepared farewell, once."""
    return await _alert(call, Farewell(person=call.who.person, channel=ChannelId(call.path("id"))))


@routes("POST /api/v1/alerts/{id}/release", role=Role.OPERATOR, reads=Seen)
async def release(call: Call[Seen]) -> web.Response:
    """Let a held alert out, once as many people as it needs have said so."""
    alert = AlertId(call.path("id"))
    person, data = call.who.person, call.data
    return await _alert(call, Release(person=person, alert=alert, digest=data.digest, break_glass=data.break_glass))


@routes("POST /api/v1/alerts/{id}/renew", role=Role.OPERATOR, reads=Nothing)
async def renew(call: Call[Nothing]) -> web.Response:
    """Compose a held alert anew, with the times of now; it waits again."""
    return await _alert(call, Renew(person=call.who.person, alert=AlertId(call.path("id"))))


@routes("POST /api/v1/alerts/{id}/retract", role=Role.OPERATOR, reads=Takeback)
async def retract(call: Call[Takeback]) -> web.Response:
    """Take an alert back: a correction first, then its posts are changed, deleted, or put into a person's hands."""
    alert, key = AlertId(call.path("id")), idempotency_key(call)
    return await _alert(call, Retract(person=call.who.person, alert=alert, key=key, words=call.data.words))


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


async def _speak(call: Call[Any], purpose: Purpose) -> web.Response:
    said: End = call.data
    more = call.data if isinstance(call.data, Words) else Words(facts={}, words={})
    return await _alert(call, Speak(
        person=call.who.person, incident=IncidentId(call.path("id")), purpose=purpose, key=idempotency_key(call),
        name=more.name, place=said.place or "", facts=said.facts, words=more.words,
        regions=None if more.regions is None else tuple(more.regions),
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
