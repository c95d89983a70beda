"""What the contract prints at the end of a run, from whichever process its tests ran in."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

CONTRACT_MARK, DESCRIBED_MARK = "contract", "described"


def print_tables(reporter: pytest.TerminalReporter) -> None:
    """Kinds by cases, and the share of each kind that was held to its provider's description."""
    cells = {}
    for passed, (kind, case, cell) in _noted(reporter, CONTRACT_MARK):
        cells[case, kind] = cell if passed else f"FAILED {cell}"
    if cells:
        _print_cases(reporter, cells)
    if shares := sorted(share for _, share in _noted(reporter, DESCRIBED_MARK)):
        _print_shares(reporter, shares)


def _noted(reporter: pytest.TerminalReporter, mark: str) -> Iterator[tuple[bool, Any]]:
    """What tests recorded under that name, and whether they passed."""
    for report in (one for group in ("passed", "failed") for one in reporter.stats.get(group, [])):
        yield from ((report.passed, value) for name, value in getattr(report, "user_properties", ()) if name == mark)


def _print_cases(reporter: pytest.TerminalReporter, cells: dict[tuple[str, str], str]) -> None:
    kinds = sorted({kind for _, kind in cells})
    cases = list(dict.fromkeys(case for case, _ in cells))
    reporter.section("channel contract: kinds by cases")
    reporter.write_line(f"{'':26}" + "".join(f"{kind:24}" for kind in kinds))
    for case in cases:
        reporter.write_line(f"{case:26}" + "".join(f"{cells.get((case, kind), '-'):24}" for kind in kinds))


def _print_shares(reporter: pytest.TerminalReporter, shares: list[tuple[str, int, int, int, str]]) -> None:
    reporter.section("held to published descriptions: requests and answers of each kind")
    reporter.write_line(f"{'':22}{'requests':>10}{'answers':>10}  why not the rest")
    for name, calls, questions, answers, why in shares:
        reporter.write_line(f"{name:22}{f'{questions}/{calls}':>10}{f'{answers}/{calls}':>10}  {why}".rstrip())
    calls, questions, answers = (sum(share[column] for share in shares) for column in (1, 2, 3))
    reporter.write_line(f"{'all':22}{f'{questions}/{calls}':>10}{f'{answers}/{calls}':>10}")
