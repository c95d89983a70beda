"""The whole corpus at one daemon: it lives, nothing hostile is said, and an honest alarm in the middle goes out everywhere."""

from __future__ import annotations

import asyncio
import hashlib
import json
from collections import Counter

from acceptance.harness import Daemon, event
from integration.broker import Mosquitto
from unit.corpus import PLAYBOOK, Entry, corpus, unseen

from dispatcher.model.incident import MAX_BYTES
from dispatcher.plan.damping import MOST
from dispatcher.plan.pages import Cause
from dispatcher.wall.app import Wall, running_wall

SYSTEM = {
    "map": {
        "id": "/MeldungId", "incident": "/Einsatznummer", "status": {"value": "exercise"}, "place": ["/Objekt", "/Ort"],
        "kind": {"pointer": "/Stichwort", "table": {"AMOK": "amok"}},
        "area.regions": {"pointer": "/Kreis", "table": {"LER": "03457"}},
    }
}  # fmt: skip
SOURCES = {"leitstelle": {}, "foreign": SYSTEM}
REGIONS = [
    {"id": "leer", "name": "Landkreis Leer", "ags": "03457"}, {"id": "emden", "name": "Stadt Emden", "ags": "03402"},
    {"id": "aurich", "name": "Landkreis Aurich", "ags": "03452"},
]  # fmt: skip


def _entries() -> list[Entry]:
    """All payloads that a broker lets through."""
    found = corpus("event", "events", "foreign")
    return [entry for entry in found if max(map(len, entry.payloads)) <= MAX_BYTES]


async def _send(broker: Mosquitto, entries: list[Entry]) -> None:
    """Every payload, and in the middle an honest alarm."""
    async with broker.client() as client:
        for number, entry in enumerate(entries):
            source = "foreign" if entry.enters == "foreign" else "leitstelle"
            for payload in entry.payloads:
                await client.publish(f"control-room/exercise/{source}/incidents", payload, qos=1)
            if number == len(entries) // 2:
                honest = event("honest", place="Rathaus Leer")
                await client.publish("control-room/exercise/leitstelle/incidents", json.dumps(honest), qos=1)


async def _receipts(broker: Mosquitto, count: int, listening: asyncio.Event) -> Counter[tuple[str, str]]:
    """What became of each payload, by its digest; as many as were sent, in whatever order."""
    found: Counter[tuple[str, str]] = Counter()
    async with asyncio.timeout(120), broker.client() as client:
        await client.subscribe("dispatcher/exercise/receipts/+", qos=1)
        listening.set()
        async for message in client.messages:
            receipt = json.loads(message.payload)
            found[receipt["sha256"], receipt["state"]] += 1
            if found.total() == count:
                break
    return found


def _expected(entries: list[Entry]) -> Counter[tuple[str, str]]:
    pairs = [pair for entry in entries for pair in zip(entry.payloads, entry.states, strict=True)]
    return Counter((hashlib.sha256(payload).hexdigest(), state) for payload, state in pairs)


def _paged(wall: Wall) -> Counter[str]:
    texts = [post["text"] for post in wall.board.posts()]
    return Counter({cause: sum(cause.headline in text for text in texts) for cause in Cause})


async def test_nothing_hostile_stops_or_delays_an_honest_alarm(world, daemon_of, mosquitto, tmp_path) -> None:
    """Every payload gets its receipt, each cause pages ten times at most, and the honest alarm is on all its channels."""
    (tmp_path / "playbooks").mkdir()
    (tmp_path / "playbooks" / "amok.yaml").write_text(PLAYBOOK)
    entries, channels, listening = _entries(), world.channels(2), asyncio.Event()
    async with running_wall() as wall:
        for channel in channels.values():
            channel["regions"] = ["leer"]
        channels["duty"] = {"kind": "ntfy", "realm": "exercise", "audience": "staff", "url": f"{wall.url}/ntfy/duty"}
        more = {"sources": SOURCES, "regions": REGIONS, "release_override": None}
        async with daemon_of(channels, **more) as daemon:
            count = sum(len(entry.payloads) for entry in entries) + 1
            heard = asyncio.create_task(_receipts(mosquitto, count, listening))
            await listening.wait()
            await _send(mosquitto, entries)
            receipts = await heard
            await world.until(lambda: len(world.reached("incident-honest")) == 2)
            await daemon.until(lambda: not set(daemon.states()) & {"queued", "sending"}, 120)
            assert daemon.process.returncode is None
            _check_journal(daemon, entries)
        assert wall.board.unexpected == []
        paged = _paged(wall)

    assert paged.pop(Cause.HELD) >= 1  # again and again, until somebody answers
    assert {cause: number for cause, number in paged.items() if number} == _wanted(entries)
    assert _expected(entries) - receipts == Counter()
    for arrival in world.arrivals:
        said = "\n".join([arrival.data["headline"], arrival.data["text"], arrival.data["place"]])
        assert unseen(said) == []
        assert "https://" not in said


def _wanted(entries: list[Entry]) -> Counter[str]:
    """How many pages each cause is worth: what each source is paged about, up to the most that one may be."""
    pairs = ((cause, entry.enters == "foreign") for entry in entries for cause in entry.paged)
    causes = Counter(pair for pair in pairs if pair[0] != Cause.HELD)
    wanted: Counter[str] = Counter()
    for (cause, _), number in causes.items():
        wanted[cause] += min(MOST, number)
    return wanted


def _check_journal(daemon: Daemon, entries: list[Entry]) -> None:
    """What could not be read is kept as it came."""
    refused = {entry.content for entry in entries if entry.becomes == "unreadable"}
    assert {payload for (payload,) in daemon.rows("SELECT payload FROM letters")} == refused
