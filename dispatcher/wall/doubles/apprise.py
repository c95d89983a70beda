"""A receiver of what Apprise posts to ``json://``, under ``/apprise``; an account is the first part of its path."""

from __future__ import annotations

from collections.abc import Sequence

from aiohttp import web

from dispatcher.wall.board import Service
from dispatcher.wall.doubles.base import Double, read_object


class Apprise(Double):
    """Takes a message at every address, whose rest may be anything."""

    def routes(self) -> Sequence[web.RouteDef]:
        """The one call there is."""
        return [web.post("/apprise/{account}/{secret:.+}", self.post)]

    async def post(self, request: web.Request) -> web.StreamResponse:
        """204, for Apprise reads no more than the status."""
        account, data = request.match_info["account"], await read_object(request)

        def take() -> web.Response:
            """Show the message."""
            if not data.get("message"):
                return web.Response(status=400)
            text = f"{data.get('title', '')}\n{data['message']}".lstrip("\n")
            self.board.add(Service.APPRISE, account, str(len(self.board) + 1), text)
            return web.Response(status=204)

        return await self.serve(request, account, take)
