"""A broker, receivers and a daemon for each test."""

from __future__ import annotations

import os
import subprocess
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


@pytest.fixture(scope="session")
def strace(need: Callable[..., str], lack: Callable[[str], None]) -> str:
    """The path of strace, which may trace here."""
    path = need("strace")
    tried = subprocess.run([path, "-o", os.devnull, "true"], capture_output=True, text=True, check=False)
    if tried.returncode:
        lack(f"strace may not trace here (a container needs SYS_PTRACE): {tried.stderr.strip()}", rights=True)
    return path
