"""A wire between daemon and broker that can be cut in either direction, or torn."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Literal

Way = Literal["out", "in"]  # as the daemon sees it


@dataclass(slots=True)
class Relay:
    """Carries bytes between those who connect and ``target``, a port of this machine."""

    target: int
    port: int = 0
    connections: int = 0
    _ways: dict[Way, asyncio.Event] = field(default_factory=lambda: {"out": asyncio.Event(), "in": asyncio.Event()})
    _writers: set[asyncio.StreamWriter] = field(default_factory=set)

    def cut(self, ways: Sequence[Way]) -> None:
        """Let nothing through any more; whoever sends hears nothing of it."""
        for way in ways:
            self._ways[way].clear()

    def mend(self) -> None:
        """Let everything through again."""
        for way in self._ways.values():
            way.set()

    def tear(self) -> None:
        """Reset every connection."""
        for writer in self._writers:
            writer.transport.abort()

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Carry one connection to its end."""
        self.connections += 1
        with contextlib.suppress(OSError):
            away_reader, away_writer = await asyncio.open_connection("127.0.0.1", self.target)
            self._writers |= {writer, away_writer}
            try:
                out = asyncio.create_task(self._carry("out", reader, away_writer))
                back = asyncio.create_task(self._carry("in", away_reader, writer))
                await asyncio.wait({out, back}, return_when=asyncio.FIRST_COMPLETED)
                for task in (out, back):
                    task.cancel()
                await asyncio.gather(out, back, return_exceptions=True)
            finally:
                away_writer.transport.abort()
                self._writers -= {writer, away_writer}
        writer.transport.abort()

    async def _carry(self, way: Way, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while data := await reader.read(65536):
            await self._ways[way].wait()
            writer.write(data)
            await writer.drain()


@asynccontextmanager
async def relay_to(port: int) -> AsyncIterator[Relay]:
    """A wire to ``port`` that stands until the block ends."""
    relay = Relay(port)
    relay.mend()
    server = await asyncio.start_server(relay.serve, "127.0.0.1", 0)
    relay.port = server.sockets[0].getsockname()[1]
    try:
        yield relay
    finally:
        server.close()
        relay.tear()
