"""What is measured: each takes a contestant at work to samples by name, in seconds, MiB or counts."""

from __future__ import annotations

import asyncio
import sys
import time

from benchmarks.contestants import Contestant
from benchmarks.course import Case, Course, Entry
from benchmarks.ledger import SUCCESS, Ledger
from benchmarks.machine import cpu, memory, process

Samples = dict[str, list[float]]

WARM_UPS = 3  # alarms after which connections are open and code has run
WARM = 3  # alarms measured after them
SKEWS = 100
FLOOD = 2_000  # incidents back to back
# As shipped, the broker writes its whole store with every message, and a flood measures its disk: here it saves at times.
QUICK_BROKER = "autosave_on_changes false\nautosave_interval 1800\n"
HUNG = 7  # the channel that never answers
OUTAGE, WAIT = 3, 2  # seconds


async def fan_out(course: Course, contestant: Contestant, case: Case) -> Samples:
    """The first alarm of a fresh process, then warm ones; CPU and memory over all of them."""
    async with course.enter(contestant, case) as entry:
        before = cpu(entry.running.pid)
        (cold,), *_ = [await entry.alarm() for _ in range(1 + WARM_UPS)]
        warm = [(await entry.alarm())[0] for _ in range(WARM)]
        ledger = await entry.finish()
        used, peak = cpu(entry.running.pid) - before, memory(entry.running.pid, "VmHWM")
    return {
        **_times(entry, ledger, "cold", [cold]),
        **_times(entry, ledger, "warm", warm),
        "cpu": [used / entry.due], "ready": [entry.ready], "idle": [entry.idle], "peak": [peak],
    }  # fmt: skip


async def skew(course: Course, contestant: Contestant, case: Case) -> Samples:
    """Many warm alarms: the time between the first byte for the first channel and the first byte for the last."""
    async with course.enter(contestant, case) as entry:
        for _ in range(WARM_UPS):
            await entry.alarm()
        incidents = [(await entry.alarm())[0] for _ in range(SKEWS)]
        ledger = await entry.finish()
    return {"skew": [ledger.times(one, entry.started[one]).skew for one in incidents]}


async def throughput(course: Course, contestant: Contestant, case: Case, incidents: int = FLOOD) -> Samples:
    """Deliveries a second of a warm process that is told of many incidents back to back, and the CPU of each."""
    async with course.enter(contestant, case, QUICK_BROKER) as entry:
        for _ in range(WARM_UPS):
            await entry.alarm()
        before = cpu(entry.running.pid)
        flood = await entry.alarm(incidents)
        ledger = await entry.finish()
        used, peak = cpu(entry.running.pid) - before, memory(entry.running.pid, "VmHWM")
    said, last = incidents * case.channels, ledger.arrivals[-1].at
    return {"rate": [said / (last - entry.started[flood[0]])], "cpu": [used / said], "peak": [peak]}


async def one_hangs(course: Course, contestant: Contestant, case: Case) -> Samples:
    """How much longer all other channels take, of median warm alarms, once one channel's provider never answers."""
    others = set(range(case.channels)) - {HUNG}
    async with course.enter(contestant, case) as entry:
        usual = [(await entry.alarm())[0] for _ in range(WARM_UPS + WARM)][WARM_UPS:]
        course.recorder.hang(HUNG)
        entry.hung = 1
        during = [(await entry.alarm())[0] for _ in range(WARM)]
        ledger = await entry.finish(but=HUNG)
    both = {"usual": usual, "during": during}
    return {name: [ledger.times(one, entry.started[one], others).last for one in which] for name, which in both.items()}


async def outage(course: Course, contestant: Contestant, case: Case) -> Samples:
    """Seconds from the end of an outage, in which all answer 503, until the last channel has taken the alarm."""
    async with course.enter(contestant, case) as entry:
        for _ in range(WARM_UPS):
            await entry.alarm()
        course.recorder.refuse(OUTAGE)
        (incident,) = await entry.alarm()
        ledger = await entry.finish()
    began = min(one.at for one in ledger.arrivals if one.incident == incident)
    requests = [sum(one.incident == incident for one in asked) for asked in ledger.asked().values()]
    return {"healed": [ledger.arrivals[-1].at - began - OUTAGE], "requests": [float(count) for count in requests]}


async def told_to_wait(course: Course, contestant: Contestant, case: Case) -> Samples:
    """Seconds from a 429 with Retry-After until the channel is asked again, and how often each was asked."""
    async with course.enter(contestant, case) as entry:
        for _ in range(WARM_UPS):
            await entry.alarm()
        course.recorder.limit(WAIT)
        (incident,) = await entry.alarm()
        ledger = await entry.finish()
    asked = [[one for one in channel if one.incident == incident] for channel in ledger.asked().values()]
    taken = [next(one.at for one in channel if one.status == SUCCESS) - channel[0].at for channel in asked]
    return {"after": taken, "requests": [float(len(channel)) for channel in asked]}


async def in_flight(course: Course, contestant: Contestant, case: Case) -> Samples:
    """Memory while every channel has a request under way, for the provider answers late; MiB."""
    async with course.enter(contestant, case) as entry:
        await entry.alarm()
        peak = memory(entry.running.pid, "VmHWM")
        await entry.finish()
    return {"idle": [entry.idle], "peak": [peak]}


async def says_help(_course: Course, _contestant: Contestant, _case: Case) -> Samples:
    """Seconds of ``dispatcher --help``."""
    begun = time.monotonic()
    async with process(sys.executable, "-m", "dispatcher", "--help", stdout=asyncio.subprocess.DEVNULL) as started:
        assert await started.wait() == 0
    return {"help": [time.monotonic() - begun]}


def _times(entry: Entry, ledger: Ledger, name: str, incidents: list[str]) -> Samples:
    times = [ledger.times(one, entry.started[one]) for one in incidents]
    return {f"{name}_first": [one.first for one in times], f"{name}_last": [one.last for one in times]}
