"""``python -m benchmarks [MEASURE...]``: measure, and write docs/performance.{md,json} and docs/images/performance.svg.

With the names of measures, only those are run, and nothing is written but to the terminal. ``RUNS`` sets how often,
``FULL=1`` adds 3,000 channels, ``HISTORY`` and ``PLAYBOOKS`` say how many incidents and playbooks are many. Ends with 1
when a run of dispatcher itself lost or doubled something.
"""

from __future__ import annotations

import asyncio
import sys
import time
from collections.abc import Sequence

from benchmarks import plot, report
from benchmarks.contestants import ALL
from benchmarks.course import course
from benchmarks.figures import Figures
from benchmarks.machine import TOP, Missing
from benchmarks.programme import ALL_MEASURES, Measure, Result, carry_out

DOCS = TOP / "docs"


async def run(chosen: Sequence[Measure], skipped: Sequence[str]) -> Figures:
    """All measures in one go; prints each as it is done."""
    here = [one for one in ALL if not one.missing()]
    results: list[Result] = []
    begun = time.monotonic()
    async with course() as place:
        for measure in chosen:
            results += await carry_out(place, measure, here)
            print(f"{measure.name} is measured after {time.monotonic() - begun:.0f} s", file=sys.stderr, flush=True)
    figures = Figures(results)
    print("\n".join(report.lines(figures, skipped)))
    return figures


def main(names: Sequence[str]) -> int:
    """The exit status."""
    known = dict.fromkeys(one.name for one in ALL_MEASURES)
    if unknown := set(names) - set(known):
        print(f"no such measure: {', '.join(sorted(unknown))}; there are {', '.join(known)}", file=sys.stderr)
        return 2
    skipped = [why for one in ALL if (why := one.missing())]
    try:
        figures = asyncio.run(run([one for one in ALL_MEASURES if not names or one.name in names], skipped))
    except Missing as missing:
        print(f"nothing can be measured: {missing}", file=sys.stderr)
        return 2
    if not names:
        report.write(figures, skipped, DOCS)
        (DOCS / "images" / "performance.svg").write_text(plot.plot(figures))
    return 1 if any(one.failures for one in figures.results if one.who == "dispatcher") else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
