"""kill -9 at the worst moments: nothing that was acknowledged is lost, nothing is repeated without a mark."""

from __future__ import annotations

import asyncio
import random
from collections.abc import Callable

import pytest
from acceptance.harness import Arrival, Daemon, Receivers, event, publish
from integration.broker import Mosquitto


async def _slow(_: Arrival) -> int:
    await asyncio.sleep(0.3)
    return 200


@pytest.mark.parametrize("hosts", [1000, 500])
async def test_kill_in_mid_fan_out_loses_no_channel(hosts, world: Receivers, daemon_of, mosquitto):
    """Killed at request 500 of 1,000 and started again: every channel has it, every repeat is marked.

    Once with 1,000 hosts, where the kill finds everything on its way; once with half of the channels behind one slow
    host, where it finds half of them queued.
    """
    channels = world.channels(1000)
    for n in range(hosts, 1000):
        channels[f"c{n}"]["url"] = f"http://127.200.0.1:{world.port}/c{n}"
        world.answers[f"c{n}"] = _slow
    async with daemon_of(channels) as daemon:
        world.at(500, daemon.kill_now)
        await publish(mosquitto, [event()])
        await world.until(lambda: len(world.arrivals) >= 500)
        await daemon.kill()
        before = world.reached()
        await daemon.start()
        await daemon.until(lambda: daemon.states()["accepted"] == 1000, 60)

        reached = world.reached()
        doubtful = {c for (c,) in daemon.rows("SELECT channel FROM deliveries WHERE doubtful")}
        _, shown = await daemon.api("GET", "deliveries?limit=1000")
    assert len(before) >= 500 if hosts == 1000 else 500 <= len(before) < 600
    assert set(reached) == {f"c{n}" for n in range(1000)}
    assert {channel for channel, count in reached.items() if count > 1} <= doubtful
    assert max(reached.values()) == 2
    assert len({(a.channel, a.key) for a in world.arrivals}) == 1000
    assert {d["channel"] for d in shown["deliveries"] if d["doubtful"]} == doubtful


async def _kills(count: int, rng: random.Random, daemon: Daemon, broker: Mosquitto) -> None:
    """Publish bursts and kill the daemon while it takes them in."""
    for number in range(count):
        await daemon.start()
        burst = [event(f"{number}-{n}", area={"regions": ["emden"]}) for n in range(5)]
        publishing = asyncio.create_task(publish(broker, burst))
        await asyncio.sleep(rng.uniform(0.002, 0.04))
        await daemon.kill()
        await publishing


async def _check_kills(count: int, world: Receivers, daemon_of: Callable[..., Daemon], broker: Mosquitto) -> None:
    channels = world.channels(2)
    for channel in channels.values():
        channel["regions"] = ["emden"]
    daemon = daemon_of(channels)
    async with daemon:  # once, so that the broker keeps a session for it
        pass
    await _kills(count, random.Random(20_261_120), daemon, broker)
    async with daemon:
        everything = count * 5
        await daemon.until(lambda: daemon.states()["accepted"] == 2 * everything, 60)

        assert daemon.rows("SELECT count(*), count(DISTINCT incident) FROM events") == [(everything, everything)]
        assert daemon.rows("SELECT count(*) FROM incidents") == [(everything,)]
        assert daemon.rows("SELECT count(*) FROM alerts") == [(everything,)]
        reached = {(a.data["incident"], a.channel) for a in world.arrivals}
    assert len(reached) == 2 * everything


async def test_kill_between_receipt_and_commit_loses_no_event(world, daemon_of, mosquitto):
    """Killed four times while events come in: each is in the journal once and reached both channels."""
    await _check_kills(4, world, daemon_of, mosquitto)


@pytest.mark.long
async def test_fifty_kills_between_receipt_and_commit(world, daemon_of, mosquitto):
    """Killed fifty times while events come in: 0 lost, 0 doubled."""
    await _check_kills(50, world, daemon_of, mosquitto)


async def test_broker_kill_loses_no_event(world, daemon_of, mosquitto):
    """A broker that is killed and comes back finds the daemon again, and events go on."""
    async with daemon_of(world.channels(1)) as daemon:
        await publish(mosquitto, [event("1")])
        await daemon.until(lambda: daemon.states()["accepted"] == 1)
        await mosquitto.kill()
        await mosquitto.start()
        await publish(mosquitto, [event("2")])
        await daemon.until(lambda: daemon.states()["accepted"] == 2)
