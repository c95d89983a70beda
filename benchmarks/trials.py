"""What an alarm must survive or bear: a kill in its middle, providers that all refuse, TLS on every channel."""

from __future__ import annotations

import asyncio
import os
import signal
import tempfile
import time
from pathlib import Path

from benchmarks.contestants import Contestant, dispatcher
from benchmarks.course import PATIENCE, Case, Course, Entry
from benchmarks.ledger import SUCCESS, Faulty, Ledger
from benchmarks.machine import memory
from benchmarks.measures import WARM, WARM_UPS, Samples
from benchmarks.recorder import encrypted
from dispatcher.model.delivery import ENDED

KILLED_AFTER = 300  # requests
OPEN = 100_000  # deliveries
LONG = 3_600  # seconds, longer than any run
SETTLED = 10  # seconds in which memory may still grow
_ENDED = ", ".join(f"'{state}'" for state in sorted(ENDED))


async def tls(course: Course, contestant: Contestant, case: Case) -> Samples:
    """The first alarm and warm ones where every channel is a host with TLS 1.3, and the handshakes that the warm ones began."""
    with tempfile.TemporaryDirectory() as name:
        secure = encrypted(Path(name), case.channels)
        async with secure as provider, Course(provider, course.numbers).enter(contestant, case) as entry:
            (cold,), *_ = [await entry.alarm() for _ in range(1 + WARM_UPS)]
            before = await provider.handshakes()
            warm = [(await entry.alarm())[0] for _ in range(WARM)]
            begun = await provider.handshakes() - before
            ledger = await entry.finish()
    last = {"cold_last": [cold], "warm_last": warm}
    times = {name: [ledger.times(one, entry.started[one]).last for one in which] for name, which in last.items()}
    return {**times, "handshakes": [float(begun)]}


async def kill(course: Course, contestant: Contestant, case: Case) -> Samples:
    """A kill in mid fan-out: seconds from ready again until the last channel has the alarm, and how many have it twice."""
    async with course.enter(contestant, case) as entry:
        (incident,) = entry.tell()
        if not await course.recorder.reached(min(KILLED_AFTER, case.channels // 2), PATIENCE):
            raise Faulty("it said nothing that a kill could cut off")
        await _killed(entry.running.pid)
        before = len((await course.recorder.ledger()).arrivals)
        if before >= case.channels:
            raise Faulty("all was said before the kill")
        async with dispatcher.at_work(entry.field):
            ready = time.monotonic()
            ledger = await _all_told(entry, incident)
            repeated = await asyncio.to_thread(_asked_again, entry.field.directory, case.channels)
            ledger = await course.recorder.ledger()
            doubled = repeats(ledger, repeated)
    last = ledger.times(incident, ready).last
    return {"delivered": [max(0.0, last)], "said_before": [float(before)], "repeats": [float(doubled)]}


async def _killed(pid: int) -> None:
    os.kill(pid, signal.SIGKILL)
    while Path(f"/proc/{pid}").exists():
        await asyncio.sleep(0.001)


async def _all_told(entry: Entry, incident: str) -> Ledger:
    """Once every channel has taken the incident. Raises `Faulty`."""
    wanted, deadline = {(incident, channel) for channel in range(entry.case.channels)}, time.monotonic() + PATIENCE
    while True:
        ledger = await entry.recorder.ledger()
        got = {(one.incident, one.channel) for one in ledger.arrivals if one.status == SUCCESS}
        if got - wanted:
            raise Faulty(f"{len(got - wanted)} requests that nobody asked for")
        if got == wanted:
            return ledger
        if time.monotonic() > deadline:
            raise Faulty(f"after a kill {len(wanted - got)} of {len(wanted)} channels were never told")
        await asyncio.sleep(0.05)


def _asked_again(directory: Path, count: int) -> set[int]:
    """Channels of which the journal says that they were asked again; raises `Faulty` where it has lost one."""
    deadline = time.monotonic() + 10
    with dispatcher.journal(directory) as journal:
        while journal.execute("SELECT count(*) FROM deliveries WHERE state = 'accepted'").fetchone()[0] != count:
            if time.monotonic() > deadline:
                raise Faulty(f"not all of {count} deliveries are journaled as accepted")
            time.sleep(0.1)
        rows = journal.execute(
            "SELECT channel FROM deliveries JOIN attempts ON delivery = deliveries.id WHERE number > 1"
        )
        return {int(channel.removeprefix("c")) for (channel,) in rows}


def repeats(ledger: Ledger, repeated: set[int]) -> int:
    """How many channels were told twice. Raises `Faulty` where the journal does not know of it."""
    doubled = {channel for channel, asked in ledger.asked().items() if len(asked) > 1}
    if unknown := doubled - repeated:
        raise Faulty(f"{len(unknown)} channels were told twice, and the journal says once")
    return len(doubled)


async def many_open(course: Course, contestant: Contestant, case: Case) -> Samples:
    """Memory with many deliveries open, for every provider answers 503: MiB, and seconds until all are planned and on disk."""
    async with course.enter(contestant, case) as entry:
        course.recorder.refuse(LONG)
        begun = time.monotonic()
        entry.tell(OPEN // case.channels)
        await _open(entry.field.directory, OPEN)
        planned = time.monotonic() - begun
        await asyncio.sleep(SETTLED)
        peak = memory(entry.running.pid, "VmHWM")
        await _open(entry.field.directory, OPEN)
    return {"idle": [entry.idle], "peak": [peak], "planned": [planned]}


async def _open(directory: Path, count: int) -> None:
    """Wait until the journal has so many open deliveries. Raises `Faulty` where it does not, or where any has ended."""
    deadline = time.monotonic() + 5 * PATIENCE
    with dispatcher.journal(directory) as journal:
        while (found := journal.execute("SELECT count(*) FROM deliveries").fetchone()[0]) < count:
            if time.monotonic() > deadline:
                raise Faulty(f"of {count} deliveries {found} are on disk")
            await asyncio.sleep(0.5)
        (ended,) = journal.execute(f"SELECT count(*) FROM deliveries WHERE state IN ({_ENDED})").fetchone()
    if ended:
        raise Faulty(f"{ended} of {count} deliveries have ended before they were said")
