"""The wall as a web application: the doubles, their faults, what was posted, and the page."""

from __future__ import annotations

import socket
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field

from aiohttp import web
from pydantic import ValidationError

from dispatcher.wall import page
from dispatcher.wall.board import Board
from dispatcher.wall.doubles.apprise import Apprise
from dispatcher.wall.doubles.bluesky import Bluesky
from dispatcher.wall.doubles.container import Instagram, Threads
from dispatcher.wall.doubles.fcm import Fcm
from dispatcher.wall.doubles.gotify import Gotify
from dispatcher.wall.doubles.graph import Graph
from dispatcher.wall.doubles.linkedin import LinkedIn
from dispatcher.wall.doubles.mastodon import Mastodon
from dispatcher.wall.doubles.matrix import Matrix
from dispatcher.wall.doubles.ntfy import Ntfy
from dispatcher.wall.doubles.signal import Signal
from dispatcher.wall.doubles.slack import Slack
from dispatcher.wall.doubles.sms import GatewayApi, Infobip, Seven, Twilio
from dispatcher.wall.doubles.teams import Teams
from dispatcher.wall.doubles.telegram import Telegram
from dispatcher.wall.doubles.waha import Waha
from dispatcher.wall.doubles.web_push import WebPush
from dispatcher.wall.doubles.webhook import Webhook
from dispatcher.wall.doubles.whatsapp_cloud import WhatsAppCloud
from dispatcher.wall.doubles.x import X
from dispatcher.wall.faults import Fault, Faults
from dispatcher.wall.mail import mail_server
from dispatcher.wall.siren import siren

_DOUBLES = (
    Waha, Graph, Mastodon, Webhook, Ntfy, Seven, Twilio, GatewayApi, Infobip, LinkedIn, Bluesky, Telegram, Instagram,
    Threads, X, WhatsAppCloud,
    Matrix, Slack, Signal, Teams, Gotify, Fcm, WebPush, Apprise,
)  # fmt: skip
_LARGEST_REQUEST = 2 * 1024 * 1024  # with an image
_SHUTDOWN_SECONDS = 1.0
_TRIES = 20
_PURPOSES = ("pages", "mail", "orders over MQTT")  # of ports one after another


@dataclass(frozen=True, slots=True)
class Wall:
    """A wall's state, for whoever runs it in the same process; ``url`` is where it listens, without a slash."""

    board: Board = field(default_factory=Board)
    faults: Faults = field(default_factory=Faults)
    url: str = ""


def wall(state: Wall) -> web.Application:
    """The application over ``state``: every double under a prefix of its own, and the page."""
    app = web.Application(client_max_size=_LARGEST_REQUEST)
    for double in _DOUBLES:
        app.add_routes(double(state.board, state.faults).routes())
    app.add_routes(page.routes(state.board))
    control = _Control(state)
    app.add_routes(
        [
            web.get("/_wall/posts", control.posts),
            web.get("/_wall/requests", control.requests),
            web.get("/_wall/unexpected", control.unexpected),
            web.post("/_wall/faults/{account}", control.switch_on),
            web.delete("/_wall/faults/{account}", control.switch_off),
            web.route("*", "/{path:.*}", control.surprise),
        ]
    )
    app.on_shutdown.append(control.close)
    return app


@asynccontextmanager
async def running_wall(
    host: str = "127.0.0.1", port: int = 0, titles: Mapping[str, str] | None = None
) -> AsyncIterator[Wall]:
    """A listening wall, which takes mail one port higher and orders over MQTT two; port 0 takes free ones.

    Raises `OSError` where one is taken.
    ``titles`` names accounts (chat id, page id, token, hook, topic) as the public knows them; each gets its card at once.
    """
    state = Wall(Board(titles))
    runner = web.AppRunner(wall(state), access_log=None, handler_cancellation=True, shutdown_timeout=_SHUTDOWN_SECONDS)
    pages, mail, orders = _neighbours(host, port)
    with pages, mail, orders:
        await runner.setup()
        try:
            await web.SockSite(runner, pages).start()
            async with mail_server(state.board, state.faults, mail), siren(state.board, state.faults, orders):
                yield Wall(state.board, state.faults, f"http://{host}:{pages.getsockname()[1]}")
        finally:
            await runner.cleanup()


def _neighbours(host: str, port: int) -> list[socket.socket]:
    """Listening sockets on ports one after another: for pages, mail and orders."""
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    for _ in range(_TRIES if port == 0 else 1):
        found = [socket.create_server((host, port), family=family)]
        first = found[0].getsockname()[1]
        with suppress(OSError, OverflowError):
            found += (socket.create_server((host, first + step), family=family) for step in range(1, len(_PURPOSES)))
            return found
        for one in found:
            one.close()
    raise OSError(f"port {port + len(found)} of {host}, for {_PURPOSES[len(found)]}, is taken")


class _Control:
    """What tests and drills ask of the wall."""

    def __init__(self, state: Wall) -> None:
        self._board, self._faults = state.board, state.faults

    async def posts(self, _request: web.Request) -> web.Response:
        """Every post, in order of arrival."""
        return web.json_response(self._board.posts())

    async def requests(self, _request: web.Request) -> web.Response:
        """How many requests each account has had."""
        return web.json_response(self._board.requests)

    async def unexpected(self, _request: web.Request) -> web.Response:
        """Requests that no double answers."""
        return web.json_response(self._board.unexpected)

    async def switch_on(self, request: web.Request) -> web.Response:
        """Let an account misbehave."""
        try:
            fault = Fault.model_validate_json(await request.read())
        except ValidationError as error:
            return web.Response(status=422, text=error.json(include_url=False), content_type="application/json")
        self._faults.set(request.match_info["account"], fault)
        return web.json_response(fault.model_dump())

    async def switch_off(self, request: web.Request) -> web.Response:
        """Let it behave again."""
        self._faults.clear(request.match_info["account"])
        return web.Response(status=204)

    async def surprise(self, request: web.Request) -> web.Response:
        """Note a request that no double answers."""
        self._board.surprise(request.method, request.path)
        return web.json_response({"error": "no double answers this"}, status=404)

    async def close(self, _app: web.Application) -> None:
        """End every open stream."""
        self._board.hub.close()
