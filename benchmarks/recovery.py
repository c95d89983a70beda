"""How long from the start of the process after a crash until it is ready, and until what was cut off leaves again.

Every run starts the daemon on a fresh copy of a journal (`past`): an empty one, one with 10,000 open deliveries, one
with a long history. A run in which a delivery was missed or sent twice fails. Writes docs/performance.json and the table
in docs/performance.md.
"""

from __future__ import annotations

import asyncio
import os
import shutil
import sys
import tempfile
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass
from functools import partial
from pathlib import Path
from typing import Any

from fanout import PLACES, configure, cpu, free_port, peak, process, ready, urls
from figures import publish, spread
from recorder import Recorder

TOP = Path(__file__).parents[1]

from integration.broker import Mosquitto  # noqa: E402 - fanout has led the way to the tests
from past import write_history, write_open  # noqa: E402

RUNS = int(os.environ.get("RUNS", "3"))
CHANNELS = 100
HISTORY = 1_000_000  # rows
GLANCE = 0.01  # seconds between two looks whether it is ready
SETTLE = 0.5  # seconds after the last request in which a repeat would show
NAMES = [f"c{number}" for number in range(CHANNELS)]


@dataclass(frozen=True)
class Case:
    """A journal to start from: how it is written, and how many of its deliveries are open."""

    title: str
    open: int
    write: Callable[[Path], object]


@dataclass(frozen=True)
class Run:
    """Seconds from the start to ready, to the first and the last request; CPU seconds until then, peak memory in bytes."""

    ready: float
    first: float
    last: float
    cpu: float
    memory: int


def with_history(path: Path) -> None:
    """The long history, and one incident that was cut off."""
    write_history(path, NAMES[:25], HISTORY)
    write_open(path, NAMES, 1)


CASES = (
    Case("one incident, 100 open", CHANNELS, partial(write_open, channels=NAMES, incidents=1)),
    Case("10,000 open", 100 * CHANNELS, partial(write_open, channels=NAMES, incidents=100)),
    Case(f"{HISTORY:,} rows of history, 100 open", CHANNELS, with_history),
)


async def until_ready(console: int, started: asyncio.subprocess.Process, log: Path) -> float:
    """The moment at which the daemon says that it takes events."""
    async with asyncio.timeout(60):
        while not await asyncio.to_thread(ready, console):
            assert started.returncode is None, log.read_text()
            await asyncio.sleep(GLANCE)
    return time.monotonic()


async def measure(case: Case, journal: Path, broker: Mosquitto, recorder: Recorder) -> Run:
    """One fresh process on a copy of ``journal``. Raises AssertionError where a delivery was missed or sent twice."""
    recorder.arrivals.clear()
    console = free_port()
    with tempfile.TemporaryDirectory() as name:
        directory = Path(name)
        configure(directory, broker, urls(CHANNELS, recorder.port), console)
        shutil.copy(journal, directory / "journal.sqlite")
        command = (sys.executable, "-m", "dispatcher", "run", str(directory / "dispatcher.yaml"))
        log = directory / "log"
        with log.open("wb") as out:
            start = time.monotonic()
            async with process(*command, stdout=out, stderr=out) as started:
                readied = await until_ready(console, started, log)
                await recorder.heard(case.open, 120)
                used, memory = cpu(started.pid), peak(started.pid)
                await asyncio.sleep(SETTLE)
    times = [moment - start for moments in recorder.arrivals.values() for moment in moments]
    assert {len(moments) for moments in recorder.arrivals.values()} == {case.open // CHANNELS}, f"{len(times)} requests"
    return Run(readied - start, min(times), max(times), used, memory)


async def compare() -> list[dict[str, Any]]:
    """All journals."""
    results = []
    with tempfile.TemporaryDirectory() as name:
        directory = Path(name)
        programs = [shutil.which(name, path=os.pathsep.join(PLACES)) for name in ("mosquitto", "mosquitto_passwd")]
        async with Mosquitto(*programs, directory / "broker", free_port()) as broker, Recorder() as recorder:
            for number, case in enumerate(CASES):
                journal = directory / f"{number}.sqlite"
                case.write(journal)
                runs = [asdict(await measure(case, journal, broker, recorder)) for _ in range(RUNS)]
                results.append({"journal": case.title, "bytes": journal.stat().st_size, "runs": runs})
                print(row(results[-1]), flush=True)
    return results


def row(result: dict[str, Any]) -> str:
    """A line of the table."""
    scales = {"ready": (1, 2), "first": (1, 2), "last": (1, 2), "cpu": (1, 2), "memory": (1e-6, 0)}
    cells = [spread([run[name] for run in result["runs"]], *scale) for name, scale in scales.items()]
    return f"| {result['journal']} | {result['bytes'] * 1e-6:.0f} | {' | '.join(cells)} |"


def main() -> None:
    results = asyncio.run(compare())
    head = [
        "| journal | MB | ready, s | first, s | last, s | CPU, s | memory, MB |",
        "|---|---:|---:|---:|---:|---:|---:|",
    ]
    publish("restart", results, [*head, *map(row, results)])


if __name__ == "__main__":
    main()
