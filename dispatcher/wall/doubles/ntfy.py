"""An ntfy server from 2.16 under ``/ntfy``; an account is a topic."""

from __future__ import annotations

import json
import secrets
from collections.abc import Sequence
from typing import Any

from aiohttp import web

from dispatcher.wall.board import Service, Shown
from dispatcher.wall.doubles.base import Double, read_object

_LONGEST = 4096


class Ntfy(Double):
    """Every topic is open. Publishing with a known ``sequence_id`` replaces the notification."""

    def routes(self) -> Sequence[web.RouteDef]:
        """Publish, poll, withdraw, and the two checks."""
        return [
            web.post("/ntfy/", self.publish),
            web.get("/ntfy/v1/health", self.health),
            web.get("/ntfy/{topic}/json", self.poll),
            web.get("/ntfy/{topic}/auth", self.auth),
            web.delete("/ntfy/{topic}/{sequence}", self.delete),
        ]

    async def publish(self, request: web.Request) -> web.StreamResponse:
        """200 with the message."""
        data = await read_object(request)
        topic = str(data.get("topic", ""))
        return await self.serve(request, topic, lambda: self._take(topic, data))

    async def poll(self, request: web.Request) -> web.StreamResponse:
        """One message per line."""
        topic = request.match_info["topic"]

        def take() -> web.Response:
            """Publish, or replace what has the same sequence id."""
            lines = [json.dumps(_message(post), ensure_ascii=False) + "\n" for post in self.board.of(topic)]
            return web.Response(text="".join(lines), content_type="application/x-ndjson")

        return await self.serve(request, topic, take)

    async def delete(self, request: web.Request) -> web.StreamResponse:
        """200 with an event that tells the apps to withdraw the notification."""
        topic, sequence = request.match_info["topic"], request.match_info["sequence"]

        def take() -> web.Response:
            """Take the notification back."""
            post = self.board.by_key(topic, sequence)
            if post is not None:
                self.board.delete(post)
            event = {"id": secrets.token_hex(6), "event": "message_delete", "topic": topic, "sequence_id": sequence}
            return web.json_response(event)

        return await self.serve(request, topic, take)

    async def health(self, _request: web.Request) -> web.StreamResponse:
        """Healthy."""
        return web.json_response({"healthy": True})

    async def auth(self, request: web.Request) -> web.StreamResponse:
        """Everyone may read."""
        return await self.serve(request, request.match_info["topic"], lambda: web.json_response({"success": True}))

    def _take(self, topic: str, data: dict[str, Any]) -> web.Response:
        message, key = str(data.get("message", "")), str(data.get("sequence_id", ""))
        if not topic or len(message.encode()) > _LONGEST:
            return web.json_response({"code": 40001, "http": 400, "error": "invalid request"}, status=400)
        text = f"{data.get('title', '')}\n{message}".lstrip("\n")
        return web.json_response(_message(self._show(topic, key, text)))

    def _show(self, topic: str, key: str, text: str) -> Shown:
        known = self.board.by_key(topic, key)
        if known is None:
            return self.board.add(Service.NTFY, topic, secrets.token_hex(6), text, key=key)
        return self.board.repeat(known) if known.text == text else self.board.edit(known, text)


def _message(post: Shown) -> dict[str, Any]:
    title, _, message = post.text.partition("\n")
    return {
        "id": post.id, "time": post.received_ms // 1000, "event": "message", "topic": post.account,
        "sequence_id": post.key, "title": title, "message": message,
    }  # fmt: skip
