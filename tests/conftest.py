"""What every test may ask for: outside programs, a free port, a real broker. Fakes of the world ship with the product."""

from __future__ import annotations

import os
import shutil
import sys
from collections.abc import AsyncIterator, Callable, Iterator
from pathlib import Path
from typing import NoReturn

import pytest
import pytest_asyncio
import structlog
from contract.tables import print_tables
from hypothesis import settings
from integration.broker import Mosquitto

from dispatcher.intake import embedded

settings.register_profile("house", deadline=None)
settings.load_profile("house")

Need = Callable[..., str]

# Distributions keep servers where the PATH of an ordinary user does not look, and Synapse has an environment of its own.
_PLACES = os.pathsep.join([os.environ.get("PATH", ""), "/usr/sbin", "/usr/local/sbin", f"{sys.prefix}/synapse/bin"])


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Leave the long tests out unless ``-m`` speaks of them."""
    if "long" in config.option.markexpr:
        return
    long = [item for item in items if item.get_closest_marker("long")]
    items[:] = [item for item in items if item not in long]
    config.hook.pytest_deselected(items=long)


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """Print what the contract found; here, for a process that only hands tests out knows no other conftest."""
    print_tables(terminalreporter)


@pytest.fixture(autouse=True)
def logs_as_they_were() -> Iterator[None]:
    """A command that says how much is logged says so for its own test only."""
    yield
    structlog.reset_defaults()


@pytest.fixture(scope="session")
def need() -> Need:
    """``need("chromium", "chromium-browser")``: the path of the first of these programs that is installed.

    Where none is, the test is skipped on a laptop and fails where ``CI=true``: there, a skip would be a hole.
    """
    return _find


@pytest.fixture(scope="session")
def lack() -> Callable[..., NoReturn]:
    """``lack("why")`` ends a test that this machine cannot run: skipped on a laptop, failed where ``CI=true``.

    With ``rights=True`` it is skipped there as well: what a container may not do, nobody can install.
    """
    return _lack


def _find(*names: str) -> str:
    found = next((path for name in names if (path := shutil.which(name, path=_PLACES))), None)
    return found or _lack(f"{' or '.join(names)} is not installed; `make test` installs it where it may")


def _lack(reason: str, *, rights: bool = False) -> NoReturn:
    if os.environ.get("CI") == "true" and not rights:
        pytest.fail(reason, pytrace=False)
    pytest.skip(reason)


@pytest.fixture
def free_port() -> int:
    """A TCP port of 127.0.0.1 that nobody listens on."""
    return embedded.free_port()


@pytest_asyncio.fixture
async def mosquitto(need: Need, tmp_path: Path, free_port: int) -> AsyncIterator[Mosquitto]:
    """A running Mosquitto with the configuration that we ship, in a directory of its own."""
    async with Mosquitto(need("mosquitto"), need("mosquitto_passwd"), tmp_path / "mosquitto", free_port) as broker:
        yield broker
