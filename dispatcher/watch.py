"""Listens whether sources still speak: silence, numbers missing from a sequence, and trouble that lasts, are paged."""

from __future__ import annotations

import asyncio
import time
from collections import defaultdict
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from datetime import timedelta
from functools import partial

from dispatcher.clock import Clock, SystemClock
from dispatcher.journal import standing
from dispatcher.journal.base import Journal
from dispatcher.launch import Outgoing
from dispatcher.model.delivery import AlertId, Delivery
from dispatcher.model.errors import JournalBusy
from dispatcher.model.incident import IncidentEvent
from dispatcher.pipeline import Pipeline
from dispatcher.plan.pages import Cause, Page
from dispatcher.telemetry import logger

log = logger("watch")

LATE_SECONDS = 2.0  # a number that comes so much later was not missing
MOST_MISSING = 100
MOST_NAMED = 10  # channels on one page
TICK_SECONDS = 1.0
JUMP = timedelta(seconds=1)  # by so much a clock was set and did not just drift


async def keep_time(clock: Clock, waits: Callable[[], bool]) -> None:
    """Follow the machine's clock wherever it is set to, but not while anything ``waits`` for its time; until cancelled.

    What waits for a person may wait for days: it waits by whatever clock there is.
    """
    while isinstance(clock, SystemClock):  # any other was handed in and is left alone
        await asyncio.sleep(TICK_SECONDS)
        if waits():
            continue
        jump = clock.settle()
        if abs(jump) > JUMP:
            log.warning("clock_was_set", seconds=round(jump.total_seconds(), 1))


@dataclass(slots=True)
class Trouble:
    """Something that may be wrong for a while: ``words`` say what, empty where all is well.

    What lasts ``grace`` seconds is paged, once until all is well, and again in other words where they are ``news``; less is
    nothing to wake somebody for.
    """

    cause: Cause
    words: Callable[[], str]
    grace: float = 0.0
    news: bool = True
    since: float | None = None
    told: set[str] = field(default_factory=set)


@dataclass(slots=True)
class Watch:
    """Hears of every event and heartbeat; a silence is paged once, until the source is heard again."""

    road: Pipeline
    journal: Journal
    monotonic: Callable[[], float] = time.monotonic
    troubles: list[Trouble] = field(default_factory=list)
    stuck: Callable[[], Sequence[Outgoing]] = tuple  # urgent, and not out though it should be
    _heard: dict[str, float] = field(default_factory=dict)
    _silent: set[str] = field(default_factory=set)
    _latest: dict[str, int] = field(default_factory=dict)
    _missing: dict[str, dict[int, float]] = field(default_factory=dict)
    _pages: int = 0
    _stuck: set[AlertId] = field(default_factory=set)  # those that staff were told of

    def alive(self, source: str) -> None:
        """A sign of life."""
        self._heard[source] = self.monotonic()
        self._silent.discard(source)

    def event(self, event: IncidentEvent) -> None:
        """An event, in the order of arrival: a sign of life, and the next number of a sequence where it has one."""
        self.alive(event.source)
        source = self.road.deployment.sources.get(event.source)
        if source is None or not source.sequence or event.sequence is None:
            return
        number, missing = event.sequence, self._missing.setdefault(event.source, {})
        latest = self._latest.get(event.source, number - 1)
        if number <= 1 or number < latest - MOST_MISSING:  # nothing is late by so much: the source counts anew
            missing.clear()
            latest = self._latest[event.source] = number - 1
        missing.pop(number, None)
        for gone in range(latest + 1, min(number, latest + 1 + MOST_MISSING)):
            missing[gone] = self.monotonic()
        self._latest[event.source] = max(latest, number)

    async def recall(self) -> None:
        """After a start: how far each sequence was whole."""
        self._latest.update(await self.journal.read(standing.sequences))

    async def run(self) -> None:
        """Look each second, until cancelled; what was heard last before a restart counts."""
        await self.recall()
        for name in self.road.deployment.sources:
            self._heard.setdefault(name, self.monotonic())
        noted: dict[str, int] = {}
        while True:
            await asyncio.sleep(TICK_SECONDS)
            try:
                await self.look()
                for source in self._latest:
                    whole = self._whole(source)
                    if noted.get(source) != whole:
                        await self.journal.write(partial(standing.note_sequence, source=source, latest=whole))
                        noted[source] = whole
            except JournalBusy as error:
                log.warning("watch_waits", error=str(error))

    def _whole(self, source: str) -> int:
        """Up to where nothing of a sequence is missing that was not told of: the next start misses what comes after."""
        return min(self._missing.get(source, ()), default=self._latest[source] + 1) - 1

    async def look(self) -> None:
        """Page every silence, every gap and every trouble that has lasted."""
        now = self.monotonic()
        for trouble in self.troubles:
            await self._look_at(trouble, now)
        await self._look_for_stuck()
        for name, source in self.road.deployment.sources.items():
            if source is None or source.heartbeat is None or name in self._silent:
                continue
            silent = now - self._heard.setdefault(name, now)
            if silent > source.heartbeat.total_seconds():
                await self._page(Cause.SILENT, f"{name}: nothing heard for {silent:.0f} s")
                self._silent.add(name)
        for name, missing in self._missing.items():
            gone = sorted(number for number, since in missing.items() if now - since > LATE_SECONDS)
            if gone:
                await self._page(Cause.GAP, f"{name}: {len(gone)} missing, {gone[0]} to {gone[-1]}")
            for number in gone:
                del missing[number]

    async def _look_at(self, trouble: Trouble, now: float) -> None:
        words = trouble.words()
        if not words:
            trouble.since = None
            trouble.told.clear()
        elif trouble.since is None:
            trouble.since = now
        elif now - trouble.since > trouble.grace and words not in trouble.told and (trouble.news or not trouble.told):
            await self._page(trouble.cause, words)
            trouble.told.add(words)

    async def _look_for_stuck(self) -> None:
        """Each alert is told once, with the channels that it is not out on by then; how it ended there is told as well."""
        found: dict[AlertId, list[Outgoing]] = defaultdict(list)
        for one in self.stuck():
            found[one.alert.id].append(one)
        self._stuck &= found.keys()
        for alert, where in found.items():
            if alert not in self._stuck:
                await self.road.page(_stuck_page(where), b"", f"stuck/{alert}")
                self._stuck.add(alert)

    async def _page(self, cause: Cause, line: str) -> None:
        self._pages += 1
        key = f"{cause}/{line}/{self.road.clock.now().isoformat()}/{self._pages}"
        await self.road.page(Page(cause, (line,)), b"", key)


def _stuck_page(where: Sequence[Outgoing]) -> Page:
    alert, more = where[0].alert, len(where) - MOST_NAMED
    about = f"incident {alert.incident}, {alert.purpose} {alert.code}, {alert.place}"
    named = (_tried(one.delivery) for one in where[:MOST_NAMED])
    rest = (f"and {more} more channels",) if more > 0 else ()
    return Page(Cause.STUCK, (about, *named, *rest), regions=alert.regions)


def _tried(delivery: Delivery) -> str:
    reason = f", {delivery.reason}" if delivery.reason else ""
    return f"{delivery.channel}: {delivery.attempts} attempts{reason}"
