"""What is run, and how: every measure with its contestants and cases, alternating, so that a busy moment hits all alike."""

from __future__ import annotations

import os
from collections.abc import Awaitable, Callable, Iterable, Sequence
from dataclasses import dataclass, field

from benchmarks import growth, measures, trials
from benchmarks.contestants import ALERTMANAGER, ALL, DISPATCHER, LIMIT, PLAIN, Contestant
from benchmarks.course import Case, Course
from benchmarks.ledger import Faulty
from benchmarks.machine import Missing
from benchmarks.measures import Samples

RUNS = int(os.environ.get("RUNS", "5"))
FULL = os.environ.get("FULL", "") not in ("", "0")
SIZES = (4, 100, 1_000, 3_000) if FULL else (4, 100, 1_000)


@dataclass(frozen=True)
class Measure:
    """Something to find out about some contestants in some cases; ``once`` is one run of one of them."""

    name: str
    once: Callable[[Course, Contestant, Case], Awaitable[Samples]]
    contestants: Sequence[Contestant]
    cases: Sequence[Case]
    runs: int = RUNS


@dataclass
class Result:
    """Every sample of one contestant in one case, and what went wrong in runs that do not count."""

    measure: str
    who: str
    case: Case
    samples: Samples = field(default_factory=dict)
    failures: list[str] = field(default_factory=list)

    def take(self, samples: Samples) -> None:
        """Add what one run has brought."""
        for name, values in samples.items():
            self.samples.setdefault(name, []).extend(values)


_FEW = min(3, RUNS)


def _fan_out(latency: float, runs: int) -> Measure:
    return Measure("fan-out", measures.fan_out, ALL, [Case(size, latency) for size in SIZES], runs)


ALL_MEASURES = (
    _fan_out(0.0, RUNS),
    _fan_out(0.1, _FEW),
    Measure("skew", measures.skew, (DISPATCHER, PLAIN, LIMIT), [Case(40)], 1),
    Measure("throughput", measures.throughput, (DISPATCHER, PLAIN, LIMIT), [Case(4), Case(4, 0.1)], _FEW),
    Measure("one-hangs", measures.one_hangs, (DISPATCHER, PLAIN), [Case(100)], _FEW),
    Measure("outage", measures.outage, (DISPATCHER, ALERTMANAGER), [Case(100)], _FEW),
    Measure("told-to-wait", measures.told_to_wait, (DISPATCHER,), [Case(100)], _FEW),
    Measure("in-flight", measures.in_flight, (DISPATCHER, PLAIN), [Case(3_000, 3.0)], 1),
    Measure("tls", trials.tls, (DISPATCHER, PLAIN), [Case(100)], _FEW),
    Measure("kill", trials.kill, (DISPATCHER,), [Case(1_000)], _FEW),
    Measure("open", trials.many_open, (DISPATCHER,), [Case(1_000)], 1),
    Measure("history", growth.history, (DISPATCHER,), [Case(100)], 1),
    Measure("playbooks", growth.playbooks, (DISPATCHER,), [Case(100)], 1),
    Measure("slow-disk", growth.slow_disk, (DISPATCHER,), [Case(1_000)], 1),
    Measure("help", measures.says_help, (DISPATCHER,), [Case(0)], RUNS),
)


async def carry_out(course: Course, measure: Measure, here: Sequence[Contestant]) -> Iterable[Result]:
    """All cases of one measure with those contestants that can run here; in each run another one goes first."""
    results = []
    for case in measure.cases:
        found = {one: Result(measure.name, one.name, case) for one in measure.contestants if one in here}
        order = list(found)
        for run in range(measure.runs):
            for contestant in order[run % len(order) :] + order[: run % len(order)]:
                try:
                    found[contestant].take(await measure.once(course, contestant, case))
                except (Faulty, Missing, TimeoutError, EOFError, OSError) as failure:
                    found[contestant].failures.append(f"{type(failure).__name__}: {failure}".removesuffix(": "))
        results += found.values()
    return results
