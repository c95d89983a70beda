"""LinkedIn's Posts API under ``/linkedin``; an account is an organisation's id."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Any
from urllib.parse import unquote

from aiohttp import web

from dispatcher.wall.board import Board, Service, Shown, now_ms
from dispatcher.wall.doubles.base import Double, bearer_of, is_jpeg, read_object
from dispatcher.wall.faults import Faults, Take

_POSTS = "/linkedin/rest/posts"
_IMAGES = "/linkedin/rest/images"
_UPLOADS = "/linkedin/dms-uploads"
_LONGEST = 3000
_AUTHOR = "urn:li:organization:"
# Up to the first reserved sign without a backslash: there the real one cuts off and says nothing.
_KEPT = re.compile(r"(?:\\.|[^\\|{}@\[\]()<>#*_~])*", re.DOTALL)


class LinkedIn(Double):
    """Takes any token with a version. Like the real one it cuts texts off at unescaped signs and refuses repeated texts."""

    def __init__(self, board: Board, faults: Faults) -> None:
        """No image is announced."""
        super().__init__(board, faults)
        self._owners: dict[str, str] = {}  # accounts by the names of their images
        self._available: set[str] = set()

    def routes(self) -> Sequence[web.RouteDef]:
        """Post, list, edit, delete, and take images."""
        return [
            web.post(_POSTS, self.post),
            web.post(_IMAGES, self.begin),
            web.put(_UPLOADS + "/{image}", self.put),
            web.get(_IMAGES + "/{image}", self.image),
            web.get(_POSTS, self.list),
            web.post(_POSTS + "/{post}", self.edit),
            web.delete(_POSTS + "/{post}", self.delete),
        ]

    async def post(self, request: web.Request) -> web.StreamResponse:
        """201 with an empty body and the id in a header."""
        data = await read_object(request)
        account = str(data.get("author", "")).removeprefix(_AUTHOR)
        return await self._serve(request, account, lambda: self._take(account, data))

    async def begin(self, request: web.Request) -> web.StreamResponse:
        """200 with a name for an image, and where its bytes are wanted."""
        data = (await read_object(request)).get("initializeUploadRequest", {})
        account = str(data.get("owner", "")).removeprefix(_AUTHOR)

        def take() -> web.Response:
            """Make a place."""
            image = f"urn:li:image:C4D{len(self._owners):017d}"
            self._owners[image] = account
            url = f"{request.url.origin()}{_UPLOADS}/{image}"
            return web.json_response(
                {"value": {"uploadUrl": url, "uploadUrlExpiresAt": now_ms() + 86_400_000, "image": image}}
            )

        return await self._serve(request, account, take)

    async def put(self, request: web.Request) -> web.StreamResponse:
        """201 for the bytes, which need the token and no version."""
        image, jpeg = request.match_info["image"], await request.read()

        def take() -> web.Response:
            """Keep the image."""
            if image not in self._owners or not bearer_of(request) or not is_jpeg(jpeg):
                return web.Response(status=400)
            self.board.upload(image, jpeg)
            return web.Response(status=201)

        return await self.serve(request, self._owners.get(image, ""), take)

    async def image(self, request: web.Request) -> web.StreamResponse:
        """200 with how far the image is: processed when it is asked for a second time."""
        image = unquote(request.match_info["image"])
        account = self._owners.get(image, "")

        def take() -> web.Response:
            """How far it is."""
            if image not in self.board.uploads:
                state = "WAITING_UPLOAD"
            else:
                state = "AVAILABLE" if image in self._available else "PROCESSING"
                self._available.add(image)
            return web.json_response({"id": image, "owner": f"{_AUTHOR}{account}", "status": state})

        return await self._serve(request, account, take)

    async def list(self, request: web.Request) -> web.StreamResponse:
        """The page's posts, newest first, texts in their escaped form."""
        account = request.query.get("author", "").removeprefix(_AUTHOR)
        rows = [_entry(post) for post in reversed(self.board.of(account))]
        return await self._serve(request, account, lambda: web.json_response({"elements": rows}))

    async def edit(self, request: web.Request) -> web.StreamResponse:
        """204 for a partial update of the commentary."""
        patch = (await read_object(request)).get("patch", {})
        if request.headers.get("X-RestLi-Method") != "PARTIAL_UPDATE":
            return _error(400, "ILLEGAL_ARGUMENT", "not a partial update")
        return await self._change(request, _kept(str(patch.get("$set", {}).get("commentary", ""))))

    async def delete(self, request: web.Request) -> web.StreamResponse:
        """204, also when it is gone already."""
        return await self._change(request, None)

    def _take(self, account: str, data: dict[str, Any]) -> web.Response:
        commentary, media = str(data.get("commentary", "")), data.get("content", {}).get("media", {})
        if not commentary or len(commentary) > _LONGEST:
            return _error(400, "FIELD_LENGTH_TOO_LONG", "commentary has no or too many characters")
        text = _kept(commentary)
        same = next((post for post in self.board.of(account) if post.text == text), None)
        if same is not None:
            return _error(422, "DUPLICATE_POST", f"Content is a duplicate of {same.id}")
        if media and (media["id"] not in self._available or self._owners[media["id"]] != account):
            return _error(400, "MEDIA_ASSET_WAITING_UPLOAD", "the image is not there")
        image = self.board.uploaded([media["id"]] if media else []).image
        id_ = f"urn:li:share:{7_400_000_000_000_000_000 + len(self.board)}"
        post = self.board.add(Service.LINKEDIN, account, id_, text, image=image, alt=str(media.get("altText", "")))
        return web.Response(status=201, headers={"x-restli-id": post.id})

    async def _change(self, request: web.Request, text: str | None) -> web.StreamResponse:
        """Edit to ``text``, or delete where there is none."""
        id_ = unquote(request.match_info["post"])
        account = self.board.owner(id_)

        def take() -> web.Response:
            """Change what hangs on the wall and answer as the Posts API does."""
            post = self.board.find(account, id_)
            if post is None and text is not None:
                return _error(404, "NOT_FOUND", "no such post")
            if post is not None:
                self.board.delete(post) if text is None else self.board.edit(post, text)
            return web.Response(status=204)

        return await self._serve(request, account, take)

    async def _serve(self, request: web.Request, account: str, take: Take) -> web.StreamResponse:
        if not bearer_of(request):
            return await self.serve(request, account, lambda: _error(401, "EMPTY_ACCESS_TOKEN", "Empty oauth2 token"))
        if "LinkedIn-Version" not in request.headers:
            return await self.serve(request, account, lambda: _error(400, "VERSION_MISSING", "no version"))
        return await self.serve(request, account, take)


def _kept(commentary: str) -> str:
    """What the public sees of a little text."""
    kept = _KEPT.match(commentary)
    return re.sub(r"\\(.)", r"\1", kept[0], flags=re.DOTALL) if kept else ""


def _entry(post: Shown) -> dict[str, object]:
    escaped = re.sub(r"([\\|{}@\[\]()<>#*_~])", r"\\\1", post.text)
    return {"id": post.id, "commentary": escaped, "createdAt": post.received_ms, "lifecycleState": "PUBLISHED"}


def _error(status: int, code: str, message: str) -> web.Response:
    details = {"inputErrors": [{"code": code, "description": message}]}
    body = {"status": status, "code": code, "message": message, "errorDetails": details}
    return web.json_response(body, status=status)
