"""The page for people: log in, see everything at once, decide. Its words are German, its data comes from the interface."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any, Final

from aiohttp import web
from jinja2 import Environment, FileSystemLoader, StrictUndefined

from dispatcher.console import sessions
from dispatcher.console.auth import Identity, Role
from dispatcher.console.context import Context
from dispatcher.console.problems import HttpProblem
from dispatcher.console.routing import COOKIE, Call, Route, Routes, check_origin, recognised, refuse
from dispatcher.console.schemas import Credentials, Nothing, Ticket
from dispatcher.console.views import answer

_HERE: Final = Path(__file__).parent
_TYPES: Final = {".css": "text/css", ".js": "text/javascript", ".svg": "image/svg+xml"}

routes = Routes()
_templates = Environment(
    loader=FileSystemLoader(_HERE / "templates"), autoescape=True, undefined=StrictUndefined, trim_blocks=True
)


@routes("GET /", role=None, reads=Nothing)
async def page(call: Call[Nothing]) -> web.Response:
    """Show the page, or the way to log in."""
    return await _for_people(call, "page.html")


@routes("GET /readiness", role=None, reads=Nothing)
async def readiness(call: Call[Nothing]) -> web.Response:
    """Show how ready each channel is, or the way to log in."""
    return await _for_people(call, "readiness.html")


@routes("GET /login", role=None, reads=Ticket)
async def login(call: Call[Ticket]) -> web.Response:
    """Begin a session with a one-time link, or ask for a token."""
    if not call.data.ticket:
        return html("login.html", call.context)
    who = call.context.tickets.redeem(call.data.ticket) or refuse(
        call.request, call.context, "this link was used or is too old"
    )
    return await _begin(call, who, web.Response(status=303, headers={"Location": "/"}))


@routes("POST /api/v1/session", role=None, reads=Credentials)
async def begin(call: Call[Credentials]) -> web.Response:
    """Begin a session with a person's token."""
    if "Origin" in call.request.headers:
        check_origin(call.request)
    who = call.context.tokens.find(call.data.token) or refuse(call.request, call.context, "this token is not known")
    if not who.person:
        raise HttpProblem(403, "a session is for people, not for sources")
    return await _begin(call, who, answer({"person": who.person, "role": who.role}, status=201))


@routes("DELETE /api/v1/session", role=Role.VIEWER, reads=Nothing)
async def end(call: Call[Nothing]) -> web.Response:
    """End your session."""
    await sessions.end(call.context.journal, call.request.cookies.get(COOKIE, ""))
    response = web.Response(status=204)
    response.del_cookie(COOKIE, path="/")
    return response


def static_files() -> list[Route]:
    """Style, script and signs, each read once."""
    return [
        Route("GET", f"/static/{path.name}", None, Nothing, _sender(path.read_bytes(), _TYPES[path.suffix]))
        for path in sorted((_HERE / "static").iterdir())
        if path.suffix in _TYPES
    ]


async def _for_people(call: Call[Nothing], name: str) -> web.Response:
    try:
        who = await recognised(call.request, call.context)
    except HttpProblem:
        raise web.HTTPSeeOther("/login") from None
    if not who.role.may(Role.VIEWER):
        raise HttpProblem(403, f"role {who.role} has no page")
    operates = who.role.may(Role.OPERATOR)
    return html(
        name, call.context, who=who, operates=operates, regions=call.context.deployment.regions,
        accounts=bool(call.context.accounts.groups),
    )  # fmt: skip


async def _begin(call: Call[Any], who: Identity, response: web.Response) -> web.Response:
    cookie = await sessions.begin(call.context.journal, who, call.context.clock.now())
    response.set_cookie(
        COOKIE, cookie, max_age=int(sessions.LIFETIME.total_seconds()), path="/", httponly=True, samesite="Strict",
        secure=call.request.secure,
    )  # fmt: skip
    return response


def html(name: str, context: Context, **values: Any) -> web.Response:
    """A page out of the template ``name``."""
    deployment = context.deployment
    text = _templates.get_template(name).render(realm=deployment.realm, sender=deployment.sender, **values)
    return web.Response(text=text, content_type="text/html")


def _sender(body: bytes, kind: str) -> Callable[[Call[Any]], Any]:
    async def send(_call: Call[Nothing]) -> web.Response:
        """Give one of the page's files."""
        return web.Response(body=body, content_type=kind, charset="utf-8")

    return send
