"""An exercise with one channel of every kind that there is, found by looking: each as its contract sets it up, on the wall."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from functools import partial
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import aiohttp
from contract.kit import kind_of, kit_of, names_of

from dispatcher.app import Service, build
from dispatcher.channels.base import kinds, load_kind
from dispatcher.cli.demo import wall_titles
from dispatcher.cli.emit import Sending, publish
from dispatcher.console.auth import ConsoleSettings
from dispatcher.intake.embedded import EmbeddedBroker
from dispatcher.intake.mqtt import MqttSettings
from dispatcher.journal import queries
from dispatcher.journal.base import JournalSettings
from dispatcher.model.cap import Realm
from dispatcher.model.channel import ChannelProfile
from dispatcher.model.delivery import Delivery, DeliveryState, IncidentId
from dispatcher.settings import Loaded, load
from dispatcher.wall.app import Wall

TOKEN = "a-supervisor-in-a-test"
SOURCE = "leitstelle"
_WAITING = {DeliveryState.QUEUED, DeliveryState.SENDING, DeliveryState.IN_DOUBT}
_WORDS = {
    "alert": "Amokalarm", "update": "Weiter Amokalarm", "all_clear": "Entwarnung", "false_alarm": "Fehlalarm",
}  # fmt: skip
_BOOK = {
    "playbook": "amok", "title": "Amok", "match": {"kind": ["amok"]}, "severity": "extreme", "release": "automatic",
    "public_place": True, "same_within": "never", "languages": ["de"],
    "texts": {
        purpose: {"de": {"headline": f"{word}: {{{{ place }}}}", "long": f"{word} in Leer.", "short": f"{word} in Leer."}}
        for purpose, word in _WORDS.items()
    },
}  # fmt: skip


def names() -> list[str]:
    """What every kind is met as: itself, or each of its providers. Fails on a kind that nobody can set up."""
    for kind in kinds():
        said = f"tests/contract/kits/{kind}.py is missing: every exercise sets up its channel of this kind out of it"
        assert find_spec(f"contract.kits.{kind}"), said
        assert hasattr(load_kind(kind), "drill"), (
            f"{kind} has no drill(): it says which of its fields point at the wall"
        )
    return [name for kind in kinds() for name in names_of(kind)]


def channel_of(name: str) -> str:
    """The id of its channel here."""
    return name.replace("/", "-").replace("_", "-")


def live_files(folder: Path, **common: Any) -> Path:
    """The main file of a live daemon with a channel for each of `names`, out of which drills are made."""
    channels = {
        channel_of(name): {
            "kind": kind_of(name), "title": f"Kanal {channel_of(name)}", **kit_of(name).settings("https://live.example"),
            **common,
        }
        for name in names()
    }  # fmt: skip
    (folder / "playbooks").mkdir(parents=True)
    (folder / "playbooks" / "amok.yaml").write_text(json.dumps(_BOOK))
    main = {
        "realm": "live", "sender": {"name": "Polizei Leer"}, "regions": [{"id": "leer", "name": "Leer"}],
        "playbooks": "playbooks", "channels": channels,
    }  # fmt: skip
    (folder / "dispatcher.yaml").write_text(json.dumps(main, default=str))
    return folder / "dispatcher.yaml"


@dataclass(slots=True)
class Drill:
    """The exercise daemon of live files. `running` starts it; a second time it goes on with the same journal."""

    loaded: Loaded = field(init=False)
    service: Service = field(init=False)

    def __init__(self, live: Path, folder: Path, broker: EmbeddedBroker, wall: Wall) -> None:
        """``live`` is their main file; journal and made-up secrets lie in ``folder``."""
        (folder / "secrets").mkdir()
        self.loaded = replace(
            load(live, wall=wall.url, drill=folder / "secrets"),
            broker=MqttSettings(url=broker.url, protocol=broker.protocol, node="drill"),
            journal=JournalSettings(path=folder / "journal.sqlite"), console=ConsoleSettings(port=0),
        )  # fmt: skip
        assert self.loaded.problems == ()
        wall.board.titles.update(wall_titles(self.loaded))

    @asynccontextmanager
    async def running(self) -> AsyncIterator[None]:
        """One life of the daemon, connected on entry and stopped in order on leaving."""
        async with build(self.loaded) as self.service:
            self.service.tokens.add(TOKEN, role="supervisor", person="anna")
            assert self.service.intake is not None
            await self.service.intake.until_connected()
            yield

    async def alert(self, incident: str) -> list[Delivery]:
        """An event comes over the broker and its alert goes out; its deliveries when none moves any more."""
        event = {
            "v": 1, "id": f"{incident}-1", "source": SOURCE, "incident": incident, "msg_type": "alert",
            "status": "exercise", "kind": "amok", "sent": datetime.now(UTC).isoformat(), "place": f"Schule {incident}",
            "area": {"regions": ["leer"]},
        }  # fmt: skip
        assert self.loaded.broker is not None
        said = json.dumps(event).encode()
        receipt = await publish(self.loaded.broker, Realm.EXERCISE, said, 30, Sending(source=SOURCE))
        assert receipt["state"] == "journaled"
        return await self.settled(incident)

    def profiles(self) -> dict[str, ChannelProfile]:
        """What each channel can do."""
        return {str(name): profile for name, profile in self.loaded.deployment.channels.items()}

    async def settled(self, incident: str) -> list[Delivery]:
        """Every delivery of an incident, waited for until nothing is on its way."""
        read = partial(queries.deliveries, incident=IncidentId(incident), limit=1_000)
        async with asyncio.timeout(60):
            while True:
                found = await self.service.journal.read(read)
                planned = await self._planned(incident)
                if len(found) == planned and not any(one.state in _WAITING for one in found):
                    return found
                await asyncio.sleep(0.05)

    async def _planned(self, incident: str) -> int:
        records = await self.service.journal.read(partial(queries.alert_records, incident=IncidentId(incident)))
        return sum(len(record.alert.plan) for record in records)

    async def ask(self, method: str, path: str, body: Any = None) -> Any:
        """What the console's interface answers, which is no refusal."""
        headers = {"Authorization": f"Bearer {TOKEN}"}
        async with (
            aiohttp.ClientSession(headers=headers) as session,
            session.request(method, f"{self.service.url}/api/v1/{path}", json=body) as response,
        ):
            assert response.status < 300, await response.text()
            return await response.json()


def states(found: Sequence[Delivery]) -> dict[str, str]:
    """State by channel."""
    return {one.channel: str(one.state) for one in found}
