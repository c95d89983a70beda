"""One table of routes: each names its role and what it reads, and its handler is called only when both are right."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterator
from dataclasses import dataclass
from inspect import getdoc
from typing import Any, Final, Generic, NoReturn, TypeVar

from aiohttp import hdrs, web

from dispatcher.console import sessions
from dispatcher.console.auth import Identity, Role
from dispatcher.console.context import CONTEXT, Context
from dispatcher.console.problems import HttpProblem
from dispatcher.console.schemas import Raw, Shape
from dispatcher.model.incident import read_json

COOKIE: Final = "dispatcher_session"
_SAFE = frozenset({hdrs.METH_GET, hdrs.METH_HEAD, hdrs.METH_OPTIONS})
_NOBODY = Identity(Role.VIEWER)

S = TypeVar("S", bound=Shape)
Answer = Awaitable[web.StreamResponse]


@dataclass(frozen=True, slots=True)
class Call(Generic[S]):
    """One request, understood: who asks, and what for, checked."""

    request: web.Request
    context: Context
    who: Identity
    data: S

    def path(self, name: str) -> str:
        """A part of the path."""
        return self.request.match_info[name]


@dataclass(frozen=True, slots=True)
class Route:
    """One line of the table. ``role`` None is open to everybody; ``reads`` is the body, or the query of a GET."""

    method: str
    path: str
    role: Role | None
    reads: type[Shape]
    handler: Callable[[Call[Any]], Answer]

    @property
    def summary(self) -> str:
        """What it does: the first line of its handler's docstring."""
        return (getdoc(self.handler) or "").partition("\n")[0].rstrip(".")

    async def answer(self, request: web.Request) -> web.StreamResponse:
        """Answer ``request``, or raise what the `problems` middleware puts into words."""
        context = request.app[CONTEXT]
        who = await self._admitted(request, context)
        return await self.handler(Call(request, context, who, await self._read(request)))

    async def _admitted(self, request: web.Request, context: Context) -> Identity:
        if self.role is None:
            return _NOBODY
        who = await recognised(request, context)
        if not who.role.may(self.role):
            raise HttpProblem(403, f"role {who.role} may not do this: it needs {self.role}")
        return who

    async def _read(self, request: web.Request) -> Shape:
        if self.method == hdrs.METH_GET:
            return self.reads.model_validate_strings(dict(request.query))
        if self.reads is Raw:
            return Raw()
        body = await request.read() or b"{}"
        read_json(body)  # refuses what has two meanings, which pydantic would not notice
        return self.reads.model_validate_json(body)


class Routes:
    """Collects handlers as a decorator, in order: ``@routes("GET /path", role=..., reads=...)``."""

    def __init__(self) -> None:
        """No route yet."""
        self._table: list[Route] = []

    def __iter__(self) -> Iterator[Route]:
        """The routes in the order of their definition."""
        return iter(self._table)

    def __call__(
        self, where: str, *, role: Role | None, reads: type[S]
    ) -> Callable[[Callable[[Call[S]], Answer]], Callable[[Call[S]], Answer]]:
        """Make the decorated function the handler of ``where``, a method and a path."""
        method, _, path = where.partition(" ")

        def keep(handler: Callable[[Call[S]], Answer]) -> Callable[[Call[S]], Answer]:
            """Put the handler into the table and give it back unchanged."""
            self._table.append(Route(method, path, role, reads, handler))
            return handler

        return keep


async def recognised(request: web.Request, context: Context) -> Identity:
    """Who asks, by bearer token or session cookie; raises `HttpProblem` 401, 403 (foreign page) or 429."""
    scheme, _, token = request.headers.get(hdrs.AUTHORIZATION, "").partition(" ")
    if scheme.lower() == "bearer":
        return context.tokens.find(token.strip()) or refuse(request, context, "this token is not known")
    cookie = request.cookies.get(COOKIE)
    who = await sessions.find(context.journal, cookie, context.clock.now()) if cookie else None
    if who is None or not context.tokens.vouches(who.person, who.role):
        raise _unauthorised("a bearer token or a session is needed")
    if request.method not in _SAFE:
        check_origin(request)
    return who


async def still_recognised(request: web.Request, context: Context) -> bool:
    """Whether whoever began ``request`` would be let in again now."""
    try:
        return bool(await recognised(request, context))
    except HttpProblem:
        return False


def refuse(request: web.Request, context: Context, detail: str) -> NoReturn:
    """Count a wrong credential and raise `HttpProblem` 401, or 429 where they are too many."""
    if context.throttle.failed(request.remote or ""):
        raise HttpProblem(429, "too many wrong credentials from this address", headers={hdrs.RETRY_AFTER: "60"})
    raise _unauthorised(detail)


def check_origin(request: web.Request) -> None:
    """Raise `HttpProblem` 403 unless one of our own pages asks: browsers say so, and scripts of others cannot lie."""
    origin = request.headers.get(hdrs.ORIGIN)
    if origin is None:
        ours = request.headers.get("Sec-Fetch-Site") == "same-origin"
    else:
        ours = origin.partition("://")[2] == request.host
    if not ours:
        raise HttpProblem(403, "with a session, changes are taken from our own pages only")


def _unauthorised(detail: str) -> HttpProblem:
    return HttpProblem(401, detail, headers={hdrs.WWW_AUTHENTICATE: "Bearer"})
