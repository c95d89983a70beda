"""systemd hears that the daemon is ready and that its loop runs, and nothing at all when the loop does not."""

from __future__ import annotations

import asyncio
import os
import secrets
import socket
import subprocess
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path

import pytest
from structlog.testing import capture_logs

from dispatcher.supervisor import Supervisor

UNIT = Path(__file__).parents[2] / "config" / "dispatcher.service"
PING = 0.05


def _listening(address: str) -> socket.socket:
    heard = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
    heard.bind(address)
    heard.settimeout(5)
    return heard


@pytest.fixture(params=["path", "abstract"])
def systemd(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[tuple[socket.socket, dict[str, str]]]:
    """What systemd holds: its end of the socket, and the environment that names it."""
    name = f"dispatcher-{secrets.token_hex(8)}"
    address = str(tmp_path / "notify") if request.param == "path" else f"@{name}"
    with closing(_listening(address.replace("@", "\0"))) as heard:
        yield heard, {"NOTIFY_SOCKET": address, "WATCHDOG_USEC": str(int(PING * 2_000_000))}


def test_systemd_is_told(systemd: tuple[socket.socket, dict[str, str]]) -> None:
    """Lines go out as one datagram, to a path as well as to an abstract socket."""
    heard, environment = systemd
    Supervisor(environment).tell("READY=1", "STATUS=Osnabrück")
    assert heard.recv(1000).decode() == "READY=1\nSTATUS=Osnabrück"


async def test_pings_stop_while_the_loop_is_blocked(systemd: tuple[socket.socket, dict[str, str]]) -> None:
    """The watchdog is fed by the loop itself: what blocks the loop keeps the pings back, and they go on after it."""
    heard, environment = systemd
    loop, pinging = asyncio.get_running_loop(), asyncio.create_task(Supervisor(environment).watchdog())
    heard.settimeout(0)
    for _ in range(3):
        assert await loop.sock_recv(heard, 100) == b"WATCHDOG=1"
    heard.settimeout(10 * PING)
    with pytest.raises(TimeoutError):
        heard.recv(100)  # on the loop's own thread: this is what blocks it
    heard.settimeout(0)
    assert await asyncio.wait_for(loop.sock_recv(heard, 100), 5) == b"WATCHDOG=1"
    pinging.cancel()


@pytest.mark.parametrize(
    "environment", [{}, {"WATCHDOG_USEC": "0"}, {"WATCHDOG_USEC": "soon"}, {"WATCHDOG_USEC": "1", "WATCHDOG_PID": "1"}]
)
async def test_nobody_is_told_who_did_not_ask(environment: dict[str, str]) -> None:
    """Without systemd, or where its watchdog is meant for another process, nothing is said and nothing runs."""
    supervisor = Supervisor(environment)
    supervisor.tell("READY=1")
    await asyncio.wait_for(supervisor.watchdog(), 5)


def test_a_deaf_systemd_stops_nothing(tmp_path: Path) -> None:
    """A socket that is gone, or full because nobody reads it, is logged; the daemon neither fails nor waits."""
    address = str(tmp_path / "notify")
    supervisor = Supervisor({"NOTIFY_SOCKET": address})
    with capture_logs() as logs:
        supervisor.tell("READY=1")
        with closing(_listening(address)):
            for _ in range(10_000):
                supervisor.tell("WATCHDOG=1")
                if len(logs) > 1:
                    break
    assert [line["event"] for line in logs] == ["systemd_not_told"] * 2


def test_the_unit_gives_little_away(need: Callable[..., str]) -> None:
    """The shipped unit's exposure, as systemd counts it, is at most 1.5 of 10."""
    command = [need("systemd-analyze"), "security", "--offline=true", "--threshold=15", str(UNIT)]
    result = subprocess.run(
        command, capture_output=True, text=True, check=False, env={**os.environ, "SYSTEMD_COLORS": "0"}
    )
    assert result.returncode == 0, result.stdout + result.stderr
    assert "Overall exposure level" in result.stdout
