"""Stopping and resuming: nothing leaves where a person said so, until it is lifted."""

from __future__ import annotations

from dataclasses import asdict

from aiohttp import web

from dispatcher.console.auth import Role
from dispatcher.console.routing import Call, Routes
from dispatcher.console.schemas import Nothing, Resumed, Stopped
from dispatcher.console.views import answer
from dispatcher.journal import standing
from dispatcher.model.command import Resume, Scope, Stop

routes = Routes()


@routes("GET /api/v1/stops", role=Role.VIEWER, reads=Nothing)
async def stops(call: Call[Nothing]) -> web.Response:
    """List the stops that stand, with who made them and who wants them lifted."""
    return await _standing(call)


@routes("POST /api/v1/stop", role=Role.OPERATOR, reads=Stopped)
async def stop(call: Call[Stopped]) -> web.Response:
    """Let nothing start to leave any more: of one incident, on one channel, or at all."""
    wanted = call.data
    await call.context.pipeline.command(
        Stop(person=call.who.person, scope=wanted.scope, ref=wanted.ref, reason=wanted.reason)
    )
    return await _standing(call)


@routes("POST /api/v1/resume", role=Role.OPERATOR, reads=Resumed)
async def resume(call: Call[Resumed]) -> web.Response:
    """Lift a stop: two persons, or one with a reason out of the short list."""
    wanted = call.data
    await call.context.pipeline.command(
        Resume(person=call.who.person, scope=wanted.scope, ref=wanted.ref, break_glass=wanted.break_glass)
    )
    return await _standing(call)


@routes("POST /api/v1/channels/{id}/quarantine", role=Role.OPERATOR, reads=Nothing)
async def quarantine(call: Call[Nothing]) -> web.Response:
    """Stop one channel, whose account may be in wrong hands."""
    scope, reason = Scope.CHANNEL, "quarantine"
    await call.context.pipeline.command(Stop(person=call.who.person, scope=scope, ref=call.path("id"), reason=reason))
    return await _standing(call)


async def _standing(call: Call[Nothing] | Call[Stopped] | Call[Resumed]) -> web.Response:
    found = await call.context.journal.read(standing.stops)
    return answer({"stops": [asdict(row) for row in found]})
