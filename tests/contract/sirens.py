"""A broker on 127.0.0.1 with a unit behind it that says, at any point of the visit, whatever a case wants."""

from __future__ import annotations

import asyncio
import json
import ssl
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import asynccontextmanager
from typing import Any

from contract.provider import Provider
from contract.relay import certified

from dispatcher.packets import Kind, Message, publish, published, read, write

Say = Callable[[str, asyncio.StreamWriter], Awaitable[None]]

ACK = 100  # the point at which the unit answers, after the broker's PUBACK
TOPIC = "sirens/leer/acks"


def answer(kind: Kind, code: int) -> bytes:
    """The broker's answer with that reason code."""
    return write(kind, {Kind.CONNACK: b"\0", Kind.DISCONNECT: b""}.get(kind, b"\0\1") + bytes([code, 0]))


def suback(code: int) -> bytes:
    """Its answer to a subscription, whose reason code stands last."""
    return write(Kind.SUBACK, bytes([0, 1, 0, code]))


def unit(key: str, **said: Any) -> bytes:
    """A unit's answer to the order ``key``."""
    return publish(Message(TOPIC, json.dumps({"id": key, "state": "done", **said}).encode()))


# What is said at each point where a script says nothing else; a callable is given the order's id.
GOOD: Mapping[int, bytes | Callable[[str], bytes]] = {
    Kind.CONNECT: answer(Kind.CONNACK, 0), Kind.SUBSCRIBE: suback(0), Kind.PUBLISH: write(Kind.PUBACK, b"\0\1"), ACK: unit,
}  # fmt: skip


@asynccontextmanager
async def broker(script: Mapping[int, Any], tls: ssl.SSLContext | None = None) -> AsyncIterator[Provider]:
    """A listening broker; the orders that it was given are in ``requests``. ``script`` says what differs from `GOOD`."""
    tasks: set[asyncio.Task[Any]] = set()
    heard = Provider("")

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        tasks.add(asyncio.current_task())
        try:
            await _visit({**GOOD, **script}, reader, writer, heard)
        except (OSError, EOFError, asyncio.CancelledError):
            writer.transport.abort()

    server = await asyncio.start_server(serve, "127.0.0.1", 0, ssl=tls or certified())
    heard.url = f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}"
    try:
        yield heard
    finally:
        server.close()
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)


async def _visit(
    script: Mapping[int, Any], reader: asyncio.StreamReader, writer: asyncio.StreamWriter, heard: Provider
) -> None:
    while (packet := await read(reader)).kind != Kind.DISCONNECT:
        key = ""
        if packet.kind == Kind.PUBLISH:
            message = published(packet)
            heard.requests.append(message.payload)
            key = json.loads(message.payload)["id"]
        for point in (packet.kind, ACK) if key else (packet.kind,):
            await _say(script[point], key, writer)
    writer.close()


async def _say(said: Any, key: str, writer: asyncio.StreamWriter) -> None:
    if asyncio.iscoroutinefunction(said):
        await said(key, writer)
    else:
        writer.write(said if isinstance(said, bytes) else said(key))
    await writer.drain()
