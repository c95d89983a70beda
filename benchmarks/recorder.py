"""The provider of a benchmark as Python sees it: recorder.c, its orders and its records."""

from __future__ import annotations

import asyncio
import contextlib
import struct
from collections.abc import AsyncIterator
from pathlib import Path

from benchmarks.ledger import Arrival, Ledger
from benchmarks.machine import compiled, process

_RECORD = struct.Struct("<qII16s")


class Recorder:
    """A provider on every address of 127.0.0.0/8; `recorder` makes one."""

    def __init__(self, program: asyncio.subprocess.Process, port: int) -> None:
        self.port = port
        self._program = program

    def reset(self, latency: float) -> None:
        """Forget requests and faults; from now on, answer after ``latency`` seconds."""
        self._order("reset")
        self._order(f"latency {latency * 1000:.0f}")

    def hang(self, channel: int) -> None:
        """Take this channel's requests and never answer."""
        self._order(f"hang {channel}")

    def refuse(self, seconds: float) -> None:
        """Answer 503 for so long, counted from the next request."""
        self._order(f"refuse {seconds * 1000:.0f}")

    def limit(self, seconds: int) -> None:
        """Answer the next request of every channel with 429 and this Retry-After."""
        self._order(f"limit {seconds}")

    async def reached(self, count: int, seconds: float) -> bool:
        """Whether so many requests since the reset get a 200, within ``seconds`` at most."""
        self._order(f"expect {count}")
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(seconds):
                return await self._line() == b"reached"
        return False

    async def ledger(self) -> Ledger:
        """Every request since the reset."""
        self._order("expect 0")  # what is not reached by now is not waited for
        self._order("dump")
        while not (line := await self._line()).startswith(b"records"):
            pass
        assert self._program.stdout
        data = await self._program.stdout.readexactly(int(line.split()[1]) * _RECORD.size)
        return Ledger(
            Arrival(at / 1e9, channel, "bench-" + mark.rstrip(b"\0").decode(), status)
            for at, channel, status, mark in _RECORD.iter_unpack(data)
        )

    async def _line(self) -> bytes:
        assert self._program.stdout
        line = await self._program.stdout.readline()
        if not line:
            raise EOFError("the recorder has ended")
        return line.strip()

    def _order(self, line: str) -> None:
        assert self._program.stdin
        self._program.stdin.write(line.encode() + b"\n")


@contextlib.asynccontextmanager
async def recorder(directory: Path) -> AsyncIterator[Recorder]:
    """A running provider; its program is made in ``directory``."""
    pipe = asyncio.subprocess.PIPE
    async with process(compiled("recorder", directory), stdin=pipe, stdout=pipe) as program:
        assert program.stdout
        yield Recorder(program, int(await program.stdout.readline()))
