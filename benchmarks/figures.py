"""Samples as figures: medians with the least and the most, and how they are written."""

from __future__ import annotations

import math
import statistics
from collections.abc import Iterable, Sequence

from benchmarks.course import Case
from benchmarks.programme import Result

MS, US = 1e3, 1e6  # from seconds


def median(samples: Sequence[float]) -> float:
    """The middle one."""
    return statistics.median(samples)


def percentile(samples: Sequence[float], share: float) -> float:
    """The least sample that ``share`` (0 to 1) of all do not exceed."""
    return sorted(samples)[max(0, math.ceil(len(samples) * share) - 1)]


def spread(samples: Sequence[float], scale: float = 1.0) -> str:
    """The median, with the least and the most in brackets, each with three digits that mean something."""
    if not samples:
        return "-"
    middle = median(samples)
    return f"{number(middle * scale)} ({number(min(samples) * scale)} to {number(max(samples) * scale)})"


def number(value: float) -> str:
    """``value`` with about three digits that mean something."""
    size = abs(value)
    return f"{value:,.0f}" if size >= 100 else f"{value:.1f}" if size >= 10 else f"{value:.2f}"


class Figures:
    """The samples of all measures, by name."""

    def __init__(self, results: Iterable[Result]) -> None:
        self.results = list(results)

    def of(self, measure: str) -> list[Result]:
        """The results of one measure, in the order of its cases."""
        return [one for one in self.results if one.measure == measure]

    def samples(self, measure: str, who: str, case: Case, name: str) -> list[float]:
        """The samples of this name, none where it was not measured."""
        found = [one for one in self.of(measure) if one.who == who and one.case == case]
        return [sample for one in found for sample in one.samples.get(name, [])]

    def median(self, measure: str, who: str, case: Case, name: str) -> float | None:
        """Their median; None where it was not measured."""
        found = self.samples(measure, who, case, name)
        return median(found) if found else None

    def ratio(self, measure: str, case: Case, name: str, *, to: str) -> float | None:
        """How many times the median of contestant ``to`` dispatcher's is; None where one of them was not measured."""
        ours, theirs = (self.median(measure, who, case, name) for who in ("dispatcher", to))
        return None if ours is None or not theirs else ours / theirs
