"""A Matrix homeserver under ``/matrix``; an account is a room's id."""

from __future__ import annotations

import secrets
from collections.abc import Callable, Sequence
from typing import Any

from aiohttp import web

from dispatcher.wall.board import Service, Shown
from dispatcher.wall.doubles.base import Double, bearer_of, read_object

_API = "/matrix/_matrix/client/v3"
_ROOM = _API + "/rooms/{room}"
_LARGEST_EVENT = 65_536
_BOT = "@police:matrix.example"


class Matrix(Double):
    """Takes any token, which is a member of every room. Like the real one it answers a known transaction as before."""

    def routes(self) -> Sequence[web.RouteDef]:
        """Post or change, redact, list, and what the account is and may."""
        return [
            web.put(_ROOM + "/send/m.room.message/{transaction}", self.send),
            web.put(_ROOM + "/redact/{event}/{transaction}", self.redact),
            web.get(_ROOM + "/messages", self.messages),
            web.get(_ROOM + "/state/m.room.member/{user}", self.member),
            web.get(_ROOM + "/state/m.room.power_levels", self.levels),
            web.get(_API + "/account/whoami", self.me),
        ]

    async def send(self, request: web.Request) -> web.StreamResponse:
        """200 with the event's id."""
        content = await read_object(request)

        def take(room: str) -> web.Response:
            """Show the message, or change the one that it replaces."""
            if (request.content_length or 0) > _LARGEST_EVENT:
                return _error(413, "M_TOO_LARGE", "event too large")
            return self._take(room, request.match_info["transaction"], content)

        return await self._serve(request, take)

    async def redact(self, request: web.Request) -> web.StreamResponse:
        """200 with the id of the redaction, also where the event is redacted already."""

        def take(room: str) -> web.Response:
            """Take the event's content away."""
            event = request.match_info["event"]
            post = self.board.find(room, event)
            if post is None:
                return _error(404, "M_NOT_FOUND", f"Could not find event {event}")
            self.board.delete(post)
            return web.json_response({"event_id": _event_id()})

        return await self._serve(request, take)

    async def messages(self, request: web.Request) -> web.StreamResponse:
        """The room's messages, newest first."""

        def take(room: str) -> web.Response:
            """One page with all of them."""
            return web.json_response({"start": "t1", "chunk": [_event(post) for post in reversed(self.board.of(room))]})

        return await self._serve(request, take)

    async def member(self, request: web.Request) -> web.StreamResponse:
        """A member."""
        return await self._serve(request, lambda _room: web.json_response({"membership": "join"}))

    async def levels(self, request: web.Request) -> web.StreamResponse:
        """A room where the account may post, and visitors may not."""
        levels = {"users": {_BOT: 50}, "users_default": 0, "events": {}, "events_default": 50}
        return await self._serve(request, lambda _room: web.json_response(levels))

    async def me(self, _request: web.Request) -> web.StreamResponse:
        """The account."""
        return web.json_response({"user_id": _BOT, "device_id": "WALL"})

    def _take(self, room: str, key: str, content: dict[str, Any]) -> web.Response:
        known = self.board.by_key(room, key)
        if known is not None:
            return web.json_response({"event_id": self.board.repeat(known).id})
        relation, new = content.get("m.relates_to"), content.get("m.new_content")
        if isinstance(relation, dict) and isinstance(new, dict):
            return self._change(room, str(relation.get("event_id")), str(new.get("body", "")))
        post = self.board.add(Service.MATRIX, room, _event_id(), str(content.get("body", "")), key=key)
        return web.json_response({"event_id": post.id})

    def _change(self, room: str, event: str, text: str) -> web.Response:
        post = self.board.find(room, event)
        if post is None:
            return _error(400, "M_UNKNOWN", "a relation to an event that is not known")
        self.board.edit(post, text)
        return web.json_response({"event_id": _event_id()})

    async def _serve(self, request: web.Request, take: Callable[[str], web.Response]) -> web.StreamResponse:
        room, token = request.match_info["room"], bearer_of(request)
        return await self.serve(
            request, room, lambda: take(room) if token else _error(401, "M_MISSING_TOKEN", "no access token")
        )


def _event_id() -> str:
    return f"${secrets.token_urlsafe(32)}"


def _event(post: Shown) -> dict[str, Any]:
    return {
        "event_id": post.id, "type": "m.room.message", "sender": _BOT, "room_id": post.account,
        "origin_server_ts": post.received_ms, "content": {"msgtype": "m.text", "body": post.text},
    }  # fmt: skip


def _error(status: int, code: str, message: str) -> web.Response:
    return web.json_response({"errcode": code, "error": message}, status=status)
