"""The provider of a benchmark over TLS 1.3: it obeys recorder.c's orders, of which it knows those that a healthy one needs.

``encrypted.py CERTIFICATE`` prints its port. One order more: ``handshakes`` prints "handshakes N", all since the start.
"""

from __future__ import annotations

import asyncio
import ssl
import struct
import sys
import time
from collections.abc import Callable
from typing import cast

import uvloop

RECORD = struct.Struct("<qII16s")
_MARK, _TAIL = b"bench-", 12  # an incident's name, and how many digits follow
_ANSWER = b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: 2\r\n\r\n{}"


class Provider:
    """What was asked, as recorder.c would write it down."""

    def __init__(self) -> None:
        self.handshakes = 0
        self._records = bytearray()
        self._taken = self._expected = 0

    def note(self, at: int, channel: int, body: bytes) -> None:
        """A request, whose first byte was read in this monotonic nanosecond."""
        mark = body.find(_MARK) + len(_MARK)
        self._records += RECORD.pack(at, channel, 200, body[mark : mark + _TAIL])
        self._taken += 1
        if self._taken == self._expected:
            say(b"reached\n")

    def obey(self, line: str) -> None:
        """An order."""
        order, _, value = line.strip().partition(" ")
        match order:
            case "reset":
                self._records.clear()
                self._taken = self._expected = 0
            case "expect":
                self._expected = int(value)
                if self._taken >= self._expected:
                    say(b"reached\n")
            case "dump":
                say(b"records %d\n" % (len(self._records) // RECORD.size) + self._records)
            case "handshakes":
                say(b"handshakes %d\n" % self.handshakes)


class Connection(asyncio.Protocol):
    """One connection: requests with Content-Length, one after the other."""

    def __init__(self, provider: Provider) -> None:
        self._provider = provider
        self._data, self._began = bytearray(), 0

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """The handshake is done."""
        self._transport = cast("asyncio.Transport", transport)  # uvloop's is none, but does what one does
        self._provider.handshakes += 1
        _, _, subnet, host = transport.get_extra_info("sockname")[0].split(".")
        self._channel = int(subnet) * 250 + int(host) - 1

    def data_received(self, data: bytes) -> None:
        """A part of a request, or all of it."""
        self._began = self._began or time.monotonic_ns()
        self._data += data
        head, found, body = bytes(self._data).partition(b"\r\n\r\n")
        if not found or len(body) < int(head.lower().partition(b"\r\ncontent-length:")[2].partition(b"\r\n")[0]):
            return
        self._provider.note(self._began, self._channel, body)
        self._data.clear()
        self._began = 0
        self._transport.write(_ANSWER)


def say(data: bytes | bytearray) -> None:
    """To whoever gives orders."""
    sys.stdout.buffer.write(data)
    sys.stdout.buffer.flush()


async def serve(certificate: str) -> None:
    """Until there are no more orders."""
    context, provider, loop = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER), Provider(), asyncio.get_running_loop()
    context.minimum_version = ssl.TLSVersion.TLSv1_3
    context.load_cert_chain(certificate)
    server = await loop.create_server(lambda: Connection(provider), "0.0.0.0", 0, ssl=context, backlog=4096)
    say(b"%d\n" % server.sockets[0].getsockname()[1])
    over = asyncio.Event()
    loop.add_reader(sys.stdin, _orders(provider.obey, over.set))
    await over.wait()


def _orders(obey: Callable[[str], None], end: Callable[[], object]) -> Callable[[], None]:
    """What reads them, line by line, as they come."""
    waiting = bytearray()

    def read() -> None:
        data = sys.stdin.buffer.raw.read(65_536)
        waiting.extend(data)
        *lines, rest = waiting.split(b"\n")
        waiting[:] = rest
        for line in lines:
            obey(line.decode())
        if not data:
            end()

    return read


if __name__ == "__main__":
    uvloop.run(serve(sys.argv[1]))
