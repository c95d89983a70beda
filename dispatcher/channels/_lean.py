"""Connections to providers, kept for the next request, with no more between a request and its socket than HTTP asks for.

One exchange at a time on each. A kept connection on which anything came unasked, be it its end, is never written to, so a
provider that hung up in between costs a new connection and no doubt. Nothing is sent twice.
"""

from __future__ import annotations

import asyncio
import ctypes
import socket
import ssl
from typing import Final, NamedTuple, cast

from dispatcher.channels._names import Names, connected
from dispatcher.channels._wire import AnswerReader, BadAnswer
from dispatcher.channels.departure import leave

# As `socket.recv`, but it keeps the interpreter's lock: a thread that is waiting for it would take it for 5 ms, and a
# thousand alerts that look at their connections before they leave would each wait so long while the journal is written.
_peek = ctypes.PyDLL(None).recv
_byte = ctypes.create_string_buffer(1)

REST_SECONDS: Final = 15.0  # that a connection waits for its next request


class Place(NamedTuple):
    """Where a connection leads."""

    scheme: str
    host: str
    port: int


class Connections:
    """All connections to providers; how many are open at once is what the callers' permits allow."""

    def __init__(
        self, names: Names, tls: ssl.SSLContext, *, total: float, connect: float, rest: float = REST_SECONDS
    ) -> None:
        """Seconds: ``total`` for an exchange, ``connect`` for a connection with its TLS, ``rest`` until a next request."""
        self._names, self._tls, self._total, self._connect, self._rest = names, tls, total, connect, rest
        self._idle: dict[Place, list[_Connection]] = {}

    async def exchange(self, place: Place, sent: bytes, answer: AnswerReader) -> None:
        """Send a whole request, noting the departure right before, until its ``answer`` is complete.

        Raises `Fenced`, and `OSError` (of which `TimeoutError`, `NoSuchName` and `BadAnswer` are some) where no complete
        answer came.
        """
        async with asyncio.timeout(self._total):
            connection = self._kept(place) or await self._open(place)
            try:
                leave()
                await connection.exchange(sent, answer)
            finally:
                self._keep(place, connection)

    def close(self) -> None:
        """Close what is open."""
        for connection in (one for kept in self._idle.values() for one in kept):
            connection.close()
        self._idle.clear()

    def _kept(self, place: Place) -> _Connection | None:
        kept = self._idle.get(place, [])
        while kept:
            connection = kept.pop()
            if connection.rested():
                return connection
        return None

    async def _open(self, place: Place) -> _Connection:
        found = await self._names.recent(place.host, place.port)
        tls = self._tls if place.scheme == "https" else None
        name = place.host.rstrip(".") if tls else None
        make = asyncio.get_running_loop().create_connection
        async with asyncio.timeout(self._connect):
            if len(found) == 1:  # the loop's own way is the shortest
                [one] = found
                _, made = await make(_Connection, one["host"], one["port"], ssl=tls, server_hostname=name)
            else:
                _, made = await make(_Connection, sock=await connected(found), ssl=tls, server_hostname=name)
        return made

    def _keep(self, place: Place, connection: _Connection) -> None:
        if connection.usable:
            connection.rest(self._rest)
            self._idle.setdefault(place, []).append(connection)


class _Connection(asyncio.Protocol):
    """One connection. What comes while nobody has asked ends it."""

    def __init__(self) -> None:
        self._resting: asyncio.TimerHandle | None = None
        self._answer: AnswerReader | None = None
        self._arrived: asyncio.Future[Exception | None] | None = None

    @property
    def usable(self) -> bool:
        """Whether it can carry a request, as far as the loop knows."""
        return not self._transport.is_closing()

    def rest(self, seconds: float) -> None:
        """Wait for another request, and close where none comes."""
        self._resting = asyncio.get_running_loop().call_later(seconds, self.close)

    def rested(self) -> bool:
        """Whether it can carry one now: nothing came meanwhile, not even what the loop has yet to read."""
        if self._resting is not None:
            self._resting.cancel()
        if not self.usable:
            return False
        if _peek(self._descriptor, _byte, 1, socket.MSG_PEEK | socket.MSG_DONTWAIT) >= 0:  # something came, or the end
            self.close()
        return self.usable

    async def exchange(self, sent: bytes, answer: AnswerReader) -> None:
        """Write a request, read its answer; afterwards it is usable only where both ended as they should."""
        self._answer, self._arrived = answer, asyncio.get_running_loop().create_future()
        self._transport.write(sent)
        try:
            if error := await self._arrived:
                raise error
        finally:
            self._answer = self._arrived = None
            if not answer.keeps or self._transport.get_write_buffer_size():
                self.close()

    def close(self) -> None:
        """Close at once, whatever has not left yet."""
        self._transport.abort()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Note the way out."""
        self._transport = cast("asyncio.Transport", transport)
        self._descriptor = self._transport.get_extra_info("socket").fileno()

    def data_received(self, data: bytes) -> None:
        """Read on; no data is the end."""
        if self._answer is None or self._arrived is None or self._arrived.done():
            self.close()
            return
        try:
            self._answer.feed(data)
        except BadAnswer as error:
            self._end(error)
        else:
            if self._answer.complete:
                self._end(None)

    def eof_received(self) -> None:
        """Nothing more will come, which may be what ends the answer."""
        self.data_received(b"")

    def connection_lost(self, error: Exception | None) -> None:
        """Tell whoever still waits."""
        self._end(error or BadAnswer("closed without an answer"))

    def _end(self, error: Exception | None) -> None:
        if self._arrived is not None and not self._arrived.done():
            self._arrived.set_result(error)
