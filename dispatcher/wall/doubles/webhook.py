"""A website that takes signed webhooks, under ``/hooks/<name>``; an account is the hook's name."""

from __future__ import annotations

import time
from collections.abc import Sequence
from typing import Any

from aiohttp import web

from dispatcher.wall.board import Service
from dispatcher.wall.doubles.base import Double, read_object

_TOLERANCE = 300


class Webhook(Double):
    """Drops repeats of a ``webhook-id`` and refuses stale time stamps; it knows no secret, so any signature is good."""

    def routes(self) -> Sequence[web.RouteDef]:
        """One path for each hook."""
        return [web.post("/hooks/{name}", self.receive)]

    async def receive(self, request: web.Request) -> web.StreamResponse:
        """202 with the id taken."""
        name, event = request.match_info["name"], await read_object(request)
        return await self.serve(request, name, lambda: self._take(request, name, event))

    def _take(self, request: web.Request, name: str, event: dict[str, Any]) -> web.Response:
        identifier = request.headers.get("webhook-id", "")
        if not identifier or not _signed_just_now(request):
            return web.json_response({"error": "not signed, or too long ago"}, status=401)
        if not isinstance(event.get("data"), dict):
            return web.json_response({"error": "no event"}, status=400)
        self._show(name, identifier, str(event.get("type")), event["data"])
        return web.json_response({"received": identifier}, status=202)

    def _show(self, name: str, identifier: str, type_: str, data: dict[str, Any]) -> None:
        text, target = str(data.get("text", "")), self.board.find(name, str(data.get("target", "")))
        known = self.board.by_key(name, identifier)
        if known is not None:
            self.board.repeat(known)
        elif type_ == "alert.retracted":
            _ = target and self.board.delete(target)
        elif type_ == "alert.corrected":
            _ = target and self.board.edit(target, text)
        else:
            self.board.add(Service.WEBSITE, name, identifier, text, key=identifier)


def _signed_just_now(request: web.Request) -> bool:
    stamp = request.headers.get("webhook-timestamp", "")
    signed = request.headers.get("webhook-signature", "").startswith("v1,")
    return signed and stamp.isdigit() and abs(int(stamp) - time.time()) <= _TOLERANCE
