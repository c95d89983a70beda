"""Killing a daemon at one system call of one kind: strace counts its calls and sends the kill at the entry of the Nth."""

from __future__ import annotations

import asyncio
import re
from collections import Counter
from collections.abc import Callable
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


def kill_at(call: str, number: int) -> tuple[str, ...]:
    """Options that kill the daemon when one of its threads enters ``call`` for the Nth time."""
    return "-e", f"trace={call}", "-e", f"inject={call}:signal=KILL:when={number}"


def count_calls(log: Path) -> dict[str, int]:
    """How often each kind of call was made by the thread that made it most: strace counts by thread."""
    by_thread = Counter(_CALL.findall(log.read_text()))
    return {call: max((n for (_, c), n in by_thread.items() if c == call), default=0) for call in CALLS}
