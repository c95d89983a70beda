"""``python -m benchmarks.profiling [flood] [wide]``: where the daemon spends its CPU time in a flood and in a wide alarm.

Writes build/profile/{flood,wide}.collapsed, a flame graph (.svg) of each, and prints the dearest functions. py-spy is not
needed: sampler.py runs inside the daemon.
"""

from __future__ import annotations

import asyncio
import os
import signal
import sys
from collections import Counter
from collections.abc import Sequence

from benchmarks.contestants import Contestant, dispatcher
from benchmarks.course import Case, Course, course
from benchmarks.flames import flame_graph
from benchmarks.machine import TOP
from benchmarks.measures import QUICK_BROKER, WARM_UPS

TARGET = TOP / "build" / "profile"
SHOWN = 25  # functions
WIDE_CHANNELS, WIDE_ALARMS = 1_000, 5


async def profile(place: Course, name: str, case: Case, incidents: int, alarms: int = 1) -> None:
    """One warm daemon under the sampler, told of so many incidents back to back, so often."""
    stacks = TARGET / f"{name}.collapsed"
    stacks.unlink(missing_ok=True)
    sampler = ("-m", "benchmarks.sampler", str(stacks))
    profiled = Contestant("dispatcher", lambda field: dispatcher.running(field, sampler), audit=dispatcher.audit)
    async with place.enter(profiled, case, QUICK_BROKER) as entry:
        for _ in range(WARM_UPS):
            await entry.alarm()
        os.kill(entry.running.pid, signal.SIGUSR1)
        for _ in range(alarms):
            await entry.alarm(incidents)
        await entry.finish()
        os.kill(entry.running.pid, signal.SIGUSR2)
        async with asyncio.timeout(10):
            while not stacks.exists():
                await asyncio.sleep(0.05)
    stacks.with_suffix(".svg").write_text(flame_graph(stacks.read_text()))
    said = alarms * incidents * case.channels
    print(f"\n{name}: {said:,} deliveries, {stacks.with_suffix('.svg').relative_to(TOP)}\n")
    print("\n".join(dearest(stacks.read_text(), said)))


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


async def main(names: Sequence[str]) -> None:
    """A flood, and alarms for a thousand channels; only those of these names, where any are given."""
    TARGET.mkdir(parents=True, exist_ok=True)
    async with course() as place:
        if not names or "flood" in names:
            await profile(place, "flood", Case(4), 500)
        if not names or "wide" in names:
            await profile(place, "wide", Case(WIDE_CHANNELS), 1, WIDE_ALARMS)


if __name__ == "__main__":
    asyncio.run(main(sys.argv[1:]))
