"""How the daemon itself is doing, for machines: alive, ready, measured, described."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from aiohttp import web
from prometheus_client import CONTENT_TYPE_LATEST, generate_latest

from dispatcher.console.auth import Role
from dispatcher.console.context import Context
from dispatcher.console.openapi import DESCRIPTION
from dispatcher.console.problems import HttpProblem
from dispatcher.console.routing import Call, Routes
from dispatcher.console.schemas import Nothing, WhichCanaries
from dispatcher.console.views import answer, condition_view
from dispatcher.model.channel import ChannelId
from dispatcher.model.errors import ConfigurationError
from dispatcher.model.readiness import Condition
from dispatcher.telemetry import REGISTRY

routes = Routes()


@routes("GET /healthz", role=None, reads=Nothing)
async def healthz(_call: Call[Nothing]) -> web.Response:
    """Answer as long as the process lives."""
    return answer({"status": "ok"})


@routes("GET /readyz", role=None, reads=Nothing)
async def readyz(call: Call[Nothing]) -> web.Response:
    """Say whether this daemon can be relied on, and if not, why."""
    states = call.context.ready()
    missing = [name for name, good in states.items() if not good]
    if missing:
        raise HttpProblem(503, f"not ready: {', '.join(missing)}", ready=dict(states))
    return answer({"status": "ready", "ready": dict(states)})


@routes("POST /api/v1/reload", role=Role.OPERATOR, reads=Nothing)
async def reload(call: Call[Nothing]) -> web.Response:
    """Read the configuration files again; where no daemon could run with them, the running set stays."""
    if call.context.reload is None:
        raise HttpProblem(409, "this daemon was started without files")
    try:
        found = await call.context.reload()
    except ConfigurationError as error:
        said = [str(problem) for problem in error.problems]
        raise HttpProblem(422, "the running configuration stays", problems=said) from None
    return answer({"problems": [str(problem) for problem in found]})


@routes("GET /api/v1/readiness", role=Role.VIEWER, reads=Nothing)
async def readiness(call: Call[Nothing]) -> web.Response:
    """Say of each channel whether it could post, as its last probe found it, and when it was last proven live."""
    return answer({"channels": _board(call.context, call.context.board.conditions())})


@routes("POST /api/v1/canary", role=Role.OPERATOR, reads=WhichCanaries)
async def canary(call: Call[WhichCanaries]) -> web.Response:
    """Post a test to the private targets of channels and read it back."""
    named = [ChannelId(name) for name in call.data.channels]
    return answer({"channels": _board(call.context, await call.context.board.sing(named or None))})


def _board(context: Context, conditions: Sequence[Condition]) -> list[dict[str, Any]]:
    profiles = context.deployment.channels
    return [condition_view(one, profiles[one.channel]) for one in conditions if one.channel in profiles]


@routes("GET /metrics", role=Role.VIEWER, reads=Nothing)
async def metrics(_call: Call[Nothing]) -> web.Response:
    """Give the metrics in Prometheus' text format."""
    return web.Response(body=generate_latest(REGISTRY), headers={"Content-Type": CONTENT_TYPE_LATEST})


@routes("GET /openapi.json", role=Role.VIEWER, reads=Nothing)
async def openapi(call: Call[Nothing]) -> web.Response:
    """Describe this interface, as OpenAPI 3.1."""
    return web.Response(text=call.request.app[DESCRIPTION], content_type="application/json")
