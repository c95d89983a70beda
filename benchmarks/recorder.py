"""The receiving end of a benchmark: an HTTP server that notes when each host was asked, and answers after a while.

It speaks just enough HTTP/1.1 to cost little beside what is measured: POST with Content-Length, keep-alive.
"""

from __future__ import annotations

import asyncio
import socket
import time
from collections import defaultdict
from collections.abc import Callable
from types import TracebackType
from typing import Self

_ANSWER = b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: 2\r\n\r\n{}"


class Recorder:
    """Listens on one port for every address of 127.0.0.0/8; ``arrivals`` holds monotonic seconds by Host."""

    def __init__(self) -> None:
        self.arrivals: dict[str, list[float]] = defaultdict(list)
        self.latency = 0.0
        self._socket = socket.create_server(("0.0.0.0", 0), backlog=4096)
        self._changed = asyncio.Event()

    @property
    def port(self) -> int:
        """Where it listens."""
        port: int = self._socket.getsockname()[1]
        return port

    async def reached(self, hosts: int, seconds: float) -> None:
        """Wait until ``hosts`` different hosts were asked; raises TimeoutError after ``seconds``."""
        await self._until(lambda: len(self.arrivals) >= hosts, seconds)

    async def heard(self, requests: int, seconds: float) -> None:
        """Wait until so many requests have come; raises TimeoutError after ``seconds``."""
        await self._until(lambda: sum(map(len, self.arrivals.values())) >= requests, seconds)

    async def _until(self, condition: Callable[[], bool], seconds: float) -> None:
        async with asyncio.timeout(seconds):
            while not condition():
                self._changed.clear()
                await self._changed.wait()

    def note(self, host: str) -> None:
        """One request for ``host`` has arrived."""
        self.arrivals[host].append(time.monotonic())
        self._changed.set()

    async def __aenter__(self) -> Self:
        loop = asyncio.get_running_loop()
        self._server = await loop.create_server(lambda: _Connection(self), sock=self._socket, backlog=4096)
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self._server.close()


class _Connection(asyncio.Protocol):
    """One connection; requests come one after the other."""

    def __init__(self, recorder: Recorder) -> None:
        self._recorder = recorder
        self._data = bytearray()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = transport

    def data_received(self, data: bytes) -> None:
        self._data += data
        head, found, body = bytes(self._data).partition(b"\r\n\r\n")
        headers = dict(line.lower().split(b": ", 1) for line in head.split(b"\r\n")[1:] if b": " in line)
        if not found or len(body) < int(headers[b"content-length"]):
            return
        self._data.clear()
        self._recorder.note(headers[b"host"].decode())
        asyncio.get_running_loop().call_later(self._recorder.latency, self._answer)

    def _answer(self) -> None:
        if not self._transport.is_closing():
            self._transport.write(_ANSWER)
