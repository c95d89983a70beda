"""The contract's table: every kind in every case, printed at the end of a session."""

from __future__ import annotations

import pytest
from contract.kit import (
    CANARY,
    KEYS,
    KEYS_VARIABLE,
    SECRET,
    SECRET_VARIABLE,
    SERVICE_VARIABLE,
    TOKEN_VARIABLE,
    service_account,
)

_MARK = "contract"


@pytest.fixture(autouse=True)
def _secrets(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(TOKEN_VARIABLE, CANARY)
    monkeypatch.setenv(SECRET_VARIABLE, SECRET)
    monkeypatch.setenv(KEYS_VARIABLE, KEYS)
    monkeypatch.setenv(SERVICE_VARIABLE, service_account()[1])


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """Print kinds by cases, from whichever process ran them."""
    reports = [r for group in ("passed", "failed") for r in terminalreporter.stats.get(group, [])]
    cells = {}
    for report in reports:
        for kind, case, cell in (value for name, value in getattr(report, "user_properties", ()) if name == _MARK):
            cells[case, kind] = cell if report.passed else f"FAILED {cell}"
    if cells:
        _print_table(terminalreporter, cells)


def _print_table(terminalreporter: pytest.TerminalReporter, cells: dict[tuple[str, str], str]) -> None:
    kinds = sorted({kind for _, kind in cells})
    cases = list(dict.fromkeys(case for case, _ in cells))
    terminalreporter.section("channel contract: kinds by cases")
    terminalreporter.write_line(f"{'':26}" + "".join(f"{kind:24}" for kind in kinds))
    for case in cases:
        terminalreporter.write_line(f"{case:26}" + "".join(f"{cells.get((case, kind), '-'):24}" for kind in kinds))
