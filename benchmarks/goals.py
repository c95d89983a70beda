"""What dispatcher is to reach, and whether it does: a goal, the figure, met or not."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass

from benchmarks.course import Case
from benchmarks.figures import MS, US, Figures, median, number, percentile
from benchmarks.growth import FEW_INCIDENTS, FEW_PLAYBOOKS, INCIDENTS, PLAYBOOKS

_US = "dispatcher"
_FEW, _MANY, _MOST, _FULL, _MIDDLE = Case(4), Case(100), Case(1_000), Case(3_000), Case(40)
_FLOOD, _LATE_FLOOD = Case(4), Case(4, 0.1)


@dataclass(frozen=True)
class Goal:
    """``figure`` is ``-`` and ``met`` is None where it was not measured."""

    goal: str
    figure: str
    met: bool | None


def goals(figures: Figures) -> Iterator[Goal]:
    """All of them."""
    yield _most("4 channels, warm, to the last: at most 2.5 ms", figures, "fan-out", _FEW, "warm_last", 2.5, "ms", MS)
    yield from _beside_others(figures)
    yield _first_request(figures)
    yield from _growth(figures)
    skews = figures.samples("skew", _US, _MIDDLE, "skew")
    yield _goal("40 channels, warm, first to last, 99 in 100: at most 5 ms", skews, _p99, 5, "ms", MS)
    for case, least in ((_FLOOD, 15_000), (_LATE_FLOOD, 9_000)):
        rates = figures.samples("throughput", _US, case, "rate")
        text = (
            f"2,000 incidents x 4 channels, provider at {case.latency * MS:.0f} ms, all journaled: at least {least:,}/s"
        )
        yield _goal(text, rates, median, least, "/s", at_least=True)
    yield _most("CPU of a delivery in that flood: at most 60 µs", figures, "throughput", _FLOOD, "cpu", 60, "µs", US)
    yield from _when_providers_fail(figures)
    yield from _over_tls(figures)
    yield from _of_the_process(figures)


def _beside_others(figures: Figures) -> Iterator[Goal]:
    for case in (_MANY, _MOST):
        for state in ("warm", "cold"):
            for rival, title, most in (("alertmanager", "Alertmanager's time", 0.5), ("limit", "the C program's", 4.0)):
                ratio = figures.ratio("fan-out", case, f"{state}_last", to=rival)
                text = f"{case.channels:,} channels, {state}, to the last: at most {most:g} x {title}"
                yield Goal(text, "-" if ratio is None else f"{ratio:.2f} x", None if ratio is None else ratio <= most)


def _first_request(figures: Figures) -> Goal:
    found = [figures.median("fan-out", _US, case, "warm_first") for case in (_FEW, _MANY, _MOST)]
    worst = [max(one for one in found if one is not None)] if None not in found else []
    return _goal("first request after publishing, warm, at any size: at most 5 ms", worst, max, 5, "ms", MS)


def _growth(figures: Figures) -> Iterator[Goal]:
    for case in (_MOST, _FULL):
        ratio = _quotient(_for_each(figures, case), _for_each(figures, _MANY))
        text = f"time for each channel, warm: with {case.channels:,} at most 1.1 x that with 100"
        if ratio or case is _MOST:
            yield _goal(text, ratio, max, 1.1, "x")
    few, many = _pair(figures, "history", _MANY, "few", "many")
    text = f"to the last of 100 channels, over {INCIDENTS:,} finished incidents: at most 1.1 x the time over {FEW_INCIDENTS:,}"
    yield _goal(text, _quotient(many, few), max, 1.1, "x")
    few, many = _pair(figures, "playbooks", _MANY, "few", "many")
    text = f"to the last of 100 channels, with {PLAYBOOKS:,} playbooks: at most 5 ms later than with {FEW_PLAYBOOKS}"
    yield _goal(text, _difference(many, few), max, 5, "ms", MS)
    fast, slow = _pair(figures, "slow-disk", _MOST, "fast", "slow")
    text = "to the last of 1,000 channels, with 5 ms for every flush: at most 12 ms later than on the fast disk"
    yield _goal(text, _difference(slow, fast), max, 12, "ms", MS)


def _for_each(figures: Figures, case: Case) -> float | None:
    last = figures.median("fan-out", _US, case, "warm_last")
    return last / case.channels if last else None


def _pair(figures: Figures, measure: str, case: Case, *names: str) -> list[float | None]:
    return [figures.median(measure, _US, case, name) for name in names]


def _quotient(one: float | None, other: float | None) -> list[float]:
    return [one / other] if one and other else []


def _difference(one: float | None, other: float | None) -> list[float]:
    return [] if one is None or other is None else [one - other]


def _over_tls(figures: Figures) -> Iterator[Goal]:
    begun = figures.samples("tls", _US, _MANY, "handshakes")
    figure, met = (f"{max(begun):.0f} handshakes", not any(begun)) if begun else ("-", None)
    yield Goal("TLS, warm: no handshake on the way of an alert", figure, met)
    ratio = figures.ratio("tls", _MANY, "cold_last", to="plain")
    text = "100 channels over TLS 1.3, cold, to the last: at most 2 x the plain script's"
    yield _goal(text, [] if ratio is None else [ratio], max, 2, "x")


def _when_providers_fail(figures: Figures) -> Iterator[Goal]:
    usual, during = (figures.median("one-hangs", _US, _MANY, name) for name in ("usual", "during"))
    slower = [during / usual] if usual and during else []
    yield _goal("one of 100 hangs, the others: at most 1.2 x their usual time", slower, max, 1.2, "x")
    healed = figures.samples("outage", _US, _MANY, "healed")
    yield _goal("all 100 answer 503 for 3 s: all said within 1 s after that", healed, max, 1, "s")
    after = figures.samples("told-to-wait", _US, _MANY, "after")
    asked = figures.samples("told-to-wait", _US, _MANY, "requests")
    text = "429 with Retry-After 2: said after 2.0 to 2.2 s, with 2 requests for each channel"
    figure = f"{min(after):.2f} to {max(after):.2f} s, {min(asked):.0f} to {max(asked):.0f} requests" if after else "-"
    met = min(after) >= 2.0 and max(after) <= 2.2 and set(asked) == {2.0} if after else None
    yield Goal(text, figure, met)
    delivered = figures.samples("kill", _US, _MOST, "delivered")
    yield _goal("kill -9 in mid fan-out of 1,000: everything delivered within 1 s after ready", delivered, max, 1, "s")


def _of_the_process(figures: Figures) -> Iterator[Goal]:
    yield _most("memory, idle: at most 70 MiB", figures, "fan-out", _FEW, "idle", 70, "MiB")
    in_flight = Case(3_000, 3.0)
    yield _most(
        "memory, 3,000 requests under way: at most 120 MiB", figures, "in-flight", in_flight, "peak", 120, "MiB"
    )
    yield _most("memory, 100,000 open deliveries: at most 400 MiB", figures, "open", _MOST, "peak", 400, "MiB")
    yield _most("`dispatcher run` until ready: at most 1.5 s", figures, "fan-out", _FEW, "ready", 1.5, "s")
    yield _most("`dispatcher --help`: at most 0.3 s", figures, "help", Case(0), "help", 0.3, "s")


def _most(
    text: str, figures: Figures, measure: str, case: Case, name: str, most: float, unit: str, scale: float = 1.0
) -> Goal:
    """A goal for the median of dispatcher's samples."""
    return _goal(text, figures.samples(measure, _US, case, name), median, most, unit, scale)


def _goal(
    text: str, samples: list[float], worth: Callable[[list[float]], float], bound: float, unit: str, scale: float = 1.0,
    *, at_least: bool = False,
) -> Goal:  # fmt: skip
    if not samples:
        return Goal(text, "-", None)
    value = worth(samples) * scale
    return Goal(text, f"{number(value)} {unit}", value >= bound if at_least else value <= bound)


def _p99(samples: list[float]) -> float:
    return percentile(samples, 0.99)
