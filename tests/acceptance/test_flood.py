"""A flood of events with kills in between: every one is in the journal, memory stays small, what is extreme goes out at once."""

from __future__ import annotations

import asyncio
import json
import os
import random
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from acceptance.harness import Daemon, Receivers, event, one_playbook
from integration.broker import Mosquitto

FLOOD = int(os.environ.get("FLOOD_EVENTS", "100000"))
AHEAD = 5_000  # events that may be on their way between sender and journal
MIB = 2**20


def _minor(number: int) -> bytes:
    """An event of 500 bytes that no playbook is for."""
    said = event(f"flood-{number}", kind="noise-complaint", severity="minor", reason_text="")
    said["facts"] = {"note": "x" * (500 - len(json.dumps({**said, "facts": {"note": ""}})))}
    return json.dumps(said).encode()


def _written(daemon: Daemon) -> int:
    """How many events the journal holds."""
    return int(daemon.rows("SELECT count(*) FROM events")[0][0])


async def _send(broker: Mosquitto, daemon: Daemon, count: int) -> None:
    """Publish the flood as fast as it is written down, and one extreme alarm in the middle of it."""
    topic = "control-room/exercise/leitstelle/incidents"
    async with broker.client() as client:
        for number in range(count):
            while number % 500 == 0 and number - _written(daemon) > AHEAD:
                await asyncio.sleep(0.05)
            if number == count // 2:
                await client.publish(topic, json.dumps(event("extreme")), qos=1)
            await client.publish(topic, _minor(number), qos=1)


def _peak(daemon: Daemon) -> int:
    """Largest resident memory of the running process, in bytes."""
    status = Path(f"/proc/{daemon.process.pid}/status").read_text()
    return int(status.partition("VmHWM:")[2].split()[0]) * 1024


async def _flood(count: int, kills: int, world: Receivers, daemon_of: Any, broker: Mosquitto, folder: Path) -> None:
    one_playbook(folder)
    channels = world.channels(4)
    came: dict[str, datetime] = {}

    async def note(arrival: Any) -> int:
        came.setdefault(arrival.channel, datetime.now(UTC))
        return 200

    world.answers |= dict.fromkeys(channels, note)
    rng, peaks = random.Random(20_261_121), []
    moments = sorted(rng.sample(range(count // 10, count - count // 10), kills))
    async with daemon_of(channels) as daemon:
        sending = asyncio.create_task(_send(broker, daemon, count))
        for moment in moments:
            await daemon.until(lambda at=moment: _written(daemon) >= at, 900)
            peaks.append(_peak(daemon))
            await daemon.kill()
            await daemon.start()
        await sending
        await daemon.until(lambda: _written(daemon) == count + 1, 900)
        await daemon.until(lambda: len(came) == 4)
        peaks.append(_peak(daemon))
        ((received,),) = daemon.rows("SELECT received_at FROM events WHERE id = 'extreme'")
        ids = {number for (number,) in daemon.rows("SELECT id FROM events")}
        assert daemon.rows("PRAGMA integrity_check") == [("ok",)]

    assert ids == {f"flood-{number}" for number in range(count)} | {"extreme"}
    at = datetime.fromtimestamp(received / 1_000_000, UTC)
    slowest = max((moment - at).total_seconds() for moment in came.values())
    print(f"\nflood: {count} events, {kills} kills, peak {max(peaks) / MIB:.0f} MiB, extreme out after {slowest:.3f} s")
    assert max(peaks) <= 300 * MIB
    assert slowest <= 2


async def test_a_flood_with_kills_loses_no_event(world, daemon_of, mosquitto, tmp_path):
    """Four thousand events and two kills: each is in the journal once, and the extreme one goes out within two seconds."""
    await _flood(4_000, 2, world, daemon_of, mosquitto, tmp_path)


@pytest.mark.long
async def test_a_hundred_thousand_events_with_ten_kills(world, daemon_of, mosquitto, tmp_path):
    """A hundred thousand events (FLOOD_EVENTS says how many) and ten kills: the same."""
    await _flood(FLOOD, 10, world, daemon_of, mosquitto, tmp_path)
