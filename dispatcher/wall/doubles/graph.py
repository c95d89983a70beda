"""Meta's Graph API for Facebook Pages, under ``/graph``; an account is a page id."""

from __future__ import annotations

import re
import secrets
from collections.abc import Sequence

from aiohttp import web

from dispatcher.wall.board import Service, Shown
from dispatcher.wall.doubles.base import DEBUGGED, Double, bearer_of, graph_time, read_object
from dispatcher.wall.faults import Take

_LONGEST = 63_206
_DIGITS = re.compile(r"\d{5,}")


class Graph(Double):
    """Takes any token. Like the real one it refuses a text that equals the page's latest post (error 506)."""

    def routes(self) -> Sequence[web.RouteDef]:
        """Post, list, edit, delete, and who the token speaks for."""
        version = r"/graph/{version:v\d+\.\d+}"
        return [
            web.get(version + "/me", self.me),
            web.get(version + "/debug_token", self.debug),
            web.post(version + r"/{page:\d+}/feed", self.post),
            web.get(version + r"/{page:\d+}/feed", self.feed),
            web.post(version + r"/{page:\d+}/photos", self.photo),
            web.post(version + r"/{page:\d+}_{post:\d+}", self.edit),
            web.delete(version + r"/{page:\d+}_{post:\d+}", self.delete),
        ]

    async def me(self, request: web.Request) -> web.StreamResponse:
        """The page whose id stands in the token; real tokens are opaque."""
        digits = _DIGITS.search(bearer_of(request))
        page = digits[0] if digits else "0"
        name = self.board.titles.get(page, page)
        return await self._serve(request, page, lambda: web.json_response({"id": page, "name": name}))

    async def debug(self, request: web.Request) -> web.StreamResponse:
        """What the token that is asked about can do, and that it has no end."""
        return await self._serve(request, "", lambda: web.json_response(DEBUGGED))

    async def post(self, request: web.Request) -> web.StreamResponse:
        """200 with the id of the post."""
        page, text = request.match_info["page"], str((await read_object(request)).get("message", ""))
        return await self._serve(request, page, lambda: self._take(page, text))

    async def photo(self, request: web.Request) -> web.StreamResponse:
        """200 with the ids of the image and of its post."""
        page, fields = request.match_info["page"], await read_object(request)
        text, image, alt = (str(fields.get(name, "")) for name in ("message", "url", "alt_text_custom"))
        if not image.startswith("http"):
            return await self._serve(request, page, lambda: _error(324, "Missing or invalid image file"))
        return await self._serve(request, page, lambda: self._take(page, text, image, alt))

    async def feed(self, request: web.Request) -> web.StreamResponse:
        """The page's posts, newest first."""
        page = request.match_info["page"]
        return await self._serve(
            request, page, lambda: web.json_response({"data": [_entry(p) for p in reversed(self.board.of(page))]})
        )

    async def edit(self, request: web.Request) -> web.StreamResponse:
        """200 with success."""
        text = str((await read_object(request)).get("message", ""))
        return await self._change(request, text)

    async def delete(self, request: web.Request) -> web.StreamResponse:
        """200 with success."""
        return await self._change(request, None)

    def _take(self, page: str, text: str, image: str = "", alt: str = "") -> web.Response:
        if not text or len(text) > _LONGEST:
            return _error(100, "Invalid parameter")
        latest = self.board.of(page)[-1:]
        if latest and latest[0].text == text:
            return _error(506, "Duplicate status message")
        post = self.board.add(Service.FACEBOOK, page, f"{page}_{secrets.randbelow(10**15)}", text, image=image, alt=alt)
        return web.json_response({"id": secrets.token_hex(8), "post_id": post.id} if image else {"id": post.id})

    async def _change(self, request: web.Request, text: str | None) -> web.StreamResponse:
        """Edit to ``text``, or delete where there is none."""
        page = request.match_info["page"]

        def take() -> web.Response:
            """Put the post on the wall and answer as the Graph API does."""
            post = self.board.find(page, f"{page}_{request.match_info['post']}")
            if post is None:
                return _error(100, "Object does not exist")
            self.board.delete(post) if text is None else self.board.edit(post, text)
            return web.json_response({"success": True})

        return await self._serve(request, page, take)

    async def _serve(self, request: web.Request, account: str, take: Take) -> web.StreamResponse:
        known = bool(bearer_of(request))
        return await self.serve(request, account, take if known else lambda: _error(190, "Invalid access token"))


def _entry(post: Shown) -> dict[str, object]:
    return {"id": post.id, "message": post.text, "created_time": graph_time(post.received_ms)}


def _error(code: int, message: str) -> web.Response:
    error = {"message": f"(#{code}) {message}", "type": "OAuthException", "code": code, "fbtrace_id": "A" + "0" * 10}
    return web.json_response({"error": error}, status=400)
