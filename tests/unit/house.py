"""A small police force for tests of the core: three regions, five channels, one playbook, and the road through them."""

from __future__ import annotations

import asyncio
import itertools
import json
import random
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from functools import partial
from pathlib import Path
from typing import Any

from sqlalchemy import Connection

from dispatcher.intake.base import Inbound, Receipt
from dispatcher.journal import queries
from dispatcher.journal.base import Journal, open_journal
from dispatcher.journal.batch import StepBatch
from dispatcher.journal.units import T
from dispatcher.journal.units import Unit as Work
from dispatcher.launch import Launch
from dispatcher.model.alert import Alert, Planned, Post, Purpose, Text, TextSet
from dispatcher.model.cap import Realm, Region, RegionId, Severity, Status
from dispatcher.model.channel import Audience, ChannelId, ChannelProfile, TextLimit, Unit
from dispatcher.model.command import Speak
from dispatcher.model.delivery import AlertId, Delivery, DeliveryState, IncidentId, Outcome, Reason, Result, Verb
from dispatcher.model.deployment import Deployment, Sender
from dispatcher.model.errors import JournalBusy
from dispatcher.model.incident import IncidentEvent, parse_event
from dispatcher.model.playbook import Playbook, PlaybookId
from dispatcher.model.source import person_of
from dispatcher.permits import Fence, Permits
from dispatcher.pipeline import Pipeline
from dispatcher.recovery import Recovery
from dispatcher.setup import Setup
from dispatcher.testing import FakeChannel, FakeClock
from dispatcher.worker import Worker

NOW = FakeClock().now()
TURNS = 50  # of the loop, most of what is waited for is done by then
REGIONS = (
    Region(RegionId("leer"), "Landkreis Leer", "03457"),
    Region(RegionId("emden"), "Stadt Emden", "03402"),
    Region(RegionId("aurich"), "Landkreis Aurich", "03452"),
)
TEMPORARY = Outcome(result=Result.TEMPORARY, reason=Reason.SERVER_ERROR, detail="503")
DOUBT = Outcome(result=Result.IN_DOUBT, reason=Reason.TIMEOUT, detail="no answer")
PERMANENT = Outcome(result=Result.PERMANENT, reason=Reason.REJECTED, detail="403")


def channel(name: str, *regions: str, **changes: Any) -> ChannelProfile:
    """A channel of its own kind, origin and credential, for ``regions`` or the whole territory."""
    usual: dict[str, Any] = {
        "id": ChannelId(name), "kind": name.partition("-")[0], "title": name, "origin": f"https://{name}.test",
        "credential": name, "limit": TextLimit(Unit.CHARACTERS, 2_000), "regions": frozenset(regions),
    }  # fmt: skip
    return ChannelProfile(**{**usual, **changes})


CHANNELS = (
    channel("whatsapp-leer", "leer"),
    channel("facebook-leer", "leer"),
    channel("facebook-emden", "emden"),
    channel("website"),
    channel("duty-team", audience=Audience.STAFF),
)
LEER = {"whatsapp-leer", "facebook-leer", "website"}


def _said(word: str) -> dict[str, dict[str, str]]:
    return {"de": {"headline": f"{word}: {{{{ place }}}}", "long": f"{word} lang.", "short": f"{word} kurz."}}


def playbook(name: str = "amok", **changes: Any) -> Playbook:
    """A playbook that speaks German, goes out by itself and matches events of its own name."""
    texts = {purpose: _said(purpose) for purpose in ("alert", "update", "all_clear", "false_alarm")}
    usual = {
        "playbook": name, "title": name.title(), "match": {"kind": [name]}, "severity": "extreme", "texts": texts,
        "release": "automatic", "languages": ["de"], "public_place": True, "same_within": "never",
    }  # fmt: skip
    return Playbook.model_validate({**usual, **changes})


def deployment(*playbooks: Playbook, channels: tuple[ChannelProfile, ...] = CHANNELS, **changes: Any) -> Deployment:
    """A live deployment of the three regions."""
    usual: dict[str, Any] = {
        "realm": Realm.LIVE, "sender": Sender(name="Polizei Ostfriesland"), "regions": REGIONS,
        "channels": {profile.id: profile for profile in channels}, "playbooks": playbooks or (playbook(),),
    }  # fmt: skip
    return Deployment(**{**usual, **changes})


def payload(**changes: Any) -> bytes:
    """An amok alert in Leer as bytes; a field changed to None is left out."""
    usual = {
        "v": 1, "id": "1", "incident": "i1", "msg_type": "alert", "status": "actual", "kind": "amok",
        "sent": NOW.isoformat(), "place": "Schule am Deich", "area": {"regions": ["leer"]},
    }  # fmt: skip
    return json.dumps({k: v for k, v in {**usual, **changes}.items() if v is not None}).encode()


def event(source: str = "control-room", **changes: Any) -> IncidentEvent:
    """The same as an event."""
    return parse_event(payload(**changes), source=source, received_at=NOW)


def text_set(word: str = "alert") -> TextSet:
    """Three different texts."""
    return TextSet(*(Text(word, f"{word} {form}", ("de",)) for form in ("first", "follow-up", "repetition")))


def alert(
    *channels: str, state: DeliveryState = DeliveryState.QUEUED, name: str = "a1", follows: bool = False, **changes: Any
) -> Alert:
    """An alert that says ``text_set()`` on ``channels``, each delivery beginning in ``state``."""
    texts = text_set()
    usual: dict[str, Any] = {
        "id": AlertId(name), "incident": IncidentId("i1"), "playbook": PlaybookId("amok"), "purpose": Purpose.ALERT,
        "status": Status.ACTUAL, "realm": Realm.LIVE, "severity": Severity.EXTREME, "created_at": NOW, "code": "KQX-42",
        "place": "Schule am Deich", "regions": (RegionId("leer"),), "texts": {texts.key: texts}, "revision": 1,
        "plan": tuple(Planned(ChannelId(c), texts.key, state, follows) for c in channels or ("website",)), "people": 0,
        "deliver_within": timedelta(minutes=20),
    }  # fmt: skip
    return Alert(**{**usual, **changes})


def delivery(state: DeliveryState = DeliveryState.SENDING, channel: str = "website", **changes: Any) -> Delivery:
    """A first delivery of that alert, released now and due within 20 minutes."""
    usual: dict[str, Any] = {
        "alert": AlertId("a1"), "channel": ChannelId(channel), "incident": IncidentId("i1"), "text": text_set().key,
        "rank": 2, "revision": 1, "attempts": 1, "released_at": NOW, "due_at": NOW,
        "deadline_at": NOW + timedelta(minutes=20),
    }  # fmt: skip
    return Delivery(**{**usual, "state": state, **changes})


def speak(purpose: Purpose = Purpose.FALSE_ALARM, key: str = "k1", **changes: Any) -> Speak:
    """Anna says something about the incident."""
    usual: dict[str, Any] = {"person": "anna", "incident": IncidentId("i1"), "purpose": purpose, "key": key}
    return Speak(**{**usual, **changes})


async def until(condition: Callable[[], bool], seconds: float = 30) -> None:
    """Wait for ``condition``; raises `TimeoutError` where it does not come."""
    async with asyncio.timeout(seconds):
        for turn in itertools.count():
            if condition():
                return
            await asyncio.sleep(0 if turn < TURNS else 0.001)


def always(outcome: Outcome) -> Callable[[Post], Awaitable[Outcome]]:
    """A channel's answer that never changes."""

    async def answer(_: Post) -> Outcome:
        return outcome

    return answer


def in_turn(*outcomes: Outcome) -> Callable[[Post], Awaitable[Outcome]]:
    """A channel's answers, one after the other, then acceptance."""
    left = list(outcomes)

    async def answer(_: Post) -> Outcome:
        return left.pop(0) if left else Outcome(result=Result.ACCEPTED, provider_id="post-1")

    return answer


def full(connection: Connection) -> None:
    """Let the disk be full from now on, for this journal's writing connection."""
    connection.exec_driver_sql("PRAGMA max_page_count = 1").close()


def roomy(connection: Connection) -> None:
    """Let there be room again."""
    connection.exec_driver_sql("PRAGMA max_page_count = 1000000").close()


def deadly(_: Connection) -> None:
    """What no thread survives."""
    raise SystemExit


class Sluice:
    """A journal whose writes can be held up; then they go through, or as many as it is told are refused as busy."""

    def __init__(self, journal: Journal) -> None:
        """Open, and refusing nothing."""
        self.journal, self.opened, self.waiting, self.refusals = journal, asyncio.Event(), 0, 0
        self.opened.set()

    def write(self, unit: Work[T]) -> asyncio.Future[T]:
        """Write ``unit`` when the sluice is open."""
        if self.opened.is_set() and not self.refusals:
            return self.journal.write(unit)
        return asyncio.ensure_future(self._held_up(unit))

    async def read(self, unit: Work[T]) -> T:
        """Reading is never held up."""
        return await self.journal.read(unit)

    def open(self, refusals: int = 0) -> None:
        """Let writes through again, after refusing the first of them."""
        self.refusals = refusals
        self.opened.set()

    async def _held_up(self, unit: Work[T]) -> T:
        self.waiting += 1
        await self.opened.wait()
        self.waiting -= 1
        if self.refusals:
            self.refusals -= 1
            raise JournalBusy("database is locked")
        return await self.journal.write(unit)


@dataclass
class Road:
    """A running daemon without its doors: what comes in is handed to it, what goes out lands in fakes."""

    deployment: Deployment
    journal: Sluice
    clock: FakeClock
    fakes: dict[ChannelId, FakeChannel]
    permits: Permits
    fence: Fence
    worker: Worker
    launch: Launch
    pipeline: Pipeline
    recovery: Recovery
    acknowledged: list[str] = field(default_factory=list)
    receipts: list[Receipt] = field(default_factory=list)

    async def receive(
        self, source: str = "control-room", *, raw: bytes | None = None, retained: bool = False,
        person: str | None = None, **changes: Any,
    ) -> Receipt:  # fmt: skip
        """Take in one event with ``changes``; the transport vouches for the source's person unless told otherwise."""
        data = payload(**changes) if raw is None else raw
        name = str(changes.get("id", "1"))
        inbound = Inbound(
            source=source, payload=data, received_at=self.clock.now(), retained=retained,
            person=(person_of(source) or "") if person is None else person,
            ack=lambda: self.acknowledged.append(name), reply=self.receipts.append,
        )  # fmt: skip
        return await self.pipeline.receive(inbound)

    async def quiet(self) -> None:
        """Wait until nothing is held by the worker."""
        await until(lambda: self.worker.open == 0)

    async def push_until_quiet(self, seconds: float = 30) -> None:
        """Let time run ahead, a second at a time, until nothing is held by the worker."""
        async with asyncio.timeout(seconds):
            while self.worker.open:
                self.push(timedelta(seconds=1))
                await asyncio.sleep(0.005)

    async def fill_disk(self) -> None:
        """No room for anything new from now on."""
        await self.journal.write(full)

    async def empty_disk(self) -> None:
        """Room again."""
        await self.journal.write(roomy)

    def replace_channel(self, name: str, fake: FakeChannel) -> FakeChannel:
        """Put another fake in a channel's place."""
        self.fakes[ChannelId(name)] = self.pipeline.setup.channels[ChannelId(name)] = fake
        return fake

    def push(self, span: timedelta) -> None:
        """Let time pass and the worker notice."""
        self.clock.push(span)
        self.worker.enqueue([])

    def said(self, name: str) -> list[tuple[Purpose, str]]:
        """What a channel was given: purpose and incident."""
        return [(post.purpose, post.incident) for post in self.fakes[ChannelId(name)].posts]

    async def deliveries(self, **filters: Any) -> list[Delivery]:
        """Deliveries of the incident, without pages and changes of earlier posts, in order of channel."""
        return [found for found in await self.all_deliveries(**filters) if found.verb is Verb.POST]

    async def edits(self, **filters: Any) -> list[Delivery]:
        """Changes of earlier posts of the incident, in order of channel."""
        return [found for found in await self.all_deliveries(**filters) if found.verb is not Verb.POST]

    async def all_deliveries(self, **filters: Any) -> list[Delivery]:
        """Every delivery of the incident, in order of channel."""
        wanted = {"incident": IncidentId("i1"), **filters}
        return sorted(await self.journal.read(partial(queries.deliveries, **wanted)), key=lambda d: (d.revision, d.id))

    async def states(self, **filters: Any) -> dict[str, str]:
        """State by channel."""
        return {found.channel: str(found.state) for found in await self.deliveries(**filters)}

    async def alerts(self, incident: str = "i1") -> list[queries.AlertRecord]:
        """Alerts of an incident without changes of earlier posts, oldest first."""
        found = await self.journal.read(partial(queries.alert_records, incident=IncidentId(incident)))
        said = (record for record in found if record.alert.purpose is not Purpose.RETRACTION)
        return sorted(said, key=lambda record: record.alert.revision)

    async def held(self, at: int = 0) -> tuple[AlertId, str]:
        """Id and digest of the incident's alert at this position, as somebody who releases it names them."""
        record = (await self.alerts())[at]
        return record.alert.id, record.digest

    async def pages(self) -> list[str]:
        """Causes of all pages."""
        records = await self.journal.read(partial(queries.alert_records, limit=1000))
        return sorted(record.alert.name for record in records if record.alert.purpose is Purpose.PAGE)

    async def kinds(self) -> list[str]:
        """Kinds of all facts, in order."""
        return [fact.kind for fact in await self.journal.read(partial(queries.facts_after, seq=0, limit=10_000))]


@asynccontextmanager
async def road(
    path: Path, where: Deployment | None = None, *, working: bool = True, clock: FakeClock | None = None,
    permits: Permits | None = None, inline: bool = True, **handlers: Callable[[Post], Awaitable[Outcome]],
) -> AsyncIterator[Road]:  # fmt: skip
    """The road over a journal in ``path``; ``handlers`` by channel, with ``_`` for ``-``. Ends like a crash.

    ``inline`` writes on this thread; without it, as the daemon does, on the writer's own.
    """
    where, clock, rng = where or deployment(), clock or FakeClock(), random.Random(7)
    permits = permits or Permits(monotonic=lambda: clock.now().timestamp())
    async with open_journal(path / "journal.sqlite", inline=inline) as opened:
        journal, fence = Sluice(opened), Fence()
        steps = StepBatch(journal, clock)
        fakes = {
            name: FakeChannel(handlers.get(name.replace("-", "_")))
            for name in (one.id for one in where.every_channel())
        }
        setup = Setup(where, fakes)
        worker = Worker(journal=journal, setup=setup, permits=permits, clock=clock)
        launch = Launch(journal, permits, setup, worker)
        steps.called = launch.stand_in
        pipeline = Pipeline(
            journal=journal, setup=setup, launch=launch, steps=steps, permits=permits, fence=fence, clock=clock,
            rng=rng,
        )  # fmt: skip
        recovery = Recovery(journal, setup, steps, fence, clock, rng)
        permits.stopped, permits.shared = fence.halts, setup.shares
        await pipeline.decisions.means.recall()
        await worker.resume(recovery.run())
        task = asyncio.create_task(worker.run(pipeline, recovery)) if working else None
        try:
            yield Road(where, journal, clock, fakes, permits, fence, worker, launch, pipeline, recovery)
        finally:
            if task is not None:
                task.cancel()
                await asyncio.gather(task, return_exceptions=True)
            await worker.drain(0)


def moment(minutes: float) -> datetime:
    """So many minutes after the beginning of every test."""
    return NOW + timedelta(minutes=minutes)
