"""A provider on 127.0.0.1 that misbehaves byte by byte, below any HTTP library."""

from __future__ import annotations

import asyncio
import itertools
import json
import ssl
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

Behave = Callable[[bytes, asyncio.StreamWriter], Awaitable[None]]


@dataclass
class Provider:
    """What listens at ``url`` and what it was sent: whole requests, head and body."""

    url: str
    requests: list[bytes] = field(default_factory=list)

    def body(self, number: int = -1) -> Any:
        """The JSON body of one request."""
        return json.loads(self.requests[number].partition(b"\r\n\r\n")[2])

    def head(self, number: int = -1) -> str:
        """The request line and headers of one request."""
        return self.requests[number].partition(b"\r\n\r\n")[0].decode()


def reply(status: int, body: bytes, headers: Mapping[str, str] | None = None, *, length: int | None = None) -> bytes:
    """A whole HTTP/1.1 answer; ``length`` may lie about its body."""
    fields = {
        "Connection": "close",
        "Content-Type": "application/json",
        "Content-Length": str(len(body) if length is None else length),
    }
    lines = [f"HTTP/1.1 {status} Said", *(f"{name}: {value}" for name, value in {**fields, **(headers or {})}.items())]
    return "\r\n".join(lines).encode() + b"\r\n\r\n" + body


def says(status: int, data: Any = None, headers: Mapping[str, str] | None = None) -> Behave:
    """Answer with a status and JSON, or with no body."""
    body = b"" if data is None else json.dumps(data).encode()
    return sends(reply(status, body, headers))


def sends(answer: bytes) -> Behave:
    """Answer with these very bytes, then close."""

    async def behave(_request: bytes, writer: asyncio.StreamWriter) -> None:
        writer.write(answer)
        await writer.drain()

    return behave


def in_turn(*behaves: Behave) -> Behave:
    """Behave differently with each request."""
    turns = iter(behaves)

    async def behave(request: bytes, writer: asyncio.StreamWriter) -> None:
        await next(turns)(request, writer)

    return behave


def at_last(before: Sequence[Behave], behave: Behave) -> Behave:
    """Behave as ``before`` says with the first requests, and then always as ``behave``."""
    turns = itertools.chain(before, itertools.repeat(behave))

    async def in_order(request: bytes, writer: asyncio.StreamWriter) -> None:
        await next(turns)(request, writer)

    return in_order


@asynccontextmanager
async def provider(behave: Behave, tls: ssl.SSLContext | None = None) -> AsyncIterator[Provider]:
    """A listening provider; whatever it still does at the end is cut off."""
    tasks: set[asyncio.Task[Any]] = set()

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        tasks.add(asyncio.current_task())
        try:
            request = await _read(reader)
            known.requests.append(request)
            await behave(request, writer)
            writer.close()
        except (ConnectionError, asyncio.IncompleteReadError, asyncio.CancelledError):
            writer.transport.abort()

    server = await asyncio.start_server(serve, "127.0.0.1", 0, ssl=tls)
    scheme = "https" if tls else "http"
    known = Provider(f"{scheme}://127.0.0.1:{server.sockets[0].getsockname()[1]}")
    try:
        yield known
    finally:
        server.close()
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        await server.wait_closed()


async def _read(reader: asyncio.StreamReader) -> bytes:
    head = await reader.readuntil(b"\r\n\r\n")
    lengths = [line.split(b":")[1] for line in head.split(b"\r\n") if line.lower().startswith(b"content-length:")]
    return head + await reader.readexactly(int(lengths[0]) if lengths else 0)
