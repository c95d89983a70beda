"""A daemon that is stopped, killed or blocked is missed by those outside: monitor and systemd hear nothing any more."""

from __future__ import annotations

import asyncio
import json
import re
import signal
import socket
import time
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import closing
from functools import partial
from pathlib import Path

import aiohttp
import pytest
from acceptance.careless import hold_the_loop
from acceptance.forks import ForkedDaemon
from acceptance.harness import Daemon, Receivers, event, one_playbook, publish
from contract.provider import Provider, provider, says
from integration.broker import Mosquitto

from dispatcher.intake.embedded import free_port
from dispatcher.plan.pages import Cause
from dispatcher.wall.app import running_wall

EVERY = 1.0  # the shortest beat that may be configured, in seconds
MISSED = 15.0  # seconds after which a monitor must have noticed
SECRET = "kept-to-ourselves"

Told = Callable[[], list[str]]


@pytest.fixture
async def monitor() -> AsyncIterator[Provider]:
    """A dead man's switch that hears beats."""
    async with provider(says(200)) as heard:
        yield heard


@pytest.fixture
def systemd(tmp_path: Path) -> Iterator[Told]:
    """Everything that systemd has been told so far."""
    told: list[str] = []
    with closing(socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)) as heard:
        heard.bind(str(tmp_path / "notify"))
        heard.settimeout(0)

        def read() -> list[str]:
            try:
                while True:
                    told.append(heard.recv(1000).decode())
            except BlockingIOError:
                return told

        yield read


def _environment(folder: Path) -> dict[str, str]:
    return {"NOTIFY_SOCKET": str(folder / "notify"), "WATCHDOG_USEC": str(int(EVERY * 1_000_000))}


async def _until(condition: Callable[[], bool]) -> None:
    async with asyncio.timeout(10):
        while not condition():
            await asyncio.sleep(0.02)


async def _last(signs: Callable[[], int]) -> float:
    """When the last sign of life came: it is known once there has been none for three beats."""
    count, last = signs(), time.monotonic()
    while time.monotonic() < last + 3 * EVERY:
        await asyncio.sleep(0.02)
        if signs() > count:
            count, last = signs(), time.monotonic()
    return last


async def _paused(daemon: Daemon, _: Mosquitto) -> None:
    daemon.process.send_signal(signal.SIGSTOP)


async def _killed(daemon: Daemon, _: Mosquitto) -> None:
    daemon.kill_now()


async def _blocked(daemon: Daemon, broker: Mosquitto) -> None:
    await publish(broker, [event()])
    await _until(lambda: "loop_blocked" in daemon.log())


@pytest.mark.parametrize("how", [_paused, _killed, _blocked])
async def test_who_does_not_run_is_missed(how, monitor, systemd, world: Receivers, mosquitto, tmp_path):
    """Stopped, killed or blocked by a channel: heartbeats and watchdog pings end at once, so that 15 s later it is known."""
    one_playbook(tmp_path)
    beat = {"url": f"{monitor.url}/ping?key={SECRET}", "every": f"{EVERY:.0f}s"}
    daemon = ForkedDaemon(tmp_path, mosquitto, world.channels(1), free_port(), heartbeat=beat)
    await daemon.spawn(fault=partial(hold_the_loop, **_environment(tmp_path)))
    await daemon.until_ready()
    await _until(lambda: len(monitor.requests) >= 2 and systemd().count("WATCHDOG=1") >= 2)
    await how(daemon, mosquitto)
    ended_at = time.monotonic()
    async with asyncio.timeout(MISSED):
        last = await _last(lambda: len(monitor.requests) + len(systemd()))
    await daemon.end(signal.SIGKILL)
    assert last - ended_at < EVERY
    assert SECRET in monitor.head()
    assert SECRET not in daemon.log()


async def test_a_channel_that_blocks_the_loop_is_named(world: Receivers, mosquitto, tmp_path):
    """Code that holds the whole daemon is in the log while it does, and after six seconds of it on the duty team's phones."""
    one_playbook(tmp_path)
    async with running_wall() as wall, aiohttp.ClientSession() as session:
        duty = {"kind": "ntfy", "realm": "exercise", "audience": "staff", "url": f"{wall.url}/ntfy/duty"}
        daemon = ForkedDaemon(tmp_path, mosquitto, {**world.channels(1), "duty": duty}, free_port())
        await daemon.spawn(fault=partial(hold_the_loop, 6.0))
        await daemon.until_ready()
        await _blocked(daemon, mosquitto)
        assert world.arrivals == []
        async with asyncio.timeout(15), session.get(f"{daemon.url}/readyz") as answer:  # when the loop is free again
            assert (answer.status, (await answer.json())["ready"]["loop"]) == (503, False)
        await _until(lambda: any(Cause.LOOP.headline in post["text"] for post in wall.board.posts()))
        await _until(lambda: len(world.arrivals) == 1)
        await daemon.end(signal.SIGKILL)
    (page,) = [post["text"] for post in wall.board.posts() if Cause.LOOP.headline in post["text"]]
    assert re.search(r"6 s of the last minute, last in dispatcher/channels/webhook\.py:\d+ _deliver", page)
    (said, *_) = [line for line in daemon.log().splitlines() if "loop_blocked" in line]
    assert "dispatcher/channels/webhook.py" in json.loads(said)["held_by"]


async def test_systemd_follows_a_life(systemd, world: Receivers, daemon_of, tmp_path):
    """The supervisor hears that the daemon is ready when it is, that it lives, and that it stops when it was told to."""
    one_playbook(tmp_path)
    daemon = daemon_of(world.channels(1))
    await daemon.spawn(**_environment(tmp_path))
    await daemon.until_ready()
    await _until(lambda: systemd().count("WATCHDOG=1") >= 2)
    assert await daemon.end(signal.SIGTERM) == 0
    told = [line.partition("\n")[0] for line in systemd()]
    assert told[0] == "READY=1"
    assert [line for line in told if line != "WATCHDOG=1"] == ["READY=1", "STOPPING=1"]
