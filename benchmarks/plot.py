"""The main figure as a picture: from the event to the last channel, a bar for each contestant, on a logarithmic scale."""

from __future__ import annotations

import math
from collections.abc import Iterator

from benchmarks.figures import MS, Figures, median, number
from benchmarks.programme import Result

_WIDTH, _LEFT, _RIGHT, _BAR, _GAP = 860, 190, 90, 14, 26
_LEAST = 0.1  # ms, where the bars begin
_COLOURS = {"cold": "#93b7d8", "warm": "#1f5f9e"}


def plot(figures: Figures) -> str:
    """An SVG of all sizes with a provider that answers at once; the lines across the bars are the least and the most."""
    shown = [one for one in figures.of("fan-out") if not one.case.latency and one.samples]
    most = max((max(one.samples["cold_last"] + one.samples["warm_last"]) * MS for one in shown), default=1.0)
    drawn = _Drawing(10 ** math.ceil(math.log10(most / _LEAST)) * _LEAST)
    parts = list(drawn.rows(shown))
    parts[:0] = drawn.scale()
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {_WIDTH} {drawn.y + 10}" font-family="sans-serif" '
        'font-size="12" fill="#222">\n<rect width="100%" height="100%" fill="#fff"/>\n'
        + "\n".join(parts)
        + "\n</svg>\n"
    )


class _Drawing:
    """Rows from top to bottom; ``y`` is where the next one goes."""

    def __init__(self, most: float) -> None:
        self.y, self._most = 50, most

    def rows(self, results: list[Result]) -> Iterator[str]:
        yield f'<text x="{_LEFT}" y="20" font-weight="bold">Milliseconds from the event to the last channel</text>'
        for number_, (state, colour) in enumerate(_COLOURS.items()):
            yield f'<rect x="{_LEFT + 340 + 70 * number_}" y="10" width="12" height="12" fill="{colour}"/>'
            yield f'<text x="{_LEFT + 357 + 70 * number_}" y="20">{state}</text>'
        size = 0
        for one in results:
            if one.case.channels != size:
                size = one.case.channels
                self.y += 16
                yield f'<text x="10" y="{self.y + 16}" font-weight="bold">{size:,} channels</text>'
            yield f'<text x="{_LEFT - 8}" y="{self.y + 18}" text-anchor="end">{one.who}</text>'
            for state in _COLOURS:
                yield from self._bar(state, [sample * MS for sample in one.samples[f"{state}_last"]])
            self.y += _GAP - 2 * _BAR + 12

    def scale(self) -> Iterator[str]:
        value = _LEAST
        while value <= self._most * 1.01:
            yield f'<line x1="{self._x(value)}" y1="42" x2="{self._x(value)}" y2="{self.y}" stroke="#ddd"/>'
            yield f'<text x="{self._x(value)}" y="38" text-anchor="middle" fill="#666">{value:g}</text>'
            value *= 10

    def _bar(self, state: str, samples: list[float]) -> Iterator[str]:
        middle, least, most = self._x(median(samples)), self._x(min(samples)), self._x(max(samples))
        line = self.y + _BAR // 2
        width = middle - _LEFT
        yield f'<rect x="{_LEFT}" y="{self.y + 1}" width="{width:.1f}" height="{_BAR - 2}" fill="{_COLOURS[state]}"/>'
        yield f'<line x1="{least}" y1="{line}" x2="{most}" y2="{line}" stroke="#222"/>'
        yield f'<text x="{max(middle, most) + 5:.1f}" y="{line + 4}" font-size="10">{number(median(samples))}</text>'
        self.y += _BAR

    def _x(self, value: float) -> float:
        share = math.log(max(value, _LEAST) / _LEAST) / math.log(self._most / _LEAST)
        return round(_LEFT + share * (_WIDTH - _LEFT - _RIGHT), 1)
