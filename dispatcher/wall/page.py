"""The page that shows every post as the public would see it, live, readable from across the room."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from aiohttp import web

from dispatcher.wall.board import Board
from dispatcher.web import PAGE_HEADERS, sse_response

_STATIC = Path(__file__).parent / "static"
_TYPES = {".html": "text/html", ".css": "text/css", ".js": "text/javascript", ".svg": "image/svg+xml"}


def routes(board: Board) -> Sequence[web.RouteDef]:
    """``/``, its few files, and ``/_wall/stream``, which feeds it."""

    async def stream(request: web.Request) -> web.StreamResponse:
        """Posts as they come, after a snapshot."""
        return await sse_response(request, board.hub, lambda: _snapshot(board))

    files = {f"/_wall/static/{path.name}": path for path in _STATIC.iterdir() if path.suffix in _TYPES}
    files["/"] = _STATIC / "wall.html"
    return [*(web.get(url, _sender(path)) for url, path in files.items()), web.get("/_wall/stream", stream)]


def _snapshot(board: Board) -> dict[str, Any]:
    return {"titles": board.titles, "posts": board.posts()}


def _sender(path: Path) -> Any:
    """A handler that sends one file, read once."""
    body, kind = path.read_bytes(), _TYPES[path.suffix]

    async def send(_request: web.Request) -> web.Response:
        """One file of the page."""
        return web.Response(body=body, content_type=kind, charset="utf-8", headers=PAGE_HEADERS)

    return send
