"""The secrets that kinds of the contract have."""

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


@pytest.fixture(autouse=True)
def _secrets(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(TOKEN_VARIABLE, CANARY)
    monkeypatch.setenv(SECRET_VARIABLE, SECRET)
    monkeypatch.setenv(KEYS_VARIABLE, KEYS)
    monkeypatch.setenv(SERVICE_VARIABLE, service_account()[1])
