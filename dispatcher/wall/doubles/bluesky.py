"""A server of the AT Protocol under ``/bluesky``; an account is the identifier that logged in."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Callable, Sequence
from typing import Any

from aiohttp import web

from dispatcher.model.channel import TextLimit, Unit
from dispatcher.wall.board import Service, Shown
from dispatcher.wall.doubles.base import Double, bearer_of, is_jpeg, iso, read_object

_REPO = "/bluesky/xrpc/com.atproto.repo"
_SERVER = "/bluesky/xrpc/com.atproto.server"
_LIMIT = TextLimit(Unit.GRAPHEMES, 300, most_bytes=3_000)
_KEY = re.compile(r"[234567abcdefghij][234567abcdefghijklmnopqrstuvwxyz]{12}")
_LARGEST = 1_000_000  # bytes of an image, on servers of any age
_JWT = "session-of-"


class Bluesky(Double):
    """Takes any password. Like the real one it writes the same record twice without a change and checks keys and facets."""

    def routes(self) -> Sequence[web.RouteDef]:
        """Log in, write, read back, delete, and take images."""
        return [
            web.post(_SERVER + ".createSession", self.login),
            web.get(_SERVER + ".getSession", self.session),
            web.post(_REPO + ".putRecord", self.put),
            web.post(_REPO + ".uploadBlob", self.upload),
            web.get(_REPO + ".getRecord", self.read),
            web.post(_REPO + ".deleteRecord", self.delete),
        ]

    async def login(self, request: web.Request) -> web.StreamResponse:
        """200 with a session; its token names the account."""
        data = await read_object(request)
        account = str(data.get("identifier", ""))

        def take() -> web.Response:
            """Any password opens."""
            if not data.get("password"):
                return _error(401, "AuthenticationRequired", "Invalid identifier or password")
            tokens = {"accessJwt": _JWT + account, "refreshJwt": "refresh-of-" + account}
            return web.json_response({**tokens, "handle": account, "did": _did(account), "active": True})

        return await self.serve(request, account, take)

    async def session(self, request: web.Request) -> web.StreamResponse:
        """Whose session it is."""
        return await self._serve(
            request,
            lambda account: web.json_response({"handle": account, "did": _did(account), "active": True}),
        )

    async def put(self, request: web.Request) -> web.StreamResponse:
        """200 with the record's place, written or as it stood."""
        data = await read_object(request)
        return await self._serve(request, lambda account: self._take(account, data))

    async def upload(self, request: web.Request) -> web.StreamResponse:
        """200 with what a record shows of an image; the same bytes have the same name."""
        jpeg = await request.read()

        def take(_account: str) -> web.Response:
            """Keep the image."""
            if not is_jpeg(jpeg) or len(jpeg) > _LARGEST:
                return _error(400, "InvalidRequest", "This file is no image, or too large")
            link = f"bafkrei{hashlib.sha256(jpeg).hexdigest()[:52]}"
            self.board.upload(link, jpeg)
            blob = {"$type": "blob", "ref": {"$link": link}, "mimeType": "image/jpeg", "size": len(jpeg)}
            return web.json_response({"blob": blob})

        return await self._serve(request, take)

    async def read(self, request: web.Request) -> web.StreamResponse:
        """The record, or that there is none."""

        def take(account: str) -> web.Response:
            """Read the record."""
            post = self.board.by_key(account, request.query.get("rkey", ""))
            return web.json_response(_entry(post)) if post else _error(400, "RecordNotFound", "Could not locate record")

        return await self._serve(request, take)

    async def delete(self, request: web.Request) -> web.StreamResponse:
        """200, also when it is gone already."""
        data = await read_object(request)

        def take(account: str) -> web.Response:
            """Take the record back."""
            post = self.board.by_key(account, str(data.get("rkey", "")))
            if post is not None:
                self.board.delete(post)
            return web.json_response({})

        return await self._serve(request, take)

    def _take(self, account: str, data: dict[str, Any]) -> web.Response:
        record, key = data.get("record", {}), str(data.get("rkey", ""))
        text = str(record.get("text", ""))
        if data.get("repo") != _did(account) or not _KEY.fullmatch(key):
            return _error(400, "InvalidRequest", "Invalid repo or rkey")
        if not _LIMIT.fits(text) or not all(_points(text, facet) for facet in record.get("facets", ())):
            return _error(400, "InvalidRequest", "Invalid app.bsky.feed.post record")
        images = record.get("embed", {}).get("images", [])
        if any(_link(image) not in self.board.uploads for image in images):
            return _error(400, "BlobNotFound", "Could not find blob")
        shown = Shown(
            order=0, service=Service.BLUESKY, account=account, id="", text=text, key=key,
            image=self.board.uploaded(map(_link, images)).image, alt=str(images[0]["alt"]) if images else "",
        )  # fmt: skip
        return web.json_response(_entry(self._show(shown)))

    def _show(self, said: Shown) -> Shown:
        known = self.board.by_key(said.account, said.key)
        if known is None:
            uri = f"at://{_did(said.account)}/app.bsky.feed.post/{said.key}"
            return self.board.add(
                said.service, said.account, uri, said.text, key=said.key, image=said.image, alt=said.alt
            )
        if (known.text, known.image) == (said.text, said.image):
            return self.board.repeat(known)
        return self.board.edit(known, said.text, image=said.image, alt=said.alt)

    async def _serve(self, request: web.Request, take: Callable[[str], web.Response]) -> web.StreamResponse:
        token = bearer_of(request)
        account = token.removeprefix(_JWT)
        if not token.startswith(_JWT):
            return await self.serve(
                request, account, lambda: _error(400, "InvalidToken", "Token could not be verified")
            )
        return await self.serve(request, account, lambda: take(account))


def _link(image: dict[str, Any]) -> str:
    """The name of an image's bytes."""
    return str(image["image"]["ref"]["$link"])


def _did(account: str) -> str:
    return "did:plc:" + re.sub(r"[^a-z0-9]", "", account.lower())


def _points(text: str, facet: dict[str, Any]) -> bool:
    """Whether a facet's bytes are the very link that it names."""
    start, end = facet["index"]["byteStart"], facet["index"]["byteEnd"]
    return bool(text.encode()[start:end].decode(errors="replace") == facet["features"][0]["uri"])


def _entry(post: Shown) -> dict[str, Any]:
    value = {"$type": "app.bsky.feed.post", "text": post.text, "createdAt": iso(post.received_ms)}
    return {"uri": post.id, "cid": f"bafyrei{abs(hash(post.text)):x}", "value": value, "validationStatus": "valid"}


def _error(status: int, name: str, message: str) -> web.Response:
    return web.json_response({"error": name, "message": message}, status=status)
