"""What the benchmark asks of the machine: programs, processes, their CPU time and memory."""

from __future__ import annotations

import asyncio
import contextlib
import os
import platform
import re
import resource
import shutil
import subprocess
import time
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

TOP = Path(__file__).parents[1]
FOREIGN = TOP / ".venv" / "foreign"  # where scripts/foreign.sh puts what is measured beside us
# Distributions keep servers where the PATH of an ordinary user does not look.
_PLACES = [
    os.environ.get("PATH", ""), "/usr/sbin", "/usr/local/sbin",
    str(FOREIGN / "node_modules" / ".bin"),
]  # fmt: skip


class Missing(Exception):
    """A program that the benchmark needs is not on this machine."""


def program(*names: str) -> str | None:
    """The path of the first of these programs that is installed."""
    return next((path for name in names if (path := shutil.which(name, path=os.pathsep.join(_PLACES)))), None)


def needed(*names: str) -> str:
    """The same; raises `Missing` where there is none."""
    if path := program(*names):
        return path
    raise Missing(f"{' or '.join(names)} is not installed")


def compiled(name: str, directory: Path) -> str:
    """The program made of ``name``.c beside this file; raises `Missing` without a compiler."""
    made = str(directory / name)
    source = str(Path(__file__).with_name(f"{name}.c"))
    subprocess.run([needed("cc", "gcc", "clang"), "-std=gnu17", "-O2", "-o", made, source], check=True)
    return made


@contextlib.asynccontextmanager
async def process(*command: str, **options: Any) -> AsyncIterator[asyncio.subprocess.Process]:
    """A process that is killed on the way out: by then it has nothing left to do that is measured."""
    started = await asyncio.create_subprocess_exec(*command, cwd=TOP, **options)
    try:
        yield started
    finally:
        with contextlib.suppress(ProcessLookupError):
            started.kill()
        await started.communicate()


async def says(reader: asyncio.StreamReader, word: bytes, seconds: float) -> None:
    """Read lines until one has ``word`` in it; raises `TimeoutError`, or `EOFError` where they end before."""
    async with asyncio.timeout(seconds):
        while word not in (line := await reader.readline()):
            if not line:
                raise EOFError(f"it ended without saying {word.decode()}")


async def answers(started: asyncio.subprocess.Process, log: Path, port: int, path: str, seconds: float) -> None:
    """Ask it every ten milliseconds until it answers 200; raises `TimeoutError`, or `EOFError` with its last word when it ends."""
    async with asyncio.timeout(seconds):
        while not await _answers(port, path):
            if started.returncode is not None:
                raise EOFError(f"it ended: {log.read_text(errors='replace')[-300:].strip()}")
            await asyncio.sleep(0.01)


async def _answers(port: int, path: str) -> bool:
    try:
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
    except OSError:
        return False
    writer.write(f"GET {path} HTTP/1.1\r\nHost: 127.0.0.1\r\nConnection: close\r\n\r\n".encode())
    try:
        return b" 200 " in await reader.readline()
    except ConnectionError:  # whoever listened there before is just being killed
        return False
    finally:
        writer.close()


def cpu(pid: int) -> float:
    """CPU seconds of all threads of a process, to the nanosecond: Linux makes its clock's id so (clock_getcpuclockid(3))."""
    return time.clock_gettime((~pid << 3) | 2)


def memory(pid: int, field: str = "VmRSS") -> float:
    """Resident memory of a process in MiB; ``VmHWM`` is its peak."""
    found = re.search(rf"{field}:\s+(\d+) kB", Path(f"/proc/{pid}/status").read_text())
    assert found, f"/proc has no {field}"
    return int(found[1]) / 1024


def many_files() -> None:
    """As many open files as we may: every channel is a connection."""
    most = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))


def described() -> str:
    """What the figures were measured on."""
    found = re.search(r"model name\s*: (.*)", Path("/proc/cpuinfo").read_text())
    model = found[1] if found else platform.machine()
    return f"{os.cpu_count()} cores ({model}), Linux {platform.release().split('-')[0]}, Python {platform.python_version()}"
