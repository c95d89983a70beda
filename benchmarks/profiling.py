"""``python -m benchmarks.profiling``: where the daemon spends its CPU time in a flood and in a wide alarm.

Writes build/profile/{flood,wide}.collapsed, a flame graph (.svg) of each, and prints the dearest functions. py-spy is not
needed: sampler.py runs inside the daemon.
"""

from __future__ import annotations

import asyncio
import os
import signal
from collections import Counter

from benchmarks.contestants import Contestant, dispatcher
from benchmarks.course import Case, Course, course
from benchmarks.flames import flame_graph
from benchmarks.machine import TOP
from benchmarks.measures import QUICK_BROKER, WARM_UPS

TARGET = TOP / "build" / "profile"
SHOWN = 25  # functions


async def profile(place: Course, name: str, case: Case, incidents: int) -> None:
    """One warm daemon under the sampler, told of so many incidents back to back."""
    stacks = TARGET / f"{name}.collapsed"
    stacks.unlink(missing_ok=True)
    sampler = ("-m", "benchmarks.sampler", str(stacks))
    profiled = Contestant("dispatcher", lambda field: dispatcher.running(field, sampler), audit=dispatcher.audit)
    async with place.enter(profiled, case, QUICK_BROKER) as entry:
        for _ in range(WARM_UPS):
            await entry.alarm()
        os.kill(entry.running.pid, signal.SIGUSR1)
        await entry.alarm(incidents)
        await entry.finish()
        os.kill(entry.running.pid, signal.SIGUSR2)
        async with asyncio.timeout(10):
            while not stacks.exists():
                await asyncio.sleep(0.05)
    stacks.with_suffix(".svg").write_text(flame_graph(stacks.read_text()))
    print(f"\n{name}: {incidents:,} x {case.channels:,} deliveries, {stacks.with_suffix('.svg').relative_to(TOP)}\n")
    print("\n".join(dearest(stacks.read_text(), incidents * case.channels)))


def dearest(collapsed: str, deliveries: int) -> list[str]:
    """The functions with the most CPU time of their own and of what they call, in microseconds a delivery."""
    own: Counter[str] = Counter()
    whole: Counter[str] = Counter()
    for line in collapsed.splitlines():
        stack, _, time = line.rpartition(" ")
        names = stack.split(";")
        own[names[-1]] += int(time)
        whole.update(dict.fromkeys(names, int(time)))
    head = f"{'own, µs':>10} {'with callees':>13}  function"
    shown = [name for name, _ in own.most_common(SHOWN)]
    return [head, *(f"{own[one] / deliveries:>10.1f} {whole[one] / deliveries:>13.1f}  {one}" for one in shown)]


async def main() -> None:
    """A flood, and one alarm for a thousand channels."""
    TARGET.mkdir(parents=True, exist_ok=True)
    async with course() as place:
        await profile(place, "flood", Case(4), 500)
        await profile(place, "wide", Case(1_000), 1)


if __name__ == "__main__":
    asyncio.run(main())
