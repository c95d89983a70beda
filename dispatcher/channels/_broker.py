"""One short visit to an MQTT 5 broker: come in, listen, say one thing, leave; and what each of its refusals means.

Reason codes: OASIS MQTT 5.0, 2.4.
"""

from __future__ import annotations

import asyncio
import socket
import ssl
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass

from dispatcher.channels.departure import leave
from dispatcher.model.delivery import Outcome, Reason, Result
from dispatcher.packets import Kind, Message, Packet, publish, published, read, subscribe, write

_CODES: Mapping[int, tuple[Result, Reason, str]] = {
    0x01: (Result.PERMANENT, Reason.REJECTED, "it does not speak MQTT 5"),
    0x10: (Result.TEMPORARY, Reason.NETWORK, "nobody listens on the topic"),
    0x84: (Result.PERMANENT, Reason.REJECTED, "it does not speak MQTT 5"),
    0x86: (Result.PERMANENT, Reason.AUTH, "wrong user name or password"),
    0x87: (Result.PERMANENT, Reason.AUTH, "not allowed"),
    0x88: (Result.TEMPORARY, Reason.SERVER_ERROR, "not available"),
    0x89: (Result.TEMPORARY, Reason.SERVER_ERROR, "busy"),
    0x8A: (Result.PERMANENT, Reason.AUTH, "banned"),
    0x8C: (Result.PERMANENT, Reason.AUTH, "it wants another way to log in"),
    0x95: (Result.PERMANENT, Reason.TOO_LONG, "longer than it takes"),
    0x96: (Result.TEMPORARY, Reason.RATE_LIMITED, "too many messages"),
    0x97: (Result.TEMPORARY, Reason.RATE_LIMITED, "its quota is used up"),
    0x9F: (Result.TEMPORARY, Reason.RATE_LIMITED, "too many connections"),
}
_TOO_LARGE = 0x95
_ANSWERS = frozenset({Kind.CONNACK, Kind.SUBACK, Kind.PUBACK, Kind.DISCONNECT})
_GOODBYE_SECONDS = 1.0
_REASONS: Mapping[type[Exception], Reason] = {
    ssl.SSLError: Reason.TLS, socket.gaierror: Reason.DNS, TimeoutError: Reason.TIMEOUT,
}  # fmt: skip


@dataclass(frozen=True, slots=True)
class Broker:
    """Where it is and who we are there: ``hello`` is our CONNECT, ``dial`` connects without the thread pool."""

    host: str
    port: int
    tls: ssl.SSLContext | None
    hello: bytes
    dial: Callable[[str, int], Awaitable[socket.socket]]


class Refused(Exception):
    """The broker said no, and that it did not take what was asked."""

    def __init__(self, code: int) -> None:
        """``code`` is the reason code."""
        result, reason, words = _CODES.get(code, (Result.PERMANENT, Reason.REJECTED, "refused"))
        self.outcome = Outcome(result=result, reason=reason, detail=f"broker: {words} (0x{code:02x})")
        super().__init__(self.outcome.detail)


FAILURES = (OSError, EOFError, ValueError, Refused)  # time-outs are OSError, an end in mid-packet is EOFError


@dataclass(frozen=True, slots=True)
class Visit:
    """A connection that is let in and listens."""

    reader: asyncio.StreamReader
    writer: asyncio.StreamWriter

    def say(self, message: Message, seconds: int) -> None:
        """Publish, to be kept for ``seconds`` at most; raises `Fenced` where a stop came first, and nothing left."""
        leave()
        self.writer.write(publish(message, seconds=seconds))

    async def hear(self) -> Message:
        """What is said next; raises one of `FAILURES` where what we said is refused, or the broker goes."""
        return published(await self.expect(Kind.PUBLISH))

    async def expect(self, kind: Kind) -> Packet:
        """The next packet of ``kind``; raises one of `FAILURES` where a refusal comes first."""
        while True:
            packet = await read(self.reader)
            if packet.kind == Kind.DISCONNECT and packet.reason != _TOO_LARGE:
                raise ConnectionResetError(f"the broker left (0x{packet.reason:02x})")
            if packet.kind in _ANSWERS and ((code := packet.reason) >= 0x80 or code in _CODES):
                raise Refused(code)
            if packet.kind == kind:
                return packet


@asynccontextmanager
async def visit(broker: Broker, topic_filter: str) -> AsyncIterator[Visit]:
    """Listening on ``topic_filter`` at ``broker``; raises one of `FAILURES` on the way there."""
    encrypted = broker.tls is not None
    reader, writer = await asyncio.open_connection(
        sock=await broker.dial(broker.host, broker.port), ssl=broker.tls,
        server_hostname=broker.host if encrypted else None,
        ssl_shutdown_timeout=_GOODBYE_SECONDS if encrypted else None,
    )  # fmt: skip
    here = Visit(reader, writer)
    try:
        writer.write(broker.hello)
        await here.expect(Kind.CONNACK)
        writer.write(subscribe(topic_filter))
        await here.expect(Kind.SUBACK)
        yield here
        writer.write(write(Kind.DISCONNECT))
        writer.close()
    finally:
        if not writer.is_closing():
            writer.transport.abort()


def failed(error: Exception, *, left: bool) -> Outcome:
    """What one of `FAILURES` makes of an attempt; ``left`` says that the message may have arrived."""
    if isinstance(error, Refused):
        return error.outcome
    reason = next((reason for kind, reason in _REASONS.items() if isinstance(error, kind)), Reason.NETWORK)
    if left:
        what = "nothing was confirmed in time" if reason is Reason.TIMEOUT else "connection lost before a confirmation"
        return Outcome(result=Result.IN_DOUBT, reason=reason, detail=what)
    if isinstance(error, ssl.SSLCertVerificationError):
        return Outcome(result=Result.PERMANENT, reason=reason, detail="certificate not trusted")
    return Outcome(result=Result.TEMPORARY, reason=reason, detail=type(error).__name__)
