"""``python -m benchmarks.lag``: how long everything else waits for the event loop while many posts leave at once.

Each run is a fresh daemon and its first alarm; meanwhile its console is asked for its health again and again. Writes its
part of docs/performance.json and docs/performance.md.
"""

from __future__ import annotations

import asyncio
import json
import os
import time
from collections.abc import Iterator, Sequence

import aiohttp

from benchmarks.contestants import ALL
from benchmarks.course import Case, Course, Entry, course
from benchmarks.figures import spread
from benchmarks.machine import TOP, cpu
from benchmarks.measures import Samples
from benchmarks.report import measured, publish

CHANNELS = (100, 1_500, 3_000)
RUNS = int(os.environ.get("RUNS", "3"))
GLANCE = 0.005  # seconds between two questions


async def ask(entry: Entry, waits: list[float]) -> None:
    """Note how long each answer took, until cancelled."""
    port = json.loads((entry.field.directory / "dispatcher.yaml").read_text())["console"]["port"]
    async with aiohttp.ClientSession() as session:
        while True:
            begun = time.monotonic()
            async with session.get(f"http://127.0.0.1:{port}/healthz") as answer:
                await answer.read()
            waits.append((time.monotonic() - begun) * 1e3)
            await asyncio.sleep(GLANCE)


async def measure(place: Course, channels: int) -> Samples:
    """One fresh process and its first alarm. Raises `Faulty` where a channel was missed or asked twice."""
    contestant = next(one for one in ALL if one.name == "dispatcher")
    waits: list[float] = []
    async with place.enter(contestant, Case(channels)) as entry:
        asking = asyncio.create_task(ask(entry, waits))
        before = cpu(entry.running.pid)
        (incident,) = await entry.alarm()
        used = cpu(entry.running.pid) - before
        asking.cancel()
        ledger = await entry.finish()
    times = sorted(one.at - entry.started[incident] for one in ledger.arrivals)
    return {"longest": [max(waits)], "first": [times[0]], "last": [times[-1]], "cpu": [used]}


async def compare() -> list[tuple[int, Samples]]:
    """All sizes, taking turns."""
    found: dict[int, Samples] = {channels: {} for channels in CHANNELS}
    async with course() as place:
        for _ in range(RUNS):
            for channels, samples in found.items():
                for figure, values in (await measure(place, channels)).items():
                    samples.setdefault(figure, []).extend(values)
    return list(found.items())


def lines(found: Sequence[tuple[int, Samples]]) -> Iterator[str]:
    """The table."""
    yield "## What else waits while an alarm leaves\n"
    yield f"Measured on {measured()}, {RUNS} runs. Medians, with the least and the most in brackets.\n"
    yield "| channels | longest wait for /healthz, ms | first, s | last, s | CPU, s |"
    yield "|---|---|---|---|---|"
    for channels, samples in found:
        yield f"| {channels:,} | {' | '.join(map(spread, samples.values()))} |"


def main() -> None:
    """Measure, print, publish."""
    found = asyncio.run(compare())
    print("\n".join(lines(found)))
    results = [{"channels": channels, "samples": samples} for channels, samples in found]
    publish("lag", {"results": results}, lines(found), TOP / "docs")


if __name__ == "__main__":
    main()
