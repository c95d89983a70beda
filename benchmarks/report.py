"""The results as a page: Markdown between two marks, JSON beside it."""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import asdict
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from benchmarks.figures import MS, US, Figures, number, spread
from benchmarks.goals import goals
from benchmarks.machine import described
from benchmarks.programme import RUNS, Result

_COUNTS = {"handshakes", "said_before", "repeats"}


def write(figures: Figures, skipped: Sequence[str], directory: Path) -> None:
    """Publish what was measured beside others."""
    found = [asdict(one) for one in figures.results]
    publish("beside-others", {"skipped": list(skipped), "results": found}, lines(figures, skipped), directory)


def publish(name: str, found: dict[str, Any], said: Iterable[str], directory: Path) -> None:
    """Put ``found`` into performance.json under ``name`` and ``said`` between the marks of that name in performance.md."""
    file, page = directory / "performance.json", directory / "performance.md"
    everything = json.loads(file.read_text()) if file.exists() else {}
    file.write_text(json.dumps(everything | {name: {"measured": measured(), **found}}, indent=1) + "\n")
    marked = re.compile(rf"(<!-- {name} -->\n).*?(<!-- end of {name} -->)", re.DOTALL)
    text = "\n".join(said) + "\n"
    page.write_text(marked.sub(lambda marks: marks[1] + text + marks[2], page.read_text()))


def measured() -> str:
    """When and on what."""
    return f"{datetime.now(UTC):%Y-%m-%d}: {described()}"


def lines(figures: Figures, skipped: Sequence[str]) -> Iterator[str]:
    """Everything between the marks."""
    yield f"Measured on {measured()}, {RUNS} runs ({min(3, RUNS)} of slow ones). Medians, with the least and the most in brackets."
    yield from (f"\nSkipped: {why}." for why in skipped)
    yield from (f"\nFailed: {one}." for one in failures(figures))
    yield from _section("Goals", _goals(figures))
    yield "\n![Milliseconds from the event to the last channel](images/performance.svg)"
    yield from _section("From the event to the channels", _fan_out(figures))
    yield from _section("How many times as long as others", _ratios(figures))
    yield from _section("2,000 incidents back to back, 4 channels each", _throughput(figures))
    yield from _section("The rest", _rest(figures))


def failures(figures: Figures) -> list[str]:
    """Runs that do not count, and why."""
    return [f"{_name(one)}: {text}" for one in figures.results for text in one.failures]


def _name(one: Result) -> str:
    return f"{one.who}, {one.measure} with {one.case.channels:,} channels at {one.case.latency * MS:.0f} ms"


def _section(title: str, rows: Iterator[list[str]]) -> Iterator[str]:
    """A table, the first row being its head; nothing where there are no rows."""
    head, *body = rows
    if not body:
        return
    yield f"\n## {title}\n"
    for row in (head, ["---"] * len(head), *body):
        yield f"| {' | '.join(row)} |"


def _goals(figures: Figures) -> Iterator[list[str]]:
    yield ["goal", "figure", "met"]
    for one in goals(figures):
        yield [one.goal, one.figure, "not measured" if one.met is None else "yes" if one.met else "**no**"]


def _fan_out(figures: Figures) -> Iterator[list[str]]:
    yield [
        "channels", "provider", "who", "cold: first, ms", "cold: last, ms", "warm: first, ms", "warm: last, ms",
        "CPU of a delivery, µs", "memory idle, MiB", "memory peak, MiB", "ready, s",
    ]  # fmt: skip
    scales = {
        "cold_first": MS,
        "cold_last": MS,
        "warm_first": MS,
        "warm_last": MS,
        "cpu": US,
        "idle": 1,
        "peak": 1,
        "ready": 1,
    }
    for one in figures.of("fan-out"):
        cells = [spread(one.samples.get(name, []), scale) for name, scale in scales.items()]
        yield [f"{one.case.channels:,}", f"{one.case.latency * MS:.0f} ms", one.who, *cells]


def _ratios(figures: Figures) -> Iterator[list[str]]:
    ours = [one for one in figures.of("fan-out") if one.who == "dispatcher"]
    rivals = list(dict.fromkeys(one.who for one in figures.of("fan-out") if one.who != "dispatcher"))
    yield ["channels", "provider", "to the last", *(f"÷ {rival}" for rival in rivals)]
    for case in [one.case for one in ours]:
        for state in ("cold", "warm"):
            found = [figures.ratio("fan-out", case, f"{state}_last", to=rival) for rival in rivals]
            ratios = ["-" if one is None else f"{one:.2f}" for one in found]
            yield [f"{case.channels:,}", f"{case.latency * MS:.0f} ms", state, *ratios]


def _throughput(figures: Figures) -> Iterator[list[str]]:
    yield ["provider", "who", "deliveries a second", "CPU of a delivery, µs", "memory peak, MiB"]
    for one in figures.of("throughput"):
        cells = [spread(one.samples.get(name, []), scale) for name, scale in (("rate", 1), ("cpu", US), ("peak", 1))]
        yield [f"{one.case.latency * MS:.0f} ms", one.who, *cells]


def _rest(figures: Figures) -> Iterator[list[str]]:
    yield ["measure", "channels", "who", "figures"]
    for one in figures.results:
        if one.measure not in {"fan-out", "throughput"}:
            cells = [f"{name.replace('_', ' ')} {_rough(name, samples)}" for name, samples in one.samples.items()]
            yield [
                one.measure,
                f"{one.case.channels:,}" if one.case.channels else "-",
                one.who,
                "; ".join(cells) or "-",
            ]


def _rough(name: str, samples: Sequence[float]) -> str:
    if name == "requests":
        return f"{number(min(samples))} to {number(max(samples))} for each channel"
    if name in _COUNTS:
        return f"{min(samples):,.0f} to {max(samples):,.0f}"
    unit, scale = ("MiB", 1.0) if name.endswith(("idle", "peak")) else ("ms", MS) if max(samples) < 1 else ("s", 1.0)
    return f"{spread(samples, scale)} {unit}"
