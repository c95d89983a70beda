"""A Mastodon instance under ``/mastodon``; an account is the token that speaks for it."""

from __future__ import annotations

from collections.abc import Sequence
from html import escape
from typing import Any

from aiohttp import web

from dispatcher.model.channel import TextLimit, Unit
from dispatcher.wall.board import Service, Shown
from dispatcher.wall.doubles.base import Double, bearer_of, iso, read_object
from dispatcher.wall.faults import Take

_LIMIT = TextLimit(Unit.GRAPHEMES, 500, 23)
_STATUSES = "/mastodon/api/v1/statuses"
_ACCOUNTS = "/mastodon/api/v1/accounts"


class Mastodon(Double):
    """Takes any token, honours ``Idempotency-Key`` and refuses texts beyond 500 characters."""

    def routes(self) -> Sequence[web.RouteDef]:
        """Post, list, edit, delete, and whose token it is."""
        return [
            web.post(_STATUSES, self.post),
            web.put(_STATUSES + "/{id}", self.edit),
            web.delete(_STATUSES + "/{id}", self.delete),
            web.get(_ACCOUNTS + "/verify_credentials", self.me),
            web.get(_ACCOUNTS + "/{id}/statuses", self.statuses),
        ]

    async def post(self, request: web.Request) -> web.StreamResponse:
        """200 with the status, the first one again for a key seen before."""
        text = str((await read_object(request)).get("status", ""))
        key = request.headers.get("Idempotency-Key", "")
        return await self._serve(request, lambda: self._take(request, text, key))

    async def edit(self, request: web.Request) -> web.StreamResponse:
        """200 with the changed status."""
        text = str((await read_object(request)).get("status", ""))
        return await self._serve(
            request, lambda: _too_long(text) or self._change(request, lambda post: self.board.edit(post, text))
        )

    async def delete(self, request: web.Request) -> web.StreamResponse:
        """200 with the status that is gone."""
        return await self._serve(request, lambda: self._change(request, self.board.delete))

    async def me(self, request: web.Request) -> web.StreamResponse:
        """The account."""
        name = bearer_of(request)
        account = {"id": "1", "username": name, "display_name": self.board.titles.get(name, name)}
        return await self._serve(request, lambda: web.json_response(account))

    async def statuses(self, request: web.Request) -> web.StreamResponse:
        """The account's statuses, newest first."""
        return await self._serve(
            request,
            lambda: web.json_response([_status(request, p) for p in reversed(self.board.of(bearer_of(request)))]),
        )

    def _take(self, request: web.Request, text: str, key: str) -> web.Response:
        account = bearer_of(request)
        known = self.board.by_key(account, key)
        if known is not None:
            return web.json_response(_status(request, self.board.repeat(known)))
        if refused := _too_long(text):
            return refused
        post = self.board.add(Service.MASTODON, account, str(116_000_000_000 + len(self.board)), text, key=key)
        return web.json_response(_status(request, post))

    def _change(self, request: web.Request, change: Any) -> web.Response:
        post = self.board.find(bearer_of(request), request.match_info["id"])
        return web.json_response(_status(request, change(post))) if post else _error(404, "Record not found")

    async def _serve(self, request: web.Request, take: Take) -> web.StreamResponse:
        account = bearer_of(request)
        return await self.serve(
            request, account, take if account else lambda: _error(401, "The access token is invalid")
        )


def _status(request: web.Request, post: Shown) -> dict[str, Any]:
    content = "<p>" + escape(post.text).replace("\n\n", "</p><p>").replace("\n", "<br />") + "</p>"
    url = f"{request.url.origin()}/#{post.order}"
    return {
        "id": post.id, "url": url, "uri": url, "created_at": iso(post.received_ms), "edited_at": iso(post.edited_ms),
        "content": content, "text": post.text, "visibility": "public",
    }  # fmt: skip


def _too_long(text: str) -> web.Response | None:
    if _LIMIT.fits(text):
        return None
    return _error(422, f"Validation failed: Text character limit of {_LIMIT.size} exceeded")


def _error(status: int, message: str) -> web.Response:
    return web.json_response({"error": message}, status=status)
