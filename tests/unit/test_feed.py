"""The log of facts as it grows: everyone who listens is told everything once and in order."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from functools import partial
from pathlib import Path
from typing import Any

from house import NOW, deployment, payload, playbook, road, until

from dispatcher.feed import CHUNK, Feed, MqttStatus, Sink, summary
from dispatcher.intake.base import Inbound, Receipt
from dispatcher.intake.mqtt import MqttIntake, MqttSettings
from dispatcher.journal import queries, store
from dispatcher.journal.base import SqliteJournal, open_journal
from dispatcher.journal.queries import Fact
from dispatcher.model.cap import Realm
from dispatcher.model.delivery import IncidentId
from dispatcher.model.errors import JournalBusy
from dispatcher.testing import FakeClock


def _without_beginning(sink: Sink) -> Sink:
    """A sink that is not told what was written only to see the feed awake."""

    async def hear(facts: Sequence[Fact]) -> None:
        if told := [fact for fact in facts if fact.kind != "before"]:
            await sink(told)

    return hear


@asynccontextmanager
async def feeding(path: Path, *sinks: Sink) -> AsyncIterator[SqliteJournal]:
    """A journal whose facts are fed to the sinks, from the first one on that the feed is awake for."""
    begun = asyncio.Event()

    async def notice(_: Sequence[Fact]) -> None:
        begun.set()

    feed = Feed([notice])
    async with open_journal(path / "journal.sqlite", inline=True, on_commit=feed.wake) as journal:
        task = asyncio.create_task(feed.run(journal))
        while not begun.is_set():
            await journal.write(lambda c: store.add_fact(c, NOW, "before", "ref"))
            await asyncio.sleep(0.005)
        for sink in sinks:
            feed.add(_without_beginning(sink))
        yield journal
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)


async def test_facts_come_in_order_and_once(tmp_path: Path) -> None:
    """Every fact after the start comes to every sink exactly once and in order; what was before does not."""
    heard: dict[str, list[int]] = {"a": [], "b": []}

    def sink(name: str) -> Sink:
        async def hear(facts: Sequence[Fact]) -> None:
            heard[name] += [fact.seq for fact in facts]

        return hear

    async with feeding(tmp_path, sink("a"), sink("b")) as journal:
        for number in range(20):
            await journal.write(lambda c, n=number: store.add_facts(c, NOW, [(f"k{n}", "r", {})] * 3))
        await until(lambda: len(heard["b"]) == 60)
        facts = await journal.read(partial(queries.facts_after, seq=0))
    assert heard["a"] == heard["b"] == [fact.seq for fact in facts if fact.kind != "before"]


async def test_much_at_once_comes_in_chunks(tmp_path: Path) -> None:
    """However many facts one commit brings, a sink gets them in pieces it can hold."""
    sizes: list[int] = []

    async def hear(facts: Sequence[Fact]) -> None:
        sizes.append(len(facts))

    async with feeding(tmp_path, hear) as journal:
        await journal.write(lambda c: store.add_facts(c, NOW, [("k", "r", {})] * (2 * CHUNK + 7)))
        await until(lambda: sum(sizes) == 2 * CHUNK + 7)
    assert max(sizes) == CHUNK


async def test_nothing_is_lost_while_a_sink_is_busy(tmp_path: Path) -> None:
    """What is committed while a sink still works on earlier facts comes right after."""
    gate, heard = asyncio.Event(), list[str]()

    async def slow(facts: Sequence[Fact]) -> None:
        heard.extend(fact.kind for fact in facts)
        await gate.wait()

    async with feeding(tmp_path, slow) as journal:
        await journal.write(lambda c: store.add_fact(c, NOW, "first", "r"))
        await until(lambda: heard == ["first"])
        await journal.write(lambda c: store.add_fact(c, NOW, "second", "r"))
        await asyncio.sleep(0.02)
        assert heard == ["first"]
        gate.set()
        await until(lambda: heard == ["first", "second"])


class Busy:
    """A journal that is busy the first times it is asked what follows."""

    def __init__(self, journal: SqliteJournal, times: int) -> None:
        """``times`` refusals."""
        self.journal, self.times = journal, times

    async def read(self, unit: Any) -> Any:
        """Refuse, then ask the real one."""
        if "limit" in getattr(unit, "keywords", {}) and self.times:
            self.times -= 1
            raise JournalBusy("database is locked")
        return await self.journal.read(unit)


async def test_a_busy_journal_ends_nothing(tmp_path: Path) -> None:
    """Where the log cannot be read for a moment, it is read a moment later, each fact once."""
    heard: list[str] = []

    async def hear(facts: Sequence[Fact]) -> None:
        heard.extend(fact.kind for fact in facts)

    feed = Feed([hear])
    async with open_journal(tmp_path / "journal.sqlite", inline=True, on_commit=feed.wake) as journal:
        busy = Busy(journal, 2)
        task = asyncio.create_task(feed.run(busy, after=0))  # type: ignore[arg-type]
        await journal.write(lambda c: store.add_fact(c, NOW, "first", "r"))
        await until(lambda: heard == ["first"] or task.done())
        assert (heard, busy.times) == (["first"], 0)
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)


async def ignore(inbound: Inbound) -> Receipt:
    """A road that nobody walks on."""
    raise AssertionError(inbound)


async def published(path: Path, *, incident: str) -> list[tuple[str, dict[str, object], int, bool]]:
    """What the broker would be told of one alert, by topic, from its journal's facts: data, QoS, retained."""
    async with road(path) as found:
        await found.receive(raw=payload(incident=incident))
        await found.quiet()
        intake = MqttIntake(MqttSettings(url="mqtt://127.0.0.1"), Realm.LIVE, ignore, FakeClock())
        status = MqttStatus(intake, found.journal)
        telling = asyncio.create_task(status.run())
        for fact in await found.journal.read(partial(queries.facts_after, seq=0)):
            await status([fact])
            for _ in range(3):  # behind what it may be reading
                await found.journal.read(queries.last_seq)
        await until(lambda: any("/incidents/" in out.topic for out in intake._out))
        telling.cancel()
        return [(out.topic, json.loads(out.payload), out.qos, out.retain) for out in intake._out]


async def test_the_broker_hears_of_every_delivery_once(tmp_path: Path) -> None:
    """However often a delivery changes in a fan-out, the broker is told its last state, not retained."""
    told = [one for one in await published(tmp_path, incident="i1") if "/deliveries/" in one[0]]
    assert len({topic for topic, *_ in told}) == len(told) == 3
    assert {(data["state"], qos, retain) for _, data, qos, retain in told} == {("accepted", 0, False)}
    assert all(topic == f"dispatcher/live/deliveries/{data['delivery']}" for topic, data, *_ in told)


async def test_the_broker_keeps_a_summary_of_the_incident(tmp_path: Path) -> None:
    """For each incident one retained summary is published, under a name that is one level of a topic."""
    (told,) = [one for one in await published(tmp_path, incident="a/b+c#") if "/incidents/" in one[0]]
    topic, data, qos, retain = told
    assert (topic, qos, retain) == ("dispatcher/live/incidents/a_b_c_", 1, True)
    assert (data["id"], data["open"], data["place"], data["regions"]) == ("a/b+c#", True, "Schule am Deich", ["leer"])


async def test_a_summary_tells_no_facts(tmp_path: Path) -> None:
    """What everyone on the broker may read holds no facts of the incident, which may name people."""
    book = playbook(facts={"suspect": {"sample": "n. n."}})
    async with road(tmp_path, deployment(book)) as found:
        await found.receive(facts={"suspect": "somebody"})
        await found.quiet()
        row = await found.journal.read(partial(queries.incident, wanted=IncidentId("i1")))
        assert row is not None
        assert "somebody" in str(row)
        assert "somebody" not in json.dumps(summary(row))
