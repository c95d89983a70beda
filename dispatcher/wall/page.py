"""The page that shows every post as the public would see it, live, readable from across the room."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from aiohttp import web

from dispatcher.wall.board import IMAGES, Board
from dispatcher.web import PAGE_HEADERS, sse_response

_STATIC = Path(__file__).parent / "static"
_TYPES = {".html": "text/html", ".css": "text/css", ".js": "text/javascript", ".svg": "image/svg+xml"}


def routes(board: Board) -> Sequence[web.RouteDef]:
    """``/``, its few files, and ``/_wall/stream``, which feeds it."""

    async def stream(request: web.Request) -> web.StreamResponse:
        """Posts as they come, after a snapshot."""
        return await sse_response(request, board.hub, lambda: _snapshot(board))

    async def image(request: web.Request) -> web.Response:
        """An image that was uploaded to a double."""
        found = next((one for one in board.uploads.values() if one.image == request.path), None)
        if found is None:
            raise web.HTTPNotFound
        return web.Response(body=found.jpeg, content_type="image/jpeg", headers=PAGE_HEADERS)

    files = {f"/_wall/static/{path.name}": path for path in _STATIC.iterdir() if path.suffix in _TYPES}
    files["/"] = _STATIC / "wall.html"
    sent = (web.get(url, _sender(path)) for url, path in files.items())
    return [*sent, web.get("/_wall/stream", stream), web.get(IMAGES + "/{name}", image)]


def _snapshot(board: Board) -> dict[str, Any]:
    return {"titles": board.titles, "posts": board.posts()}


def _sender(path: Path) -> Any:
    """A handler that sends one file, read once."""
    body, kind = path.read_bytes(), _TYPES[path.suffix]

    async def send(_request: web.Request) -> web.Response:
        """One file of the page."""
        return web.Response(body=body, content_type=kind, charset="utf-8", headers=PAGE_HEADERS)

    return send
