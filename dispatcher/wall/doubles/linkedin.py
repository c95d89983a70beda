"""LinkedIn's Posts API under ``/linkedin``; an account is an organisation's id."""

from __future__ import annotations

import re
from collections.abc import Sequence
from urllib.parse import unquote

from aiohttp import web

from dispatcher.wall.board import Service, Shown
from dispatcher.wall.doubles.base import Double, bearer_of, read_object
from dispatcher.wall.faults import Take

_POSTS = "/linkedin/rest/posts"
_LONGEST = 3000
_AUTHOR = "urn:li:organization:"
# Up to the first reserved sign without a backslash: there the real one cuts off and says nothing.
_KEPT = re.compile(r"(?:\\.|[^\\|{}@\[\]()<>#*_~])*", re.DOTALL)


class LinkedIn(Double):
    """Takes any token with a version. Like the real one it cuts texts off at unescaped signs and refuses repeated texts."""

    def routes(self) -> Sequence[web.RouteDef]:
        """Post, list, edit, delete."""
        return [
            web.post(_POSTS, self.post),
            web.get(_POSTS, self.list),
            web.post(_POSTS + "/{post}", self.edit),
            web.delete(_POSTS + "/{post}", self.delete),
        ]

    async def post(self, request: web.Request) -> web.StreamResponse:
        """201 with an empty body and the id in a header."""
        data = await read_object(request)
        account = str(data.get("author", "")).removeprefix(_AUTHOR)
        return await self._serve(request, account, lambda: self._take(account, str(data.get("commentary", ""))))

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

    def _take(self, account: str, commentary: str) -> web.Response:
        if not commentary or len(commentary) > _LONGEST:
            return _error(400, "FIELD_LENGTH_TOO_LONG", "commentary has no or too many characters")
        text = _kept(commentary)
        same = next((post for post in self.board.of(account) if post.text == text), None)
        if same is not None:
            return _error(422, "DUPLICATE_POST", f"Content is a duplicate of {same.id}")
        post = self.board.add(
            Service.LINKEDIN, account, f"urn:li:share:{7_400_000_000_000_000_000 + len(self.board)}", text
        )
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
