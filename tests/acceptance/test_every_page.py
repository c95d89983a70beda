"""Every reason to page, made to happen in turn to one daemon; each is on the duty team's phones within five seconds."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from acceptance.harness import Arrival, Daemon, event, publish
from integration.broker import Mosquitto
from unit.speaking import SMALL

from dispatcher.app import build
from dispatcher.intake.base import Inbound
from dispatcher.intake.signature import new_key
from dispatcher.model.source import person_of
from dispatcher.pipeline import Pipeline
from dispatcher.plan.pages import Cause
from dispatcher.settings import load, shipped_playbooks
from dispatcher.testing import FakeClock
from dispatcher.wall.app import Wall, running_wall

ELSEWHERE = {  # tests with a clock or a fault of their own
    Cause.LAPSED, Cause.DEGRADED, Cause.EXPIRED, Cause.IN_DOUBT, Cause.BROKER, Cause.JOURNAL, Cause.LOOP, Cause.CHANNEL_DOWN,
    Cause.EXPIRING, Cause.WIDEST, Cause.STUCK,
}  # fmt: skip
LEER, BOTH = {"regions": ["leer"]}, {"regions": ["leer", "emden"]}
HEARTBEAT = 2.0
AUTOMATIC = "release: automatic\nsame_within: never\n"
PLAYBOOKS = {
    "amok": (shipped_playbooks() / "amok.yaml").read_text(),  # one person, and asks whether it is the same
    "fire": SMALL + AUTOMATIC,  # says no place that nobody has read
    "siege": SMALL.replace("fire", "siege") + AUTOMATIC + "channels: {audiences: [partner]}\n",  # no partner is there
}


@dataclass
class Duty:
    """The daemon, what the duty team has been told so far, and how long each page took, in ms."""

    daemon: Daemon
    broker: Mosquitto
    wall: Wall
    took: dict[Cause, float] = field(default_factory=dict)
    number: int = 100

    async def paged(self, cause: Cause, act: Callable[[], Awaitable[Any]], grace: float = 0.0) -> None:
        """Do it, and wait for its page; ``grace`` seconds pass before there is anything to tell."""
        before = self._pages(cause)
        began = asyncio.get_running_loop().time() + grace
        await act()
        async with asyncio.timeout(grace + 5):
            while self._pages(cause) == before:
                await asyncio.sleep(0.01)
        self.took[cause] = (asyncio.get_running_loop().time() - began) * 1000

    async def report(self, *, source: str = "leitstelle", raw: bytes = b"", **changes: Any) -> None:
        """A source reports something."""
        self.number += 1
        payload = raw or json.dumps(event(str(self.number), source=source, **changes)).encode()
        async with self.broker.client() as client:
            await client.publish(f"control-room/exercise/{source}/incidents", payload, qos=1)

    async def call(self, path: str, **body: Any) -> Any:
        """A person does something."""
        status, answer = await self.daemon.api("POST", path, body)
        assert status in (200, 201, 422), answer
        return answer

    async def release(self, incident: str, *, only: bool = False, **more: Any) -> None:
        """A person releases what waits of an incident."""
        _, found = await self.daemon.api("GET", f"alerts?state=held&incident={incident}")
        for alert in found["alerts"]:
            await self.call(f"alerts/{alert['id']}/release", digest=alert["digest"], **more)

    def _pages(self, cause: Cause) -> int:
        return sum(cause.headline in post["text"] for post in self.wall.board.posts())


@pytest.fixture
def books(tmp_path: Path) -> Path:
    """The playbooks of this night."""
    folder = tmp_path / "playbooks"
    folder.mkdir()
    for name, text in PLAYBOOKS.items():
        (folder / f"{name}.yaml").write_text(text)
    return folder


def _sources() -> dict[str, Any]:
    _, public = new_key()
    return {
        "leitstelle": {}, "counting": {"sequence": True}, "pulse": {"heartbeat": f"{HEARTBEAT:.0f}s"},
        "signed": {"signature": {"keys": {"k1": public}}},
    }  # fmt: skip


async def test_every_page_comes_within_seconds(world, daemon_of, mosquitto, books: Path) -> None:
    """Each cause that can be made to happen in real time is on the duty team's topic at most 5 s after it happened."""

    async def refuse(_: Arrival) -> int:
        return 400

    world.answers["c2"] = refuse
    async with running_wall() as wall:
        channels = world.channels(3)
        channels["c0"]["regions"], channels["c1"]["regions"] = ["leer"], ["emden"]
        channels["duty"] = {"kind": "ntfy", "realm": "exercise", "audience": "staff", "url": f"{wall.url}/ntfy/duty"}
        channels["by-hand"] = {"kind": "whatsapp_channel", "realm": "exercise", "via": "by_hand", "regions": ["leer"]}
        await publish(mosquitto, [event("old", place="Rathaus")], retain=True)
        async with daemon_of(channels, sources=_sources(), release_override=None) as daemon:
            duty = Duty(daemon, mosquitto, wall)
            await _from_sources(duty)
            await _from_people_and_channels(duty)
            await _from_files(duty, books)

    print("\npage, ms: " + ", ".join(f"{cause} {ms:.0f}" for cause, ms in sorted(duty.took.items())))
    missing = set(Cause) - set(duty.took) - {Cause.RETAINED, *ELSEWHERE}
    assert missing == set()
    assert max(duty.took.values()) <= 5_000


async def _from_sources(duty: Duty) -> None:
    """What systems say, or do not say."""
    old = (datetime.now(UTC) - timedelta(hours=2)).isoformat()
    async with asyncio.timeout(5):  # it came with the connection, before this test could look
        while not any(Cause.RETAINED.headline in post["text"] for post in duty.wall.board.posts()):
            await asyncio.sleep(0.01)
    await duty.paged(Cause.UNREADABLE, lambda: duty.report(raw=b'{"what": "Anruf 112"'))
    await duty.paged(Cause.NOTHING_MATCHED, lambda: duty.report(kind="flood"))
    await duty.paged(Cause.NO_AREA, lambda: duty.report(area=None))
    await duty.paged(Cause.NO_AREA, lambda: duty.report(area={"regions": ["09162"]}))
    await duty.paged(Cause.REFUSED, lambda: duty.report(status="actual"))
    await duty.paged(Cause.UNKNOWN_INCIDENT, lambda: duty.report(msg_type="update", incident="nobody's"))
    await duty.paged(Cause.NO_CHANNEL, lambda: duty.report(kind="siege"))
    await duty.paged(Cause.STALE, lambda: duty.report(kind="fire", sent=old))
    await duty.paged(Cause.HELD, lambda: duty.report(incident="amok-1", area=BOTH))
    again = json.dumps(event(str(duty.number), place="elsewhere")).encode()
    await duty.paged(Cause.CONFLICT, lambda: duty.report(raw=again))
    await duty.paged(Cause.SAME_AS, lambda: duty.report(incident="amok-2"))
    await duty.paged(Cause.WITHDRAWN, lambda: duty.report(incident="amok-2", msg_type="cancel"))
    await duty.paged(Cause.WITHHELD, lambda: duty.report(kind="fire", incident="fire-1", place="Hafen 7"))
    await duty.paged(Cause.SIGNATURE, lambda: duty.report(source="signed"))
    await duty.report(source="counting", kind="flood", sequence=1)
    await duty.paged(Cause.GAP, lambda: duty.report(source="counting", kind="flood", sequence=3))
    await duty.paged(Cause.SILENT, lambda: duty.report(source="pulse", kind="flood"), grace=HEARTBEAT)


async def _from_people_and_channels(duty: Duty) -> None:
    """What becomes of a release, and what people do."""
    await duty.paged(Cause.FAILED, lambda: duty.release("amok-1"))
    await duty.paged(Cause.BY_HAND, lambda: duty.report(kind="fire", incident="fire-2"))
    await duty.paged(Cause.SHRUNK, lambda: duty.report(incident="amok-1", msg_type="update", area=LEER))
    await duty.paged(Cause.STOPPED, lambda: duty.call("stop", scope="all", reason="false text"))
    lift = {"scope": "all", "break_glass": "danger_to_life"}
    await duty.paged(Cause.BREAK_GLASS, lambda: duty.call("resume", **lift))


async def _from_files(duty: Duty, books: Path) -> None:
    """What somebody saved."""
    (books / "amok.yaml").write_text("playbook: amok\ntexts: {")
    await duty.paged(Cause.CONFIGURATION, lambda: duty.call("reload"))


MINUTES = """\
realm: exercise
sender: {name: Stadt Leer}
journal: {path: journal.sqlite}
console: {port: 0}
playbooks: playbooks
channels:
  duty: {kind: ntfy, realm: exercise, url: "WALL/ntfy/duty", audience: staff}
  hands: {kind: whatsapp_channel, realm: exercise, via: by_hand}
"""


async def test_what_waits_for_minutes_is_paged(books: Path) -> None:
    """When a clock says so, a lapsed release and a post nobody has made are paged again within five real seconds."""
    two = PLAYBOOKS["amok"].replace("release: one_person", "release: two_persons")
    (books / "amok.yaml").write_text(two)
    async with running_wall() as wall:
        main = books.parent / "minutes.yaml"
        main.write_text(MINUTES.replace("WALL", wall.url))
        clock = FakeClock()
        async with build(load(main), clock=clock) as service:
            said = _seen(wall)
            await _receive(service.pipeline, clock, "operator:anna", kind="amok", playbooks=["amok"])
            await said("Freigabe nötig")
            clock.push(timedelta(minutes=10))
            await said(Cause.LAPSED.headline)
            await _receive(service.pipeline, clock, "leitstelle", kind="fire", incident="fire-1")
            await said(Cause.BY_HAND.headline)
            clock.push(timedelta(minutes=2))
            await said(Cause.BY_HAND.headline, times=2)
            clock.push(timedelta(minutes=3))
            await said(Cause.BY_HAND.headline, times=3)


def _seen(wall: Wall) -> Callable[..., Awaitable[None]]:
    async def said(words: str, times: int = 1) -> None:
        async with asyncio.timeout(5):
            while sum(words in post["text"] for post in wall.board.posts()) < times:
                await asyncio.sleep(0.01)

    return said


async def _receive(road: Pipeline, clock: FakeClock, source: str, **changes: Any) -> None:
    sent = clock.now().isoformat()
    payload = json.dumps(event(source, source=source, sent=sent, area={"regions": ["home"]}, **changes)).encode()
    await road.receive(Inbound(
        source=source, payload=payload, received_at=clock.now(), person=person_of(source) or "", ack=lambda: None,
        reply=lambda _: None,
    ))  # fmt: skip
