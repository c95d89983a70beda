"""Silence is never the answer: what triggers nothing reaches the duty team's phones with its raw text."""

from __future__ import annotations

import asyncio
import json

import aiohttp
import pytest
from acceptance.harness import event, publish

from dispatcher.wall.app import running_wall

CASES = {
    "unknown kind": (json.dumps(event(kind="flood")).encode(), False, "flood"),
    "unreadable": (b'{"v": 1, "what": "Anruf 112"', False, "Anruf 112"),
    "retained": (json.dumps(event(place="Altes Rathaus")).encode(), True, "Altes Rathaus"),
    "unknown area": (json.dumps(event(area={"regions": ["09162"]})).encode(), False, "09162"),
    "wrong realm": (json.dumps(event(status="actual", place="Domhof")).encode(), False, "Domhof"),
}


@pytest.mark.parametrize("case", CASES)
async def test_what_triggers_nothing_pages_the_duty_team(case, world, daemon_of, mosquitto):
    """Within 5 s the raw text is on the duty team's topic, and nothing at all on a public channel."""
    payload, retain, telling = CASES[case]
    async with running_wall() as wall:
        duty = {"kind": "ntfy", "realm": "exercise", "audience": "staff", "url": f"{wall.url}/ntfy/duty"}
        channels = world.channels(2) | {"duty": duty}
        if retain:
            await publish(mosquitto, [payload], retain=True)
        async with daemon_of(channels) as daemon, aiohttp.ClientSession() as session:
            if not retain:
                await publish(mosquitto, [payload])
            async with asyncio.timeout(5):
                while not (posts := await _posts(session, wall.url)):
                    await asyncio.sleep(0.05)
            async with session.get(f"{wall.url}/_wall/unexpected") as response:
                unexpected = await response.json()
            assert daemon.log()

    assert telling in posts[0]["text"]
    assert unexpected == []
    assert world.arrivals == []


async def _posts(session: aiohttp.ClientSession, url: str) -> list[dict]:
    async with session.get(f"{url}/_wall/posts") as response:
        found: list[dict] = await response.json()
        return found
