"""A mail relay on 127.0.0.1 that says, at any point of the conversation, whatever a case wants."""

from __future__ import annotations

import asyncio
import functools
import ssl
import tempfile
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import trustme
from contract.provider import Provider

Say = Callable[[bytes, asyncio.StreamWriter], Awaitable[None]]

# The points of a conversation, in order; "." is the end of the letter.
GOOD: Mapping[str, bytes] = {
    "": b"220 relay ESMTP", "EHLO": b"250-relay\r\n250-STARTTLS\r\n250 AUTH PLAIN LOGIN", "STARTTLS": b"220 go ahead",
    "AUTH": b"235 2.7.0 welcome", "MAIL": b"250 2.1.0 ok", "RCPT": b"250 2.1.5 ok", "DATA": b"354 go ahead",
    ".": b"250 2.0.0 queued as 4XyZ", "NOOP": b"250 ok", "QUIT": b"221 bye",
}  # fmt: skip


@functools.cache
def authority() -> tuple[trustme.CA, Path]:
    """An authority of our own and the file with its certificate."""
    made = trustme.CA()
    file = Path(tempfile.mkdtemp(prefix="contract-authority-")) / "ca.pem"
    made.cert_pem.write_to_path(str(file))
    return made, file


def certified() -> ssl.SSLContext:
    """A server's context that this authority vouches for."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    authority()[0].issue_cert("127.0.0.1").configure_cert(context)
    return context


@asynccontextmanager
async def relay(script: Mapping[str, bytes | Say], tls: ssl.SSLContext | None = None) -> AsyncIterator[Provider]:
    """A listening relay; what it took whole is in ``requests``. ``script`` says what differs from `GOOD`."""
    tasks: set[asyncio.Task[Any]] = set()
    heard = Provider("")

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        tasks.add(asyncio.current_task())
        try:
            await _converse({**GOOD, **script}, reader, writer, heard, tls or certified())
        except (OSError, asyncio.IncompleteReadError, asyncio.CancelledError):
            writer.transport.abort()

    server = await asyncio.start_server(serve, "127.0.0.1", 0)
    heard.url = f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}"
    try:
        yield heard
    finally:
        server.close()
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)


async def _converse(
    script: Mapping[str, bytes | Say], reader: asyncio.StreamReader, writer: asyncio.StreamWriter, heard: Provider,
    tls: ssl.SSLContext,
) -> None:  # fmt: skip
    point, said = "", b""
    while True:
        if point == ".":
            heard.requests.append(said)
        await _say(script.get(point, b"502 not known"), said, writer)
        if point == "STARTTLS" and script[point] == GOOD[point]:
            await writer.start_tls(tls)
        if point == "QUIT" or writer.is_closing():
            writer.close()
            return
        whole = point == "DATA" and script[point] == GOOD[point]
        said = await reader.readuntil(b"\r\n.\r\n" if whole else b"\n")
        point = "." if whole else said.split()[0].decode().upper()


async def _say(answer: bytes | Say, said: bytes, writer: asyncio.StreamWriter) -> None:
    if callable(answer):
        await answer(said, writer)
    else:
        writer.write(answer + b"\r\n")
        await writer.drain()
