"""Faults of the machine by strace: a kill at the Nth system call of one kind, or a disk that fails a daemon for a while."""

from __future__ import annotations

import asyncio
import re
import signal
from collections import Counter
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path

from acceptance.forks import Fork, ForkedDaemon

# Where a crash can tear something: the journal's flushes and writes, log lines and requests, and what MQTT sends.
CALLS = ("fsync", "fdatasync", "write", "pwrite64", "sendto", "sendmsg")
_CALL = re.compile(r"^(\d+) +(\w+)\(", re.MULTILINE)


async def start_traced(
    strace: str, daemon: ForkedDaemon, log: Path, *options: str, fault: Callable[[], None] | None = None
) -> asyncio.subprocess.Process:
    """Start ``daemon`` below strace; it makes its first call of interest only when strace is there."""
    await daemon.spawn(traced=True, fault=fault)
    assert isinstance(daemon.process, Fork)
    return await asyncio.create_subprocess_exec(
        strace, "-f", "-qq", "-e", "signal=none", *options, "-o", str(log), "-p", str(daemon.process.pid)
    )


@asynccontextmanager
async def afflicted(
    strace: str, daemon: ForkedDaemon, log: Path, call: str, fault: str, *files: Path
) -> AsyncIterator[None]:
    """Within the block ``call`` meets ``fault`` (as strace's ``inject`` names it) in a running daemon, on ``files`` or all."""
    assert isinstance(daemon.process, Fork)
    paths = [option for file in files for option in ("-P", str(file))]
    process = await asyncio.create_subprocess_exec(
        strace, "-f", "-qq", "-ttt", "-e", "signal=none", "-e", f"trace={call}", "-e", f"inject={call}:{fault}", *paths,
        "-o", str(log), "-p", str(daemon.process.pid),
    )  # fmt: skip
    threads = Path(f"/proc/{daemon.process.pid}/task")
    async with asyncio.timeout(10):
        while any("\nTracerPid:\t0\n" in status.read_text() for status in threads.glob("*/status")):
            await asyncio.sleep(0.005)
    try:
        yield
    finally:
        if process.returncode is None:
            process.send_signal(signal.SIGINT)
        await process.wait()


def first_fault(log: Path) -> float:
    """When the first fault was injected, in seconds since the epoch."""
    lines = (line for line in log.read_text().splitlines() if line.endswith("(INJECTED)"))
    return float(next(lines).split()[1])


def kill_at(call: str, number: int) -> tuple[str, ...]:
    """Options that kill the daemon when one of its threads enters ``call`` for the Nth time."""
    return "-e", f"trace={call}", "-e", f"inject={call}:signal=KILL:when={number}"


def count_calls(log: Path) -> dict[str, int]:
    """How often each kind of call was made by the thread that made it most: strace counts by thread."""
    by_thread = Counter(_CALL.findall(log.read_text()))
    return {call: max((n for (_, c), n in by_thread.items() if c == call), default=0) for call in CALLS}
