"""How many incident events a second reach the journal on a disk that manages some 20 flushes, beside the same disk unhindered.

strace delays every fdatasync of the daemon by 50 ms (and nothing else: its filter lets all other calls pass). The events come through
a real Mosquitto and no playbook is for them. What counts is events per flush: twenty times that is what such a disk can carry.
"""

from __future__ import annotations

import asyncio
import shutil
import signal
import sys
import tempfile
import time
from pathlib import Path

TOP = Path(__file__).parents[1]
sys.path.insert(0, str(TOP / "tests"))

from acceptance.harness import Daemon, event, one_playbook, publish  # noqa: E402 - the daemon of the tests
from integration.broker import Mosquitto  # noqa: E402

from dispatcher.intake.embedded import free_port  # noqa: E402

EVENTS = 1_500
DELAY = 50_000  # microseconds


async def measure(delay: int) -> tuple[float, float, float]:
    """Events a second, flushes a second, and events a flush."""
    with tempfile.TemporaryDirectory() as folder:
        directory = Path(folder)
        broker = Mosquitto(_program("mosquitto"), _program("mosquitto_passwd"), directory / "broker", free_port())
        async with broker:
            one_playbook(directory)
            daemon, log = Daemon(directory, broker, {}, free_port()), directory / "strace.log"
            fault = ["-e", f"inject=fdatasync:delay_enter={delay}"] if delay else []
            tracing = [
                "-f",
                "--seccomp-bpf",
                "-qq",
                "-e",
                "signal=none",
                "-e",
                "trace=fdatasync",
                *fault,
                "-o",
                str(log),
            ]
            await daemon.spawn(_program("strace"), *tracing)
            try:
                await daemon.until_ready()
                return await _flood(daemon, broker, log)
            finally:
                await daemon.end(signal.SIGKILL)


async def _flood(daemon: Daemon, broker: Mosquitto, log: Path) -> tuple[float, float, float]:
    before, began = _flushes(log), time.monotonic()
    payloads = [event(str(number), kind="noise-complaint", severity="minor") for number in range(EVENTS)]
    sending = [asyncio.create_task(publish(broker, payloads[part::8])) for part in range(8)]
    await daemon.until(lambda: daemon.rows("SELECT count(*) FROM events") == [(EVENTS,)], 120)
    took, flushes = time.monotonic() - began, _flushes(log) - before
    await asyncio.gather(*sending)
    return EVENTS / took, flushes / took, EVENTS / flushes


def _flushes(log: Path) -> int:
    return log.read_text().count("fdatasync(")


def _program(name: str) -> str:
    found = shutil.which(name) or shutil.which(name, path="/usr/sbin:/usr/local/sbin")
    return found or sys.exit(f"{name} is not installed")


async def main() -> None:
    """Both disks in one run, so that their ratio holds on a busy machine as well."""
    free, slow = await measure(0), await measure(DELAY)
    for name, (events, flushes, together) in (("free", free), ("slow", slow)):
        print(f"{name}: {events:.0f} events/s, {flushes:.1f} flushes/s, {together:.1f} events a flush")
    print(f"slow/free: {slow[0] / free[0]:.2f}; at 20 flushes/s: {20 * slow[2]:.0f} events/s")


if __name__ == "__main__":
    asyncio.run(main())
