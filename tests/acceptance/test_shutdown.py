"""SIGTERM under load ends in good order; whichever way it ends, the next start brings everything to the same end."""

from __future__ import annotations

import asyncio
import random
import re
import signal
import time
from collections import Counter
from pathlib import Path

import pytest
from acceptance.forks import ForkedDaemon
from acceptance.harness import Arrival, Daemon, Receivers, event, one_playbook, publish
from integration.broker import Mosquitto

from dispatcher.intake.embedded import free_port

CHANNELS = 20
BURST = 10
LIMIT = 15.0  # seconds from SIGTERM to the end
LEAKS = re.compile(r".*(?:never awaited|was destroyed|unclosed).*", re.IGNORECASE)


async def _stop_under_load(daemon: Daemon, world: Receivers, broker: Mosquitto, number: int, at: int) -> float:
    """Start, take in a burst, SIGTERM at the ``at``-th request of it; seconds to the end."""
    await daemon.spawn(PYTHONWARNINGS="always")
    await daemon.until_ready()
    told = asyncio.Event()
    world.at(len(world.arrivals) + at, lambda: (daemon.process.send_signal(signal.SIGTERM), told.set()))
    burst = [event(f"{number}-{n}") for n in range(BURST)]
    publishing = asyncio.create_task(publish(broker, burst))
    async with asyncio.timeout(30):
        await told.wait()
    began = time.monotonic()
    code = await daemon.process.wait()
    await publishing
    assert code == 0, daemon.log()
    return time.monotonic() - began


async def _check_stops(count: int, world: Receivers, folder: Path, broker: Mosquitto) -> None:
    rng, said = random.Random(20_261_122), Counter[tuple[str, str]]()

    async def answer(arrival: Arrival) -> int:
        """Late, and refused for now one time in ten."""
        await asyncio.sleep(rng.uniform(0, 0.2))
        if rng.random() < 0.1:
            return 503
        said[arrival.data["incident"], arrival.channel] += 1
        return 200

    channels = world.channels(CHANNELS)
    world.answers = dict.fromkeys(channels, answer)
    for n in range(CHANNELS // 2):  # one host has fewer slots than these have posts, so that some queue
        channels[f"c{n}"]["url"] = f"http://127.200.0.1:{world.port}/c{n}"
    one_playbook(folder)
    daemon = Daemon(folder, broker, channels, free_port())
    stops = [await _stop_under_load(daemon, world, broker, n, rng.randint(1, 150)) for n in range(count)]
    async with daemon:
        everything = count * BURST
        await daemon.until(lambda: daemon.states()["accepted"] == everything * CHANNELS, 60)
        assert daemon.rows("SELECT count(*), count(DISTINCT incident) FROM events") == [(everything, everything)]
        assert daemon.rows("SELECT count(*) FROM deliveries WHERE doubtful") == [(0,)]
    assert (len(said), set(said.values())) == (everything * CHANNELS, {1})
    assert max(stops) < LIMIT
    assert LEAKS.findall(daemon.log()) == []


async def test_ten_stops_under_load_lose_and_repeat_nothing(world, tmp_path, mosquitto):
    """SIGTERM in the middle of a fan-out, ten times: exit 0 within 15 s, nothing lost, doubled or left unclosed."""
    await _check_stops(10, world, tmp_path, mosquitto)


@pytest.mark.long
async def test_two_hundred_stops_under_load_lose_and_repeat_nothing(world, tmp_path, mosquitto):
    """SIGTERM in the middle of a fan-out, 200 times: exit 0 within 15 s, nothing lost, doubled or left unclosed."""
    await _check_stops(200, world, tmp_path, mosquitto)


async def _stopped(daemon: Daemon) -> int:
    return await daemon.end(signal.SIGTERM)


async def _stopped_twice(daemon: Daemon) -> int:
    daemon.process.send_signal(signal.SIGTERM)
    await daemon.until(lambda: '"event": "stopping"' in daemon.log())
    began = time.monotonic()
    code = await daemon.end(signal.SIGTERM)
    assert time.monotonic() - began < LIMIT / 3  # the answers that the first one would wait for never come
    return code


async def _killed(daemon: Daemon) -> int:
    return await daemon.end(signal.SIGKILL)


@pytest.mark.parametrize(("how", "code"), [(_stopped, 0), (_stopped_twice, 1), (_killed, -signal.SIGKILL)])
async def test_however_it_ends_the_final_state_is_the_same(how, code, world, mosquitto, tmp_path):
    """With half of the answers withheld, SIGTERM, a second SIGTERM and SIGKILL lead to one and the same end."""
    held = asyncio.Event()

    async def hang(_: Arrival) -> int:
        await held.wait()
        return 200

    world.answers = {f"c{n}": hang for n in range(CHANNELS // 2, CHANNELS)}
    one_playbook(tmp_path)
    daemon = ForkedDaemon(tmp_path, mosquitto, world.channels(CHANNELS), free_port())
    async with daemon:
        await publish(mosquitto, [event()])
        await world.until(lambda: len(world.arrivals) == CHANNELS)
        await daemon.until(lambda: daemon.states()["accepted"] == CHANNELS // 2)
        began = time.monotonic()
        assert await how(daemon) == code
        assert time.monotonic() - began < LIMIT
        held.set()
        await daemon.start()
        await daemon.until(lambda: daemon.states()["accepted"] == CHANNELS)
        marks = dict(daemon.rows("SELECT channel, doubtful FROM deliveries"))
    assert marks == {f"c{n}": n >= CHANNELS // 2 for n in range(CHANNELS)}
    assert world.reached() == {f"c{n}": 1 + (n >= CHANNELS // 2) for n in range(CHANNELS)}
    assert len({(a.channel, a.key) for a in world.arrivals}) == CHANNELS
