"""A Gotify 3 server under ``/gotify``; an account is an application's number, or the token that speaks for it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from aiohttp import web

from dispatcher.wall.board import Service, Shown
from dispatcher.wall.doubles.base import Double, iso, read_object
from dispatcher.wall.faults import Take

_KEY = "X-Gotify-Key"


class Gotify(Double):
    """Takes any token: as a client's where a request names an application, else as that of an application of its own."""

    def routes(self) -> Sequence[web.RouteDef]:
        """Post, delete, list."""
        return [
            web.post("/gotify/message", self.post),
            web.delete("/gotify/message/{id}", self.delete),
            web.get("/gotify/application/{application}/message", self.messages),
        ]

    async def post(self, request: web.Request) -> web.StreamResponse:
        """200 with the message."""
        data = await read_object(request)
        account = str(data.get("appid") or request.headers.get(_KEY, ""))

        def take() -> web.Response:
            """Show the message."""
            if not data.get("message"):
                return _error(400, "Bad Request", "Field 'message' is required")
            text = f"{data.get('title', '')}\n{data['message']}".lstrip("\n")
            return web.json_response(_message(self.board.add(Service.GOTIFY, account, str(len(self.board) + 1), text)))

        return await self._serve(request, account, take)

    async def delete(self, request: web.Request) -> web.StreamResponse:
        """200 without a body."""
        id_ = request.match_info["id"]
        account = self.board.owner(id_)

        def take() -> web.Response:
            """Take the message back."""
            post = self.board.find(account, id_)
            if post is None:
                return _error(404, "Not Found", "message does not exist")
            self.board.delete(post)
            return web.Response()

        return await self._serve(request, account, take)

    async def messages(self, request: web.Request) -> web.StreamResponse:
        """The application's messages, newest first."""
        account = request.match_info["application"]

        def take() -> web.Response:
            """One page with all of them."""
            rows = [_message(post) for post in reversed(self.board.of(account))]
            return web.json_response({"messages": rows, "paging": {"size": len(rows), "since": 0, "limit": 200}})

        return await self._serve(request, account, take)

    async def _serve(self, request: web.Request, account: str, take: Take) -> web.StreamResponse:
        known = _KEY in request.headers
        refused = "you need to provide a valid access token"
        return await self.serve(request, account, take if known else lambda: _error(401, "Unauthorized", refused))


def _message(post: Shown) -> dict[str, Any]:
    title, _, message = post.text.partition("\n")
    application = int(post.account) if post.account.isdecimal() else 1
    date = iso(post.received_ms)
    return {"id": int(post.id), "appid": application, "title": title, "message": message, "date": date, "priority": 5}


def _error(status: int, error: str, description: str) -> web.Response:
    return web.json_response({"error": error, "errorCode": status, "errorDescription": description}, status=status)
