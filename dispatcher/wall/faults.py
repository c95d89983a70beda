"""What can go wrong with a provider, switched on per account from outside."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from enum import StrEnum
from typing import Any, Final

from aiohttp import hdrs, web
from pydantic import BaseModel, ConfigDict, Field

Take = Callable[[], web.Response]
_FOREVER: Final = 3600.0
_OVERSIZED: Final = 2 * 1024 * 1024
_LOGIN_PAGE: Final = "<!doctype html><title>Anmeldung</title><form method=post><input name=password></form>"


class FaultKind(StrEnum):
    """How an account misbehaves."""

    STATUS = "status"  # answers with a status, the post is not taken
    HTML = "html"  # answers 200 with a login page, the post is not taken
    HANG = "hang"  # never answers, the post is not taken
    RESET_BEFORE = "reset_before"  # cuts the connection, the post is not taken
    RESET_AFTER = "reset_after"  # takes the post, then cuts the connection
    HALF = "half"  # takes the post, answers half
    DRIP = "drip"  # takes the post, answers one byte a second
    OVERSIZED = "oversized"  # takes the post, answers 2 MiB
    SLOW = "slow"  # takes the post and answers well, after ``delay`` seconds


class Fault(BaseModel):
    """One fault of one account; it ends after ``count`` requests or ``seconds``, whichever is given and comes first."""

    model_config = ConfigDict(extra="forbid")

    kind: FaultKind
    status: int = Field(default=503, ge=200, le=599)
    body: dict[str, Any] = Field(default_factory=lambda: {"error": "switched on at the wall"})
    headers: dict[str, str] = Field(default_factory=dict, description="such as Retry-After")
    delay: float = Field(default=0, ge=0, le=600, description="seconds before anything happens")
    count: int | None = Field(default=None, ge=1)
    seconds: float | None = Field(default=None, gt=0)


class Faults:
    """Which accounts misbehave at the moment."""

    def __init__(self) -> None:
        """Nobody does."""
        self._active: dict[str, tuple[Fault, float]] = {}

    def set(self, account: str, fault: Fault) -> None:
        """Switch ``fault`` on, instead of an earlier one."""
        end = time.monotonic() + fault.seconds if fault.seconds else float("inf")
        self._active[account] = (fault.model_copy(), end)

    def clear(self, account: str) -> None:
        """Let ``account`` behave again."""
        self._active.pop(account, None)

    def next(self, account: str) -> Fault | None:
        """The fault that this request meets, counted."""
        fault, end = self._active.get(account, (None, 0.0))
        if fault is None or time.monotonic() > end:
            self.clear(account)
            return None
        if fault.count is not None:
            fault.count -= 1
            if fault.count == 0:
                self.clear(account)
        return fault


async def answer_with(fault: Fault | None, request: web.Request, take: Take) -> web.StreamResponse:
    """Answer ``request`` as ``fault`` has it; ``take()`` takes the post and gives the proper answer."""
    if fault is None:
        return take()
    await asyncio.sleep(fault.delay)
    if fault.kind is FaultKind.STATUS:
        return web.json_response(fault.body, status=fault.status, headers=fault.headers)
    if fault.kind is FaultKind.HTML:
        return web.Response(text=_LOGIN_PAGE, content_type="text/html")
    if fault.kind is FaultKind.HANG:
        await asyncio.sleep(_FOREVER)
    if fault.kind is FaultKind.RESET_BEFORE:
        return _reset(request)
    return await _spoil(fault.kind, request, take())


async def _spoil(kind: FaultKind, request: web.Request, good: web.Response) -> web.StreamResponse:
    body = bytes(good.body) if isinstance(good.body, bytes) else b""
    if kind is FaultKind.RESET_AFTER:
        return _reset(request)
    if kind is FaultKind.OVERSIZED:
        return web.Response(body=body.ljust(_OVERSIZED), status=good.status, content_type="application/json")
    if kind is FaultKind.DRIP:
        return await _drip(request, good.status, body)
    if kind is FaultKind.HALF:
        return await _half(request, good.status, body)
    return good


def _reset(request: web.Request) -> web.Response:
    if request.transport is not None:
        request.transport.abort()
    return web.Response(status=500)


async def _begin(request: web.Request, status: int, length: int) -> web.StreamResponse:
    headers = {hdrs.CONTENT_LENGTH: str(length), hdrs.CONTENT_TYPE: "application/json"}
    response = web.StreamResponse(status=status, headers=headers)
    await response.prepare(request)
    return response


async def _drip(request: web.Request, status: int, body: bytes) -> web.StreamResponse:
    response = await _begin(request, status, len(body))
    for byte in body:
        await response.write(bytes([byte]))
        await asyncio.sleep(1)
    return response


async def _half(request: web.Request, status: int, body: bytes) -> web.StreamResponse:
    response = await _begin(request, status, len(body))
    await response.write(body[: len(body) // 2])
    if request.transport is not None:
        request.transport.close()
    return response
