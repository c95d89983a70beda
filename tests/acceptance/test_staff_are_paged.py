"""Silence is never the answer: what triggers nothing reaches the duty team's phones with its raw text."""

from __future__ import annotations

import asyncio
import json

from acceptance.harness import Arrival, event, publish

from dispatcher.wall.app import Wall, running_wall

CASES = {
    "unknown kind": (json.dumps(event(kind="flood")).encode(), False, "flood"),
    "unreadable": (b'{"v": 1, "what": "Anruf 112"', False, "Anruf 112"),
    "retained": (json.dumps(event("2", place="Altes Rathaus")).encode(), True, "Altes Rathaus"),
    "unknown area": (json.dumps(event("3", area={"regions": ["09162"]})).encode(), False, "09162"),
    "wrong realm": (json.dumps(event("4", status="actual", place="Domhof")).encode(), False, "Domhof"),
}


async def test_what_triggers_nothing_pages_the_duty_team(world, daemon_of, mosquitto):
    """Within 5 s the raw text of each case is on the duty team's topic, and nothing at all on a public channel."""
    async with running_wall() as wall:
        duty = {"kind": "ntfy", "realm": "exercise", "audience": "staff", "url": f"{wall.url}/ntfy/duty"}
        retained, live = ({name: case for name, case in CASES.items() if case[1] is retain} for retain in (True, False))
        await publish(mosquitto, [payload for payload, _, _ in retained.values()], retain=True)
        async with daemon_of(world.channels(2) | {"duty": duty}) as daemon:
            await _paged(wall, [telling for _, _, telling in retained.values()])
            for payload, _, telling in live.values():
                await publish(mosquitto, [payload])
                await _paged(wall, [telling])
            await daemon.until(lambda: daemon.states() == {"accepted": len(CASES)})

    assert wall.board.unexpected == []
    assert world.arrivals == []


async def _paged(wall: Wall, tellings: list[str]) -> None:
    """Wait, 5 s at the most, until each of ``tellings`` has reached the duty team."""
    async with asyncio.timeout(5):
        while not all(any(telling in post["text"] for post in wall.board.posts()) for telling in tellings):
            await asyncio.sleep(0.02)


async def test_what_needs_a_person_pages_the_duty_team(world, daemon_of, mosquitto):
    """A refused post and a post that hands must make are on the duty team's topic within 5 s, each with the text."""

    async def refuse(_: Arrival) -> int:
        return 400

    world.answers["c0"] = refuse
    async with running_wall() as wall:
        more = {
            "duty": {"kind": "ntfy", "realm": "exercise", "audience": "staff", "url": f"{wall.url}/ntfy/duty"},
            "by-hand": {"kind": "whatsapp_channel", "realm": "exercise", "via": "by_hand"},
        }
        async with daemon_of(world.channels(2) | more) as daemon:
            await publish(mosquitto, [event(place="Hafenstraße")])
            await _paged(wall, ["Not published", "Post by hand"])
            by_hand = next(post["text"] for post in wall.board.posts() if "Post by hand" in post["text"])
            delivery = daemon.rows("SELECT id FROM deliveries WHERE channel = 'by-hand'")[0][0]
            confirmed, _ = await daemon.api("POST", f"deliveries/{delivery}/confirm", {"url": "https://example.org/1"})
            await daemon.until(lambda: daemon.states() == {"accepted": 4, "failed": 1})

    assert "by-hand" in by_hand
    assert "Hafenstraße" in by_hand
    assert confirmed == 200


async def test_a_machine_that_poses_as_a_person_is_paged(world, daemon_of, mosquitto):
    """A topic named like an operator, or like nobody, starts nothing however it is matched, and the duty team hears of it."""
    async with running_wall() as wall:
        duty = {"kind": "ntfy", "realm": "exercise", "audience": "staff", "url": f"{wall.url}/ntfy/duty"}
        async with daemon_of(world.channels(2) | {"duty": duty}) as daemon, mosquitto.client() as client:
            for number, source in enumerate(("operator:chief", "operator:", "")):
                payload = event(str(number), source=source, place=f"Tor {number}", playbooks=["amok"])
                await client.publish(f"control-room/exercise/{source}/incidents", json.dumps(payload), qos=1)
                await _paged(wall, [f"Tor {number}"])
            incidents = daemon.rows("SELECT count(*) FROM incidents")

    assert incidents == [(0,)]
    assert world.arrivals == []
