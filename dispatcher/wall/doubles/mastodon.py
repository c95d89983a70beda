"""A Mastodon instance under ``/mastodon``; an account is the token that speaks for it."""

from __future__ import annotations

from collections.abc import Sequence
from html import escape
from typing import Any
from urllib.parse import quote

from aiohttp import web

from dispatcher.model.channel import TextLimit, Unit
from dispatcher.wall.board import Board, Service, Shown
from dispatcher.wall.doubles.base import Double, bearer_of, is_jpeg, iso, read_form, read_object
from dispatcher.wall.faults import Faults, Take

_LIMIT = TextLimit(Unit.GRAPHEMES, 500, 23)
_STATUSES = "/mastodon/api/v1/statuses"
_MEDIA = "/mastodon/api/{version}/media"
_MOST_ALT = 1_500
_ACCOUNTS = "/mastodon/api/v1/accounts"


class Mastodon(Double):
    """Takes any token, honours ``Idempotency-Key``, refuses texts beyond 500 characters, and processes images when asked."""

    def __init__(self, board: Board, faults: Faults) -> None:
        """No image is processed yet."""
        super().__init__(board, faults)
        self._processed: set[str] = set()

    def routes(self) -> Sequence[web.RouteDef]:
        """Post, list, edit, delete, take images, and whose token it is."""
        return [
            web.post(_STATUSES, self.post),
            web.put(_STATUSES + "/{id}", self.edit),
            web.delete(_STATUSES + "/{id}", self.delete),
            web.post(_MEDIA.format(version="v2"), self.upload),
            web.get(_MEDIA.format(version="v1") + "/{id}", self.media),
            web.get(_ACCOUNTS + "/verify_credentials", self.me),
            web.get(_ACCOUNTS + "/{id}/statuses", self.statuses),
        ]

    async def post(self, request: web.Request) -> web.StreamResponse:
        """200 with the status, the first one again for a key seen before."""
        data = await read_object(request)
        key = request.headers.get("Idempotency-Key", "")
        return await self._serve(request, lambda: self._take(request, data, key))

    async def edit(self, request: web.Request) -> web.StreamResponse:
        """200 with the changed status; media that it does not name stay, and none are named to take them away."""
        data = await read_object(request)
        text = str(data.get("status", ""))

        def change(post: Shown) -> Shown:
            """Text and media."""
            shown = self.board.uploaded(data.get("media_ids", ()))
            return self.board.edit(post, text, image=shown.image if "media_ids" in data else None, alt=shown.alt)

        return await self._serve(
            request, lambda: _too_long(text) or self._unknown(data) or self._change(request, change)
        )

    async def upload(self, request: web.Request) -> web.StreamResponse:
        """202 with an image that is still being processed."""
        fields, jpeg = await read_form(request)
        alt = fields.get("description", "")

        def take() -> web.Response:
            """Keep the image."""
            if not is_jpeg(jpeg) or len(alt) > _MOST_ALT:
                return _error(422, "Validation failed: File content type is invalid, or Description is too long")
            id_ = str(117_000_000_000 + len(self.board.uploads))
            self.board.upload(id_, jpeg, alt)
            return web.json_response({**_attachment(id_, alt), "url": None}, status=202)

        return await self._serve(request, take)

    async def media(self, request: web.Request) -> web.StreamResponse:
        """206 where it was not asked for before, then 200."""
        id_ = request.match_info["id"]

        def take() -> web.Response:
            """Where the image stands."""
            found = self.board.uploads.get(id_)
            if found is None:
                return _error(404, "Record not found")
            done = id_ in self._processed
            self._processed.add(id_)
            url = f"{request.url.origin()}{found.image}" if done else None
            return web.json_response({**_attachment(id_, found.alt), "url": url}, status=200 if done else 206)

        return await self._serve(request, take)

    async def delete(self, request: web.Request) -> web.StreamResponse:
        """200 with the status that is gone."""
        return await self._serve(request, lambda: self._change(request, self.board.delete))

    async def me(self, request: web.Request) -> web.StreamResponse:
        """The account."""
        source = {
            "note": "",
            "fields": [],
            "privacy": "public",
            "sensitive": False,
            "indexable": False,
            "follow_requests_count": 0,
        }
        role = {"id": "-99", "name": "", "permissions": "0", "color": "", "highlighted": False}
        account = {**self._account(request), "source": source, "role": role}
        return await self._serve(request, lambda: web.json_response(account))

    async def statuses(self, request: web.Request) -> web.StreamResponse:
        """The account's statuses, newest first."""
        return await self._serve(
            request,
            lambda: web.json_response([self._status(request, p) for p in reversed(self.board.of(bearer_of(request)))]),
        )

    def _take(self, request: web.Request, data: dict[str, Any], key: str) -> web.Response:
        account, text = bearer_of(request), str(data.get("status", ""))
        known = self.board.by_key(account, key)
        if known is not None:
            return web.json_response(self._status(request, self.board.repeat(known)))
        if refused := _too_long(text) or self._unknown(data):
            return refused
        id_, shown = str(116_000_000_000 + len(self.board)), self.board.uploaded(data.get("media_ids", ()))
        post = self.board.add(Service.MASTODON, account, id_, text, key=key, image=shown.image, alt=shown.alt)
        return web.json_response(self._status(request, post))

    def _unknown(self, data: dict[str, Any]) -> web.Response | None:
        """Refuses media that were not uploaded, or are not processed yet."""
        if all(id_ in self._processed for id_ in data.get("media_ids", ())):
            return None
        return _error(422, "Cannot attach files that have not finished processing. Try again in a moment!")

    def _change(self, request: web.Request, change: Any) -> web.Response:
        post = self.board.find(bearer_of(request), request.match_info["id"])
        return web.json_response(self._status(request, change(post))) if post else _error(404, "Record not found")

    def _account(self, request: web.Request) -> dict[str, Any]:
        """Whose token it is."""
        name, url = bearer_of(request), f"{request.url.origin()}/mastodon/@{quote(bearer_of(request), safe='')}"
        counts = dict.fromkeys(("followers_count", "following_count", "statuses_count"), 0)
        flags = dict.fromkeys(("bot", "group", "indexable", "locked"), False)
        pictures = dict.fromkeys(("avatar", "avatar_static", "header", "header_static", "uri", "url"), url)
        return {
            "id": "1", "username": name, "acct": name, "display_name": self.board.titles.get(name, name), "note": "",
            "created_at": "2026-01-01T00:00:00.000Z", "emojis": [], "fields": [], **counts, **flags, **pictures,
        }  # fmt: skip

    def _status(self, request: web.Request, post: Shown) -> dict[str, Any]:
        content = "<p>" + escape(post.text).replace("\n\n", "</p><p>").replace("\n", "<br />") + "</p>"
        url = f"{request.url.origin()}/#{post.order}"
        counts = dict.fromkeys(("favourites_count", "reblogs_count", "replies_count"), 0)
        media = [_attachment(post.id, post.alt)] if post.image else []
        return {
            "id": post.id, "url": url, "uri": url, "account": self._account(request), "created_at": iso(post.received_ms),
            "edited_at": iso(post.edited_ms), "content": content, "text": post.text, "visibility": "public",
            "sensitive": False, "spoiler_text": "", "emojis": [], "mentions": [], "tags": [], "media_attachments": media,
            **counts,
        }  # fmt: skip

    async def _serve(self, request: web.Request, take: Take) -> web.StreamResponse:
        account = bearer_of(request)
        return await self.serve(
            request, account, take if account else lambda: _error(401, "The access token is invalid")
        )


def _attachment(id_: str, alt: str) -> dict[str, Any]:
    return {"id": id_, "type": "image", "description": alt, "preview_url": None, "remote_url": None, "meta": {}}


def _too_long(text: str) -> web.Response | None:
    if _LIMIT.fits(text):
        return None
    return _error(422, f"Validation failed: Text character limit of {_LIMIT.size} exceeded")


def _error(status: int, message: str) -> web.Response:
    return web.json_response({"error": message}, status=status)
