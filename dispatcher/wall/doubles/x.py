"""X's API v2 under ``/x``; an account is the token that speaks for it."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from typing import Any

from aiohttp import web

from dispatcher.model.channel import TextLimit, Unit
from dispatcher.wall.board import Service, Shown
from dispatcher.wall.doubles.base import Double, bearer_of, is_jpeg, iso, read_form, read_object

_LIMIT = TextLimit(Unit.WEIGHTED, 280)
_MOST_ALT = 1_000
_TOKEN = re.compile(r'oauth_token="([^"]+)"')


class X(Double):
    """Takes any token, signed or not. Like the real one it refuses a text that stands there and one that weighs too much."""

    def routes(self) -> Sequence[web.RouteDef]:
        """Post, list, delete, take images and words for them, and whose token it is."""
        return [
            web.post("/x/2/tweets", self.post),
            web.post("/x/2/media/upload", self.upload),
            web.post("/x/2/media/metadata", self.describe),
            web.delete("/x/2/tweets/{id}", self.delete),
            web.get("/x/2/users/me", self.me),
            web.get("/x/2/users/{user}/tweets", self.list),
        ]

    async def post(self, request: web.Request) -> web.StreamResponse:
        """201 with the post."""
        data = await read_object(request)
        return await self._serve(request, lambda account: self._take(account, data))

    async def upload(self, request: web.Request) -> web.StreamResponse:
        """200 with the image's id."""
        fields, jpeg = await read_form(request)

        def take(_account: str) -> web.Response:
            """Keep the image."""
            if not is_jpeg(jpeg) or fields.get("media_category") != "tweet_image":
                return _problem(400, "Invalid Request", "media or media_category is missing or invalid")
            id_ = str(1_880_000_000_000_000_000 + len(self.board.uploads))
            self.board.upload(id_, jpeg)
            return web.json_response({"data": {"id": id_, "media_key": f"3_{id_}", "size": len(jpeg)}})

        return await self._serve(request, take)

    async def describe(self, request: web.Request) -> web.StreamResponse:
        """200 with the image's words."""
        data = await read_object(request)
        id_, words = str(data.get("id", "")), data.get("metadata", {})
        alt = str(words.get("alt_text", {}).get("text", ""))

        def take(_account: str) -> web.Response:
            """Keep the words."""
            if id_ not in self.board.uploads or len(alt) > _MOST_ALT:
                return _problem(400, "Invalid Request", "no such media, or its alt_text is too long")
            self.board.describe_upload(id_, alt)
            return web.json_response({"data": {"id": id_, "associated_metadata": words}})

        return await self._serve(request, take)

    async def delete(self, request: web.Request) -> web.StreamResponse:
        """200 with deleted."""

        def take(account: str) -> web.Response:
            """Take the post back."""
            post = self.board.find(account, request.match_info["id"])
            if post is None:
                return _problem(404, "Not Found Error", "Could not find post")
            self.board.delete(post)
            return web.json_response({"data": {"deleted": True}})

        return await self._serve(request, take)

    async def me(self, request: web.Request) -> web.StreamResponse:
        """The account."""
        user = {"id": "2244994945", "name": "Account", "username": "account"}
        return await self._serve(request, lambda _account: web.json_response({"data": user}))

    async def list(self, request: web.Request) -> web.StreamResponse:
        """The account's posts, newest first; without any there is no list."""

        def take(account: str) -> web.Response:
            """All of them."""
            rows = [_entry(post) for post in reversed(self.board.of(account))]
            meta = {"meta": {"result_count": len(rows)}}
            return web.json_response({"data": rows, **meta} if rows else meta)

        return await self._serve(request, take)

    def _take(self, account: str, data: dict[str, Any]) -> web.Response:
        text, media = str(data.get("text", "")), data.get("media", {}).get("media_ids", [])
        if not text or not _LIMIT.fits(text):
            return _problem(400, "Invalid Request", "Your post text is empty or too long.")
        if any(post.text == text for post in self.board.of(account)):
            return _problem(403, "Forbidden", "You are not allowed to create a Tweet with duplicate content.")
        if any(id_ not in self.board.uploads for id_ in media):
            return _problem(400, "Invalid Request", "Your media IDs are invalid.")
        id_, shown = str(1_990_000_000_000_000_000 + len(self.board)), self.board.uploaded(media)
        post = self.board.add(Service.X, account, id_, text, image=shown.image, alt=shown.alt)
        return web.json_response({"data": {"id": post.id, "text": text}}, status=201)

    async def _serve(self, request: web.Request, take: Callable[[str], web.Response]) -> web.StreamResponse:
        signed = _TOKEN.search(request.headers.get("Authorization", ""))
        account = signed[1] if signed else bearer_of(request)
        if not account:
            return await self.serve(request, account, lambda: _problem(401, "Unauthorized", "Unauthorized"))
        return await self.serve(request, account, lambda: take(account))


def _entry(post: Shown) -> dict[str, Any]:
    return {"id": post.id, "text": post.text, "created_at": iso(post.received_ms)}


def _problem(status: int, title: str, detail: str) -> web.Response:
    body = {"type": "about:blank", "title": title, "detail": detail, "status": status}
    return web.json_response(body, status=status, content_type="application/problem+json")
