"""Hours in milliseconds: a test on virtual time, and a way to the wall's doubles that needs no socket."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine
from typing import Any
from urllib.parse import urlsplit

from aiohttp import web
from aiohttp.base_protocol import BaseProtocol
from aiohttp.streams import StreamReader
from aiohttp.test_utils import make_mocked_request
from simulation.clockwork import VirtualLoop

from dispatcher.channels._cards import NoCards
from dispatcher.channels.http import Answer, Request
from dispatcher.wall.app import Wall, wall

WALL = "http://wall.test"


def virtually(story: Callable[[], Coroutine[Any, Any, None]]) -> None:
    """Run ``story`` on a loop whose time jumps to whatever is next; fails where a task of it was lost."""
    with asyncio.Runner(loop_factory=VirtualLoop) as runner:
        runner.run(story())
        assert runner.get_loop().lost == []  # type: ignore[attr-defined]


class AtTheWall:
    """The way out, which leads to a wall in this process."""

    def __init__(self) -> None:
        """Every request that was made is in ``requests``."""
        self.wall, self.requests, self.cards = Wall(), list[Request](), NoCards()
        self._app = wall(self.wall)
        self._app.freeze()

    async def request(self, request: Request) -> Answer:
        """What the double answers."""
        self.requests.append(request)
        url = urlsplit(request.url)
        path = f"{url.path}?{url.query}" if url.query else url.path
        loop = asyncio.get_running_loop()
        body = StreamReader(BaseProtocol(loop), 2**16, loop=loop)
        body.feed_data(request.body)
        body.feed_eof()
        asked = make_mocked_request(request.method, path, dict(request.headers), app=self._app, payload=body)
        response = await self._app._handle(asked)
        assert isinstance(response, web.Response)
        said = response.body if isinstance(response.body, bytes) else b""
        return Answer(response.status, {k.lower(): v for k, v in response.headers.items()}, said)
