"""Whether dispatcher has become slower, as `make test-long` asks: by its ratio to the plain script, never by the clock.

Both run in turns on the same machine in the same minute, so a slow or busy machine slows both.
"""

from __future__ import annotations

from functools import partial

from benchmarks.contestants import DISPATCHER, PLAIN
from benchmarks.course import Case, course
from benchmarks.figures import Figures
from benchmarks.measures import fan_out, throughput
from benchmarks.programme import Measure, carry_out

# How many times the plain script's median ours may be. At least twice what was measured when the bound was set: a busy machine
# moves a ratio by half, and a change that makes the road twice as long is what must be seen.
BOUNDS = {
    "100 channels, cold, to the last": 6.0,
    "100 channels, warm, to the last": 5.0,
    "CPU of a delivery to 100 channels": 8.0,
    "a delivery of 200 incidents back to back": 15.0,
}
_WIDE, _FLOOD = Case(100), Case(4)


async def ratios(runs: int = 5) -> tuple[dict[str, float], list[str]]:
    """Our medians as multiples of the plain script's, by the names of `BOUNDS`; and the runs that lost or doubled something."""
    pair = (DISPATCHER, PLAIN)
    async with course() as place:
        wide = await carry_out(place, Measure("fan-out", fan_out, pair, [_WIDE], runs), pair)
        flood = partial(throughput, incidents=200)
        back_to_back = await carry_out(place, Measure("throughput", flood, pair, [_FLOOD], runs), pair)
    figures = Figures([*wide, *back_to_back])
    found = [figures.ratio("fan-out", _WIDE, name, to="plain") for name in ("cold_last", "warm_last", "cpu")]
    rate = figures.ratio("throughput", _FLOOD, "rate", to="plain")
    values = [one or 0.0 for one in found] + [1 / rate if rate else 0.0]
    return dict(zip(BOUNDS, values, strict=True)), [text for one in figures.results for text in one.failures]
