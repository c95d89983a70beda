"""A broker, receivers and a daemon for each test."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Any

import pytest
from acceptance.harness import Daemon, Receivers, receivers
from integration.broker import Mosquitto

from dispatcher.intake.embedded import free_port


@pytest.fixture
async def world() -> AsyncIterator[Receivers]:
    """Receivers for every webhook of the test."""
    async with receivers() as state:
        yield state


@pytest.fixture
def daemon_of(mosquitto: Mosquitto, tmp_path: Path) -> Callable[..., Daemon]:
    """``daemon_of(channels, **more)``: a daemon on this test's broker that is not started yet."""

    def make(channels: dict[str, Any], **more: Any) -> Daemon:
        return Daemon(tmp_path, mosquitto, channels, free_port(), **more)

    return make
