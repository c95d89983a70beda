"""A control room for tests: a real console over a real journal and the real road; only the channels are fakes."""

from __future__ import annotations

import asyncio
import contextlib
import json
import random
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import Any

from aiohttp import ClientResponse
from aiohttp.test_utils import TestClient, TestServer

from dispatcher.accounts.book import Accounts
from dispatcher.accounts.opening import Opener
from dispatcher.channels.http import http_client
from dispatcher.clock import SystemClock
from dispatcher.console.app import Context, facts_to_hub, make_console
from dispatcher.console.auth import ConsoleSettings, Tickets, Tokens
from dispatcher.documents import read_yaml, validated
from dispatcher.feed import Feed
from dispatcher.journal.base import SqliteJournal, open_journal
from dispatcher.journal.batch import StepBatch
from dispatcher.launch import Launch
from dispatcher.links import AccountLinks, SignedLinks
from dispatcher.model.alert import Post
from dispatcher.model.cap import Realm, Region, RegionId
from dispatcher.model.channel import Audience, ChannelId, ChannelProfile, TextLimit, Unit
from dispatcher.model.delivery import Outcome
from dispatcher.model.deployment import Deployment, Sender
from dispatcher.model.people import Person, Roster
from dispatcher.model.playbook import Playbook
from dispatcher.permits import Fence, Permits
from dispatcher.pipeline import Pipeline
from dispatcher.readiness import Board
from dispatcher.recovery import Recovery
from dispatcher.setup import Setup
from dispatcher.testing import FakeChannel
from dispatcher.web import Hub
from dispatcher.worker import Worker

WEBSITE, MESSENGER, DUTY = ChannelId("website"), ChannelId("messenger"), ChannelId("duty-team")
PEOPLE = {
    "viewer-token": ("viewer", "Wache 1"), "operator-token": ("operator", "Leitstelle A"),
    "second-token": ("operator", "Leitstelle B"), "spare-token": ("operator", "Leitstelle A"),
    "supervisor-token": ("supervisor", "Dienstgruppenleitung"),
}  # fmt: skip
SOURCE_TOKEN = "source-token"
TOKENS = [*PEOPLE, SOURCE_TOKEN]


def playbook(name: str, release: str) -> Playbook:
    """A playbook of kind ``name`` with one named update."""
    text = {"de": {"headline": "Lage: {{ place }}", "long": "Meiden Sie {{ place }}.", "short": "Meiden."}}
    data = {
        "playbook": name, "title": name.title(), "same_within": "never", "match": {"kind": [name]}, "release": release, "languages": ["de"],
        "texts": dict.fromkeys(("alert", "update", "all_clear", "false_alarm"), text),
        "updates": {"hall": {"title": "Notunterkunft", "texts": text,
                             "facts": {"hall": {"type": "text", "sample": "Stadthalle", "required": True}}}},
    }  # fmt: skip
    return validated(read_yaml(json.dumps(data), f"{name}.yaml"), Playbook)


def deployment(realm: Realm = Realm.EXERCISE) -> Deployment:
    """Two regions, two public channels and a duty team; playbooks that need nobody, one person, two persons."""
    limit = TextLimit(Unit.CHARACTERS, 4_000)
    profiles = [
        ChannelProfile(id=WEBSITE, kind="webhook", title="Website", limit=limit, realm=realm),
        ChannelProfile(id=MESSENGER, kind="whatsapp_channel", title="Polizei Leer", limit=limit, realm=realm,
                       regions=frozenset({RegionId("leer")})),
        ChannelProfile(id=DUTY, kind="ntfy", title="Dienstgruppe", limit=limit, realm=realm, audience=Audience.STAFF),
    ]  # fmt: skip
    books = (playbook("fire", "automatic"), playbook("storm", "one_person"), playbook("bomb", "two_persons"))
    return Deployment(
        realm=realm, sender=Sender(name="Stadt Leer <Probe>"), playbooks=books,
        regions=(Region(RegionId("leer"), "Leer", "03457"), Region(RegionId("emden"), "Emden", "03402")),
        channels={profile.id: profile for profile in profiles},
        roster=Roster(people={person: Person(name=person) for person in ("anna", "ben", *(named for _, named in PEOPLE.values()))}),
    )  # fmt: skip


@dataclass
class Room:
    """A running control room; every request carries the token of whoever asks."""

    client: TestClient[Any, Any]
    context: Context
    journal: SqliteJournal
    channels: Mapping[ChannelId, FakeChannel]
    ready: dict[str, bool] = field(default_factory=lambda: {"journal": True, "broker": True})

    async def ask(
        self, method: str, path: str, *, as_: str | None = "operator-token", **options: Any
    ) -> ClientResponse:
        """Send a request, read the whole answer."""
        headers = {**({"Authorization": f"Bearer {as_}"} if as_ else {}), **options.pop("headers", {})}
        async with self.client.request(method, path, headers=headers, allow_redirects=False, **options) as response:
            await response.read()
            return response

    async def get(self, path: str, **options: Any) -> Any:
        """The JSON of a page that must be there."""
        response = await self.ask("GET", f"/api/v1/{path}", **options)
        assert response.status == 200, await response.text()
        return await response.json()

    async def post(self, path: str, body: Any = None, *, status: int = 200, **options: Any) -> Any:
        """The JSON of an answer that must have ``status``."""
        response = await self.ask("POST", f"/api/v1/{path}", json=body, **options)
        assert response.status == status, await response.text()
        return await response.json()

    async def trigger(self, name: str = "fire", *, status: int = 201, key: str = "", **body: Any) -> Any:
        """Let playbook ``name`` speak."""
        headers = {"Idempotency-Key": key} if key else {}
        wanted = {"place": "Bahnhof", "regions": ["leer"], **body}
        return await self.post(f"playbooks/{name}/trigger", wanted, status=status, headers=headers)

    async def until(self, path: str, holds: Callable[[Any], bool]) -> Any:
        """The JSON of ``path`` as soon as ``holds`` says yes; fails after five seconds."""
        async with asyncio.timeout(5):
            while not holds(found := await self.get(path)):
                await asyncio.sleep(0.01)
        return found

    async def deliveries(self, incident: str, state: str = "accepted", count: int = 2) -> list[dict[str, Any]]:
        """The deliveries of ``incident`` in ``state``, as soon as there are ``count``."""
        path = f"deliveries?incident={incident}&state={state}"
        found = await self.until(path, lambda data: len(data["deliveries"]) >= count)
        return found["deliveries"]


def event(**changes: Any) -> dict[str, Any]:
    """An incident event that is right."""
    return {
        "v": 1, "id": "e1", "incident": "i1", "status": "exercise", "kind": "fire", "place": "Bahnhof",
        "area": {"regions": ["leer"]}, "sent": datetime.now().astimezone().isoformat(), **changes,
    }  # fmt: skip


@contextlib.asynccontextmanager
async def control_room(
    path: Path, *, realm: Realm = Realm.EXERCISE, handler: Callable[[Post], Awaitable[Outcome]] | None = None,
    tokens_file: Path | None = None, tickets: Tickets | None = None, working: bool = True,
    where: Deployment | None = None,
) -> AsyncIterator[Room]:  # fmt: skip
    """A console that listens on loopback; ``handler`` answers for the messenger. Without ``working`` nothing leaves by itself."""
    clock, rng, hub, deployed = SystemClock(), random.Random(1), Hub(), where or deployment(realm)
    feed = Feed([facts_to_hub(hub)])
    channels = {WEBSITE: FakeChannel(), MESSENGER: FakeChannel(handler), DUTY: FakeChannel()}
    async with contextlib.AsyncExitStack() as stack:
        journal = await stack.enter_async_context(open_journal(path / "journal.sqlite", on_commit=feed.wake))
        fence, steps = Fence(), StepBatch(journal, clock)
        permits = Permits(stopped=fence.halts)
        setup = Setup(deployed, channels)
        worker = Worker(journal=journal, setup=setup, permits=permits, clock=clock)
        pipeline = Pipeline(
            journal=journal, setup=setup, permits=permits, fence=fence, clock=clock, rng=rng,
            launch=Launch(journal, permits, setup, worker), steps=steps,
        )  # fmt: skip
        steps.called = pipeline.launch.stand_in
        recovery = Recovery(journal, setup, steps, fence, clock, rng)
        for work in (feed.run(journal), *([worker.run(pipeline, recovery)] if working else [])):
            task = asyncio.create_task(work)
            stack.push_async_callback(cancelled, task)
        tokens = Tokens(tokens_file)
        for token, (role, person) in PEOPLE.items():
            tokens.add(token, role, person=person)
        tokens.add(SOURCE_TOKEN, "source", source="einsatzleit")
        ready = {"journal": True, "broker": True}
        http = await stack.enter_async_context(http_client())
        accounts = Accounts(
            journal=journal, setup=setup, fence=fence, opener=Opener({}, http), links=AccountLinks("key"), clock=clock
        )
        context = Context(
            pipeline=pipeline, journal=journal, setup=setup, hub=hub, tokens=tokens, clock=clock,
            board=Board(pipeline, http), settings=ConsoleSettings(), links=SignedLinks("key"), accounts=accounts, ready=lambda: ready, tickets=tickets or Tickets(),
        )  # fmt: skip
        client = await stack.enter_async_context(TestClient(TestServer(make_console(context))))
        stack.callback(hub.close)
        yield Room(client, context, journal, channels, ready)
        await worker.drain(1)


async def cancelled(task: asyncio.Task[None]) -> None:
    """Cancel ``task`` and wait for its end."""
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)
