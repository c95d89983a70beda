"""The provider of a benchmark as Python sees it: recorder.c, its orders and its records."""

from __future__ import annotations

import asyncio
import contextlib
import sys
from collections.abc import AsyncIterator
from pathlib import Path

import trustme

from benchmarks.contestants.base import host
from benchmarks.encrypted import RECORD
from benchmarks.ledger import Arrival, Ledger
from benchmarks.machine import compiled, process


class Recorder:
    """A provider on every address of 127.0.0.0/8; `recorder` makes one."""

    def __init__(self, program: asyncio.subprocess.Process, port: int, authority: Path | None = None) -> None:
        """``authority`` signed its certificate, where it speaks TLS."""
        self.port, self.authority = port, authority
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

    async def handshakes(self) -> int:
        """How often TLS was begun with it; only one that speaks TLS knows."""
        self._order("expect 0")
        self._order("handshakes")
        while not (line := await self._line()).startswith(b"handshakes"):
            pass
        return int(line.split()[1])

    async def ledger(self) -> Ledger:
        """Every request since the reset."""
        self._order("expect 0")  # what is not reached by now is not waited for
        self._order("dump")
        while not (line := await self._line()).startswith(b"records"):
            pass
        assert self._program.stdout
        data = await self._program.stdout.readexactly(int(line.split()[1]) * RECORD.size)
        return Ledger(
            Arrival(at / 1e9, channel, "bench-" + mark.rstrip(b"\0").decode(), status)
            for at, channel, status, mark in RECORD.iter_unpack(data)
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


@contextlib.asynccontextmanager
async def encrypted(directory: Path, channels: int) -> AsyncIterator[Recorder]:
    """A running provider that speaks TLS 1.3, with a certificate for the addresses of so many channels."""
    authority, certificate = directory / "authority.pem", directory / "certificate.pem"
    signs = trustme.CA()
    signs.cert_pem.write_to_path(authority)
    signs.issue_cert(*map(host, range(channels))).private_key_and_cert_chain_pem.write_to_path(certificate)
    pipe, script = asyncio.subprocess.PIPE, str(Path(__file__).with_name("encrypted.py"))
    async with process(sys.executable, script, str(certificate), stdin=pipe, stdout=pipe) as program:
        assert program.stdout
        yield Recorder(program, int(await program.stdout.readline()), authority)
