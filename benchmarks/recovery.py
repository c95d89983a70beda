"""``python -m benchmarks.recovery``: how long from a start after a crash until ready, and until what was cut off leaves again.

Every run starts the daemon on a fresh copy of a journal (`past`): one incident, 10,000 open deliveries, a long history. A
run in which a delivery was missed or sent twice fails. Writes its part of docs/performance.json and docs/performance.md.
"""

from __future__ import annotations

import asyncio
import os
import shutil
import tempfile
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from benchmarks.contestants import Contestant, dispatcher
from benchmarks.course import Case, Course, course
from benchmarks.figures import spread
from benchmarks.ledger import Faulty
from benchmarks.machine import TOP, cpu, memory
from benchmarks.measures import Samples
from benchmarks.past import open_incident, write_history, write_open  # the course has led the way to the tests
from benchmarks.report import measured, publish

RUNS = int(os.environ.get("RUNS", "3"))
CHANNELS = 100
HISTORY = 1_000_000  # rows
PATIENCE = 120.0  # seconds
NAMES = [f"c{number}" for number in range(CHANNELS)]


@dataclass(frozen=True)
class Past:
    """A journal to start from: how it is written, and how many of its incidents are open, each on every channel."""

    title: str
    open: int
    write: Callable[[Path], object]


def with_history(path: Path) -> None:
    """The long history, and one incident that was cut off."""
    write_history(path, NAMES[:25], HISTORY)
    write_open(path, NAMES, 1)


PASTS = (
    Past("one incident, 100 open", 1, partial(write_open, channels=NAMES, incidents=1)),
    Past("10,000 open", 100, partial(write_open, channels=NAMES, incidents=100)),
    Past(f"{HISTORY:,} rows of history, 100 open", 1, with_history),
)


async def measure(place: Course, past: Past, journal: Path) -> Samples:
    """One fresh process on a copy of ``journal``. Raises `Faulty` where a delivery was missed or sent twice."""
    furnish = partial(shutil.copy, journal)
    contestant = Contestant("dispatcher", lambda field: dispatcher.running(field, furnish=furnish))
    async with place.enter(contestant, Case(CHANNELS)) as entry:
        entry.due = past.open * CHANNELS
        entry.started = dict.fromkeys(map(open_incident, range(past.open)), entry.begun)
        if not await place.recorder.reached(entry.due, PATIENCE):
            raise Faulty(f"not everything was said within {PATIENCE:.0f} s")
        used, peak = cpu(entry.running.pid), memory(entry.running.pid, "VmHWM")
        ledger = await entry.finish()
    first, last = (ledger.arrivals[end].at - entry.begun for end in (0, -1))
    return {"ready": [entry.ready], "first": [first], "last": [last], "cpu": [used], "peak": [peak]}


async def compare() -> list[tuple[Past, int, Samples]]:
    """All journals, with their bytes."""
    found = []
    with tempfile.TemporaryDirectory() as name:
        async with course() as place:
            for past in PASTS:
                journal, samples = Path(name) / "journal.sqlite", Samples()
                journal.unlink(missing_ok=True)
                past.write(journal)
                for _ in range(RUNS):
                    for figure, values in (await measure(place, past, journal)).items():
                        samples.setdefault(figure, []).extend(values)
                found.append((past, journal.stat().st_size, samples))
    return found


def lines(found: Sequence[tuple[Past, int, Samples]]) -> Iterator[str]:
    """The table."""
    yield "## A start after a crash\n"
    yield f"Measured on {measured()}, {RUNS} runs. Medians, with the least and the most in brackets.\n"
    yield "| journal | MB | ready, s | first, s | last, s | CPU, s | memory peak, MiB |"
    yield "|---|---|---|---|---|---|---|"
    for past, size, samples in found:
        yield f"| {past.title} | {size * 1e-6:.0f} | {' | '.join(map(spread, samples.values()))} |"


def main() -> None:
    """Measure, print, publish."""
    found = asyncio.run(compare())
    print("\n".join(lines(found)))
    results = [{"journal": past.title, "bytes": size, "samples": samples} for past, size, samples in found]
    publish("restart", {"results": results}, lines(found), TOP / "docs")


if __name__ == "__main__":
    main()
