"""Three nights at a control room, told with the daemon as a process, a real broker, and an operator who counts actions."""

from __future__ import annotations

import asyncio
import json
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

from acceptance.harness import Arrival, Daemon, Receivers, event, publish
from integration.broker import Mosquitto

from dispatcher.settings import shipped_playbooks
from dispatcher.wall.app import Wall, running_wall

EXAMPLES = Path(__file__).parents[2] / "examples" / "sources"
SOURCES = {
    "sources_file": str(EXAMPLES / "sources.yaml"),
    "playbooks": str(shipped_playbooks()),
    "release_override": None,
}


NOTICE, CLICK, READ = 5.0, 3.0, 20.0  # seconds to look up and to click, characters read in a second


@dataclass
class Operator:
    """One person on duty; each call that changes something is an action, and costs ``seconds`` as a person needs them."""

    daemon: Daemon
    actions: int = 0
    seconds: float = 0.0
    did: list[str] = field(default_factory=list)

    async def act(self, path: str, body: dict[str, Any] | None = None, *, about: str = "") -> Any:
        """Notice, read the alert ``about`` which it is, and do one thing; it has to work."""
        self.seconds += NOTICE + CLICK + await self._reading(about) / READ
        self.actions += 1
        self.did.append(path.rsplit("/", 1)[-1])
        status, answer = await self.daemon.api("POST", path, body or {})
        assert status in (200, 201), answer
        return answer

    async def _reading(self, about: str) -> int:
        """Characters of the longest text of an alert."""
        if not about:
            return 0
        _, alert = await self.daemon.api("GET", f"alerts/{about}")
        return max(len(text["body"]) for text in alert["texts"])

    def told(self, night: str) -> None:
        """Name what the night has asked of people."""
        print(
            f"\n{night}: {self.actions} actions, {self.seconds:.0f} simulated seconds of people ({', '.join(self.did)})"
        )

    async def held(self, count: int = 1) -> list[dict[str, Any]]:
        """What waits, as soon as so many wait; looking is no action."""
        async with asyncio.timeout(5):
            while True:
                _, found = await self.daemon.api("GET", "alerts?state=held")
                if len(found["alerts"]) >= count:
                    alerts: list[dict[str, Any]] = found["alerts"]
                    return alerts
                await asyncio.sleep(0.02)


def channels(world: Receivers, wall: Wall) -> dict[str, Any]:
    """A messenger for each of two regions, a website for both, and the duty team's phones."""
    found = world.channels(3)
    for name, region in (("c0", "leer"), ("c1", "emden")):
        found[name]["regions"] = [region]
    duty = {"kind": "ntfy", "realm": "exercise", "audience": "staff", "url": f"{wall.url}/ntfy/duty"}
    return {**found, "duty": duty}


async def meldung(broker: Mosquitto, number: int, **changes: Any) -> None:
    """The control-room system of Leer says something in its own words."""
    data = json.loads((EXAMPLES / "flat.json").read_text())
    at = datetime.now(ZoneInfo("Europe/Berlin")).strftime("%d.%m.%Y %H:%M:%S")
    payload = {**data, "MeldungId": number, "LfdNr": number, "Zeit": at, **changes}
    async with broker.client() as client:
        await client.publish("einsatzleit/leer/meldung", json.dumps(payload).encode(), qos=1)


async def paged(wall: Wall, telling: str) -> None:
    """Within 5 s the duty team's phones say so."""
    async with asyncio.timeout(5):
        while not any(telling in str(post) for post in wall.board):
            await asyncio.sleep(0.02)


async def test_an_amok_alarm_at_a_school(world: Receivers, daemon_of, mosquitto: Mosquitto) -> None:
    """One action lets the first word out; a second report is joined; a cancel with the attacker free says nothing public."""
    async with running_wall() as wall, daemon_of(channels(world, wall), **SOURCES) as daemon:
        operator = Operator(daemon)
        await meldung(mosquitto, 1)
        [first] = await operator.held()
        await paged(wall, "Freigabe")
        await operator.act(f"alerts/{first['id']}/release", {"digest": first["digest"]}, about=first["id"])
        await world.until(lambda: set(world.reached()) == {"c0", "c2"})
        assert (operator.actions, operator.seconds < 60) == (1, True)
        operator.told("amok, to the first public word")

        await meldung(mosquitto, 2, Einsatznummer="2026-11-0816", Kreis="EMD", Objekt="Hafen")
        [second] = await operator.held()
        await paged(wall, "Gleiche Lage")
        assert second["same_as"] == first["incident"]
        await operator.act(f"incidents/{second['incident']}/join", {"into": first["incident"]})
        await world.until(lambda: "c1" in world.reached())

        said = len(world.arrivals)
        await meldung(mosquitto, 3, Zustand="STORNO")
        [cancel] = [alert for alert in await operator.held() if alert["purpose"] == "all_clear"]
        await operator.act(f"alerts/{cancel['id']}/reject", {"reason": "attacker still free"}, about=cancel["id"])
        assert len(world.arrivals) == said
        status, incident = await daemon.api("GET", f"incidents/{first['incident']}")
        assert (status, incident["open"]) == (200, True)
        operator.told("amok, whole night")


async def test_a_bomb_threat_with_one_operator_on_duty(world: Receivers, daemon_of) -> None:
    """One action says the first word in two regions; where two are asked for, a second one with its reason, told to all."""
    async with running_wall() as wall, daemon_of(channels(world, wall), **SOURCES) as daemon:
        operator = Operator(daemon)
        wanted = {"place": "Hauptbahnhof", "regions": ["leer", "emden"]}
        await operator.act("playbooks/bomb-threat/trigger", wanted)
        await world.until(lambda: set(world.reached()) == {"c0", "c1", "c2"})
        assert operator.actions == 1

        terror = {**wanted, "severity": "severe"}
        [alert] = (await operator.act("playbooks/terror-threat/trigger", terror))["alerts"]
        release = {"digest": alert["digest"], "break_glass": "colleague_unreachable"}
        await operator.act(f"alerts/{alert['id']}/release", release, about=alert["id"])
        await world.until(lambda: set(world.reached(alert["incident"])) == {"c0", "c1", "c2"})
        await paged(wall, "colleague_unreachable")
        assert (operator.actions, operator.seconds < 120) == (3, True)
        operator.told("bomb threat, then terror with two persons")


async def test_a_false_alarm_that_went_out(world: Receivers, daemon_of, mosquitto: Mosquitto) -> None:
    """One action corrects it: with half the channels failing at first, 95 of 100 have the correction within 10 s."""
    failing = {f"c{n}": 3 for n in range(0, 100, 2)}

    async def sick(arrival: Arrival) -> int:
        if arrival.data["purpose"] != "false_alarm" or not failing[arrival.channel]:
            return 200
        failing[arrival.channel] -= 1
        return 503

    world.answers.update(dict.fromkeys(failing, sick))
    async with daemon_of(world.channels(100)) as daemon:
        operator = Operator(daemon)
        await publish(mosquitto, [event()])
        await daemon.until(lambda: daemon.states()["accepted"] == 100)
        began = asyncio.get_running_loop().time()
        alert = await operator.act("incidents/incident-1/false-alarm")
        query = "SELECT count(*) FROM deliveries WHERE alert = ? AND state IN ('accepted', 'visible')"
        await daemon.until(lambda: daemon.rows(query, alert["id"])[0][0] >= 95, 10)
        took = asyncio.get_running_loop().time() - began
    assert (operator.actions, took < 10) == (1, True)
    operator.told(f"false alarm: 95 of 100 corrected {took:.1f} s after the word; before it")
