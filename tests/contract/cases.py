"""What can come back from a provider, or not, and what each means by default. A kind may differ, by name, in its kit."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime
from functools import partial
from typing import Any

from contract.kit import Class, Kit
from contract.provider import Behave, reply, says, sends

from dispatcher.model.delivery import Reason, Result

ACCEPTED: Class = (Result.ACCEPTED, None)
UNPROVED: Class = (Result.IN_DOUBT, Reason.IN_DOUBT)
LOST: Class = (Result.IN_DOUBT, Reason.NETWORK)
REJECTED: Class = (Result.PERMANENT, Reason.REJECTED)
DENIED: Class = (Result.PERMANENT, Reason.AUTH)
SLOW_DOWN: Class = (Result.TEMPORARY, Reason.RATE_LIMITED)
SERVER_DOUBT: Class = (Result.IN_DOUBT, Reason.SERVER_ERROR)
NOT_TAKEN: Class = (Result.TEMPORARY, Reason.SERVER_ERROR)
NO_ANSWER: Class = (Result.IN_DOUBT, Reason.TIMEOUT)

SHORT_SECONDS, LONG_SECONDS = 0.4, 5.0
_LOGIN_PAGE = b"<!doctype html><title>Login</title><form><input type=password></form>"


@dataclass(frozen=True)
class Case:
    """One thing that a provider may do.

    ``status`` is what it answers, 0 where no complete answer comes. ``world`` is what stands in the way before any byte
    can leave; ``stays`` says that nothing leaves though the provider was reached. ``wait`` bounds the time that the outcome has to demand, in seconds.
    """

    name: str
    expected: Class
    behave: Callable[[Kit], Any]  # what its protocol's provider plays
    status: int = 0
    world: str = ""
    stays: bool = False
    wait: tuple[float, float] | None = None
    total: float = LONG_SECONDS

    @property
    def leaves(self) -> bool:
        """Whether the request gets as far as the provider."""
        return not (self.world or self.stays)


def _good(kit: Kit) -> bytes:
    return json.dumps(kit.good).encode()


def _proper(status: int | None = None) -> Callable[[Kit], Behave]:
    return lambda kit: says(status or kit.good_status, kit.good, kit.headers)


def _bytes(answer: bytes) -> Callable[[Kit], Behave]:
    return lambda _kit: sends(answer)


def _refuses(status: int, **headers: Callable[[], str]) -> Callable[[Kit], Behave]:
    """Refuse, and echo everything that was sent, secrets included, wherever a kind may look for a reason."""

    async def behave(request: bytes, writer: asyncio.StreamWriter) -> None:
        said = request.decode(errors="replace")
        fields = {name.replace("_", "-"): value() for name, value in headers.items()}
        writer.write(reply(status, json.dumps({"error": said, "message": said}).encode(), fields))
        await writer.drain()

    return lambda _kit: behave


async def _hang(_request: bytes, _writer: asyncio.StreamWriter) -> None:
    await asyncio.sleep(60)


async def _reset(_request: bytes, writer: asyncio.StreamWriter) -> None:
    writer.transport.abort()


async def _endless_headers(_request: bytes, writer: asyncio.StreamWriter) -> None:
    writer.write(b"HTTP/1.1 200 Said\r\n")
    while True:
        writer.write(b"X-More: and more\r\n" * 50)
        await writer.drain()


def _reset_after(kit: Kit) -> Behave:
    async def behave(_request: bytes, writer: asyncio.StreamWriter) -> None:
        writer.write(reply(kit.good_status, _good(kit)[:5], kit.headers, length=len(_good(kit))))
        await writer.drain()
        await asyncio.sleep(0.02)
        writer.transport.abort()

    return behave


def _drip(kit: Kit) -> Behave:
    async def behave(_request: bytes, writer: asyncio.StreamWriter) -> None:
        for byte in reply(kit.good_status, _good(kit), kit.headers):
            writer.write(bytes([byte]))
            await writer.drain()
            await asyncio.sleep(0.02)

    return behave


def _half(kit: Kit) -> Behave:
    return sends(reply(kit.good_status, _good(kit)[:8], kit.headers, length=len(_good(kit))))


def _oversized(kit: Kit) -> Behave:
    return sends(reply(kit.good_status, _good(kit).ljust(2 * 1024 * 1024), kit.headers))


def _html(status: int) -> bytes:
    return reply(status, _LOGIN_PAGE, {"Content-Type": "text/html; charset=utf-8"})


def _refusal(
    status: int,
    expected: Class,
    name: str = "",
    wait: tuple[float, float] | None = None,
    **headers: str | Callable[[], str],
) -> Case:
    fields = {name: value if callable(value) else partial(str, value) for name, value in headers.items()}
    return Case(name or str(status), expected, _refuses(status, **fields), status=status, wait=wait)


def _in_a_minute() -> str:
    return format_datetime(datetime.now(UTC) + timedelta(minutes=1), usegmt=True)


CASES = [
    Case("good answer", ACCEPTED, _proper(), status=200),
    Case("201 with the body", ACCEPTED, _proper(201), status=201),
    Case("202 with the body", ACCEPTED, _proper(202), status=202),
    Case("204", UNPROVED, _bytes(b"HTTP/1.1 204 Said\r\n\r\n"), status=204),
    Case("200 empty", UNPROVED, lambda _kit: says(200), status=200),
    Case("200 empty list", UNPROVED, lambda _kit: says(200, []), status=200),
    Case("200 other object", UNPROVED, lambda _kit: says(200, {"id": None, "ok": True}), status=200),
    Case("200 broken JSON", UNPROVED, _bytes(reply(200, b'{"id": "1"')), status=200),
    Case("200 bottomless JSON", UNPROVED, _bytes(reply(200, b"[" * 100_000)), status=200),
    Case("200 login page", UNPROVED, _bytes(_html(200)), status=200),
    _refusal(301, REJECTED, Location="/elsewhere"),
    _refusal(302, REJECTED, Location="/elsewhere"),
    _refusal(307, REJECTED, Location="/elsewhere"),
    _refusal(400, REJECTED),
    _refusal(401, DENIED),
    _refusal(403, DENIED),
    _refusal(404, REJECTED),
    _refusal(408, (Result.TEMPORARY, Reason.TIMEOUT)),
    _refusal(410, REJECTED),
    _refusal(413, (Result.PERMANENT, Reason.TOO_LONG)),
    _refusal(422, REJECTED),
    _refusal(429, SLOW_DOWN),
    _refusal(429, SLOW_DOWN, "429 with seconds", (7, 7), Retry_After="7"),
    _refusal(429, SLOW_DOWN, "429 with a date", (50, 60), Retry_After=_in_a_minute),
    _refusal(429, SLOW_DOWN, "429 with a hostile wait", (0, 86_400), Retry_After="9" * 4000),
    _refusal(429, SLOW_DOWN, "429 with a garbage wait", None, Retry_After="soon; really"),
    _refusal(500, SERVER_DOUBT),
    _refusal(501, SERVER_DOUBT),
    _refusal(502, SERVER_DOUBT),
    _refusal(503, NOT_TAKEN),
    _refusal(503, NOT_TAKEN, "503 with Retry-After", (3, 3), Retry_After="3"),
    _refusal(504, SERVER_DOUBT),
    Case("502 as a page", SERVER_DOUBT, _bytes(_html(502)), status=502),
    Case("no HTTP at all", LOST, _bytes(b"SSH-2.0-OpenSSH_9.6\r\n")),
    Case("closed without an answer", LOST, _bytes(b"")),
    Case("reset before an answer", LOST, lambda _kit: _reset),
    Case("reset within the answer", LOST, _reset_after),
    Case("half an answer", LOST, _half),
    Case("no answer", NO_ANSWER, lambda _kit: _hang, total=SHORT_SECONDS),
    Case("dripping answer", NO_ANSWER, _drip, total=SHORT_SECONDS),
    Case("oversized answer", SERVER_DOUBT, _oversized),
    Case("endless headers", LOST, lambda _kit: _endless_headers),
    Case("untrusted certificate", (Result.PERMANENT, Reason.TLS), _proper(), world="tls"),
    Case("no such name", (Result.TEMPORARY, Reason.DNS), _proper(), world="dns"),
    Case("connection refused", (Result.TEMPORARY, Reason.NETWORK), _proper(), world="refused"),
]
