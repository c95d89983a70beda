"""The log of facts, as it grows: pages, the broker and whoever else wants to see are told from here and nowhere else."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Awaitable, Callable, Sequence
from functools import partial
from typing import Any

from dispatcher.intake.mqtt import MqttIntake
from dispatcher.journal import queries
from dispatcher.journal.base import BUSY_PAUSE, Journal
from dispatcher.journal.queries import Fact
from dispatcher.model.delivery import IncidentId
from dispatcher.model.errors import JournalBusy
from dispatcher.telemetry import logger

Sink = Callable[[Sequence[Fact]], Awaitable[None]]

log = logger("feed")

CHUNK = 500
BREATH = 0.02  # seconds in which commits that belong together come together, and first bytes leave before they are read
QUIET_SECONDS = 0.1  # in which nothing new came: the fan-out is over
_NO_LEVEL = str.maketrans(dict.fromkeys("/#+\0", "_"))
LONGEST_SECONDS = 1.0  # that the broker is not told of one that goes on and on


class Feed:
    """Reads the log after each commit and hands new facts, in order, to its sinks."""

    def __init__(self, sinks: Sequence[Sink]) -> None:
        """A sink is awaited before the next facts are read."""
        self._sinks = [*sinks]
        self._wake = asyncio.Event()

    def add(self, sink: Sink) -> None:
        """Tell ``sink`` as well, from now on."""
        self._sinks.append(sink)

    def wake(self) -> None:
        """Something was committed."""
        self._wake.set()

    async def run(self, journal: Journal, after: int | None = None) -> None:
        """Hand on what came ``after`` that fact, or what is new from now on, until cancelled."""
        seq = await journal.read(queries.last_seq) if after is None else after
        while True:
            await self._wake.wait()
            await asyncio.sleep(BREATH)
            self._wake.clear()
            while facts := await _following(journal, seq):
                seq = facts[-1].seq
                for sink in self._sinks:
                    await sink(facts)
                if len(facts) < CHUNK:  # that was all; whatever is committed from now on wakes
                    break


async def _following(journal: Journal, seq: int) -> Sequence[Fact]:
    """Facts after ``seq``, as many as a sink takes at once, as soon as the journal answers."""
    while True:
        try:
            return await journal.read(partial(queries.facts_after, seq=seq, limit=CHUNK))
        except JournalBusy as error:
            log.warning("feed_waits", error=str(error))
            await asyncio.sleep(BUSY_PAUSE)


class MqttStatus:
    """Publishes deliveries as they change and a retained summary of each incident that they belong to.

    It waits until a fan-out is over, so that telling of it does not slow it down, and tells what came of it only.
    """

    def __init__(self, intake: MqttIntake, journal: Journal) -> None:
        """``intake`` owns the connection."""
        self._intake, self._journal = intake, journal
        self._latest: dict[str, Fact] = {}
        self._incidents: dict[str, None] = {}
        self._wake = asyncio.Event()

    async def __call__(self, facts: Sequence[Fact]) -> None:
        """Note what is to be told: the latest of each delivery, and each incident once."""
        self._latest.update((fact.ref, fact) for fact in facts if fact.kind.startswith("delivery."))
        changed = [fact.ref for fact in facts if fact.kind.startswith("incident.")]
        changed += [str(fact.body["incident"]) for fact in facts if fact.body.get("incident")]
        self._incidents.update(dict.fromkeys(changed))
        self._wake.set()

    async def run(self) -> None:
        """Tell it, until cancelled."""
        while True:
            await self._wake.wait()
            await self._until_quiet()
            latest, self._latest = self._latest, {}
            incidents, self._incidents = self._incidents, {}
            for ref, fact in latest.items():
                state = fact.kind.removeprefix("delivery.")
                data = {"delivery": ref, "state": state, "at": fact.at.isoformat(), **fact.body}
                self._intake.publish(self._intake.topic_out("deliveries", _level(ref)), data)
            for incident in incidents:
                await self._summarise(IncidentId(incident))

    async def _until_quiet(self) -> None:
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(LONGEST_SECONDS):
                while self._wake.is_set():
                    self._wake.clear()
                    await asyncio.sleep(QUIET_SECONDS)
        self._wake.clear()

    async def _summarise(self, incident: IncidentId) -> None:
        row = await self._journal.read(partial(queries.incident, wanted=incident))
        if row is not None:
            topic = self._intake.topic_out("incidents", _level(incident))
            self._intake.publish(topic, summary(row), qos=1, retain=True)


def summary(row: dict[str, Any]) -> dict[str, Any]:
    """What anyone on the broker may know of an incident."""
    names = ("id", "revision", "open", "kind", "place", "regions", "playbook", "severity")
    times = {name: row[name].isoformat() for name in ("opened_at", "updated_at")}
    return {name: row[name] for name in names} | times


def _level(text: str) -> str:
    """``text`` as one level of a topic."""
    return text.translate(_NO_LEVEL)
