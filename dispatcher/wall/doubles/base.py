"""What every double does: count the request, meet the account's fault, answer; and small helpers for their answers."""

from __future__ import annotations

import json
from abc import ABC, abstractmethod
from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Any

from aiohttp import web

from dispatcher.wall.board import Board
from dispatcher.wall.faults import Faults, Take, answer_with

# Meta's answer about a token that has no end.
DEBUGGED: dict[str, Any] = {"data": {"is_valid": True, "expires_at": 0, "type": "PAGE", "scopes": []}}


class Double(ABC):
    """A double of one provider over a shared board."""

    def __init__(self, board: Board, faults: Faults) -> None:
        """All doubles of a wall share ``board`` and ``faults``."""
        self.board, self.faults = board, faults

    @abstractmethod
    def routes(self) -> Sequence[web.RouteDef]:
        """The paths that this double answers, under a prefix of its own."""

    async def serve(self, request: web.Request, account: str, take: Take) -> web.StreamResponse:
        """Count the request for ``account`` and answer with ``take()``, unless a fault comes between."""
        self.board.requests[account] += 1
        return await answer_with(self.faults.next(account), request, take)


async def read_object(request: web.Request) -> dict[str, Any]:
    """The request's JSON object, empty where it is none."""
    try:
        data = json.loads(await request.read())
    except ValueError:
        return {}
    return data if isinstance(data, dict) else {}


async def read_form(request: web.Request) -> tuple[dict[str, str], bytes]:
    """The fields of a form in parts, and its file; empty where there is none."""
    try:
        form = await request.post()
    except ValueError:
        return {}, b""
    files = [value.file.read() for value in form.values() if isinstance(value, web.FileField)]
    return {name: value for name, value in form.items() if isinstance(value, str)}, files[0] if files else b""


def is_jpeg(data: bytes) -> bool:
    """Whether it begins and ends as one."""
    return data.startswith(b"\xff\xd8\xff") and data.endswith(b"\xff\xd9")


def bearer_of(request: web.Request) -> str:
    """The bearer token, or an empty text."""
    scheme, _, token = request.headers.get("Authorization", "").partition(" ")
    return token if scheme == "Bearer" else ""


def iso(milliseconds: int | None) -> str | None:
    """Unix milliseconds as an ISO 8601 time in UTC."""
    if milliseconds is None:
        return None
    return datetime.fromtimestamp(milliseconds / 1000, UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")


def graph_time(milliseconds: int) -> str:
    """The same as Meta writes it: whole seconds, and UTC as ``+0000``."""
    return f"{datetime.fromtimestamp(milliseconds / 1000, UTC):%Y-%m-%dT%H:%M:%S%z}"
