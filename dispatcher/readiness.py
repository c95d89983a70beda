"""The board: every channel is asked, without posting, whether it could post; what is red is told, in time to be mended.

A probe has the lowest priority of all: it holds no permit, and leaves only where nothing is on its way to its origin and
nobody told us to hold back, so an alert never waits for one. Probes run side by side, a few at each origin; one that hangs
or breaks is that channel's condition and nobody else's affair.
"""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import partial

from dispatcher.channels.base import Channel, ChannelSettings
from dispatcher.channels.http import Outbound
from dispatcher.journal.readiness import conditions, keep_conditions
from dispatcher.model.channel import ChannelId, ChannelProfile
from dispatcher.model.command import Scope
from dispatcher.model.delivery import Outcome, Result
from dispatcher.model.errors import Conflict, JournalBusy, NotFound
from dispatcher.model.readiness import Condition, Readiness
from dispatcher.pipeline import Pipeline
from dispatcher.plan import readiness as plan
from dispatcher.plan.pages import Page
from dispatcher.probing import ask, prove
from dispatcher.telemetry import READY, logger

log = logger("readiness")

Canaries = Mapping[ChannelId, tuple[str, ChannelSettings]]

AT_ONCE, AT_AN_ORIGIN = 64, 4
TICK_SECONDS, TEND_SECONDS = 1.0, 5.0
SOON_SECONDS = 30.0  # within which a channel that is new to us is asked first
SURE_SECONDS = 60.0  # after which one that was found down for the first time is asked again
GATHER_SECONDS = 30.0  # for which a page waits for others of its kind: one provider carries many channels
_NEVER = float("inf")
_PROVEN = frozenset({Result.ACCEPTED, Result.VISIBLE})


@dataclass(slots=True)
class Board:
    """The condition of every channel; `run` keeps it. ``canaries`` tells the private targets of those that have one."""

    road: Pipeline
    http: Outbound
    canaries: Callable[[], Canaries] = dict
    _known: dict[ChannelId, Condition] = field(default_factory=dict)
    _asked: dict[ChannelId, Channel] = field(default_factory=dict)
    _due: dict[ChannelId, float] = field(default_factory=dict)
    _busy: Counter[str] = field(default_factory=Counter)  # probes by origin
    _tasks: set[asyncio.Task[None]] = field(default_factory=set)
    _unwritten: set[ChannelId] = field(default_factory=set)
    _gathering: float | None = None  # since when there is something to page
    _singing: asyncio.Lock = field(default_factory=asyncio.Lock)

    def conditions(self) -> list[Condition]:
        """Every configured channel, in the order of the files."""
        return [self._condition(name) for name in self._watched()]

    async def run(self) -> None:
        """Ask, keep and tell until cancelled."""
        self._known.update(await self.road.journal.read(conditions))
        try:
            async with asyncio.TaskGroup() as group:
                group.create_task(self._ask_all())
                group.create_task(self._tend())
                group.create_task(self._sing_weekly())
        finally:
            for task in self._tasks:
                task.cancel()

    async def _ask_all(self) -> None:
        while True:
            now, following = _time(), _NEVER
            for name, profile in self._watched().items():
                channel = self.road.setup.channels[name]
                if self._asked.get(name) is not channel:  # new, or connected anew by a reload
                    self._asked[name] = channel
                    self._due[name] = now + SOON_SECONDS * self.road.rng.uniform(0.1, 1.0)
                if self._due[name] <= now and self._may_ask(profile):
                    self._begin(profile, channel)
                following = min(following, self._due[name])
            await asyncio.sleep(min(max(following - now, TICK_SECONDS), TEND_SECONDS))

    def _watched(self) -> dict[ChannelId, ChannelProfile]:
        """All but officers' own accounts, whose providers we do not ask about private people day and night."""
        return {name: one for name, one in self.road.deployment.channels.items() if not one.group}

    def _may_ask(self, profile: ChannelProfile) -> bool:
        room = len(self._tasks) < AT_ONCE and self._busy[profile.origin] < AT_AN_ORIGIN
        return room and self.road.permits.spares(profile)

    def _begin(self, profile: ChannelProfile, channel: Channel) -> None:
        self._due[profile.id] = _NEVER
        self._busy[profile.origin] += 1
        task = asyncio.create_task(self._ask(profile, channel), name=f"probe {profile.id}")
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _ask(self, profile: ChannelProfile, channel: Channel) -> None:
        try:
            outcome = await ask(channel)
        finally:
            self._busy[profile.origin] -= 1
        if self._asked[profile.id] is channel:
            after = self._learn(profile, outcome)
            self._due[profile.id] = _time() + self._pause(profile, after, outcome)

    def _learn(self, profile: ChannelProfile, outcome: Outcome | None) -> Condition:
        before = self._condition(profile.id)
        after = plan.judge(before, outcome, profile, self.road.clock.now())
        self._known[profile.id] = after
        READY.labels(profile.id).set(after.state in (Readiness.READY, Readiness.DEGRADED))
        if (before.state, before.reason, before.valid_until) != (after.state, after.reason, after.valid_until):
            self._unwritten.add(profile.id)
            log.info("channel", channel=profile.id, state=after.state, reason=after.reason, detail=after.detail)
        return after

    def _pause(self, profile: ChannelProfile, after: Condition, outcome: Outcome | None) -> float:
        """Seconds until it is asked again; jittered downwards, so that no provider meets all of us at once."""
        pause = profile.probe_every.total_seconds() * self.road.rng.uniform(0.8, 1.0)
        if after.failures == 1:
            pause = min(pause, SURE_SECONDS)
        wait = outcome.retry_after if outcome else None
        return max(pause, wait.total_seconds()) if wait else pause

    def _condition(self, name: ChannelId) -> Condition:
        return self._known.get(name) or Condition(channel=name)

    async def _tend(self) -> None:
        """Write what has changed and page what has to be told; what a busy journal refuses is tried again."""
        while True:
            await asyncio.sleep(TEND_SECONDS)
            try:
                await self._keep()
                await self._tell()
            except JournalBusy as error:
                log.warning("board_waits", error=str(error))

    async def _keep(self, *changed: Condition) -> None:
        self._known.update({condition.channel: condition for condition in changed})
        self._unwritten |= {condition.channel for condition in changed}
        names, now = [*self._unwritten], self.road.clock.now()
        if names:
            kept = [self._known[name] for name in names]
            await self.road.journal.write(partial(keep_conditions, kept=kept, at=now))
            self._unwritten -= {one.channel for one in kept if self._known[one.channel] is one}

    async def _tell(self) -> None:
        now = self.road.clock.now()
        down = [one for one in self.conditions() if plan.calls(one, now)]
        soon = [one for one in self.conditions() if plan.announces(one, now)]
        if not self._gathered(anything=bool(down or soon)):
            return
        if down:
            await self._page(*plan.outage(down))
            await self._keep(*(replace(self._known[one.channel], told_at=now) for one in down))
        if soon:
            await self._page(*plan.endings(soon, now))
            await self._keep(*(replace(self._known[one.channel], announced=now.date()) for one in soon))

    def _gathered(self, *, anything: bool) -> bool:
        """Whether there is something to page, and has been for a while."""
        if not anything:
            self._gathering = None
            return False
        self._gathering = _time() if self._gathering is None else self._gathering
        over = _time() - self._gathering >= GATHER_SECONDS
        self._gathering = None if over else self._gathering
        return over

    async def _page(self, page: Page, key: str) -> None:
        await self.road.page(page, b"", key)

    async def _sing_weekly(self) -> None:
        while True:
            await asyncio.sleep(SOON_SECONDS)
            now = self.road.clock.now()
            due = [name for name in self.canaries() if plan.sings(self._condition(name), now)]
            try:
                await self.sing([name for name in due if self._may_sing(name)])
            except JournalBusy as error:
                log.warning("canaries_wait", error=str(error))

    def _may_sing(self, name: ChannelId) -> bool:
        profile = self.road.deployment.channels.get(name)
        return profile is not None and not self._stopped(name) and self.road.permits.spares(profile)

    def _stopped(self, name: ChannelId) -> bool:
        return self.road.fence.stands(Scope.ALL, "") or self.road.fence.stands(Scope.CHANNEL, name)

    async def sing(self, names: Iterable[ChannelId] | None = None) -> Sequence[Condition]:
        """Post to the private targets of these channels, or of all that have one, and read it back.

        What came of it stands on the board and in the log of facts; one that failed is paged. Raises `NotFound` where a
        channel has none, `Conflict` where a person has stopped it, and `JournalBusy`.
        """
        canaries = self.canaries()
        wanted = [*canaries] if names is None else [*names]
        for name in wanted:
            if name not in canaries:
                raise NotFound(f"channel {name} has no canary: its files name no private target")
            if self._stopped(name):
                raise Conflict(f"channel {name} is stopped: resume it, then try again")
        async with self._singing:
            return [await self._sing(name, *canaries[name]) for name in wanted]

    async def _sing(self, name: ChannelId, kind: str, settings: ChannelSettings) -> Condition:
        """That it is tried is on disk before it leaves: a daemon that dies of it does not try it at every start."""
        now = self.road.clock.now()
        await self._keep(replace(self._condition(name), tried_at=now, canary=""))
        outcome = await prove(kind, settings, self.http, plan.canary_post(name, self.road.deployment.realm, now))
        good = outcome.result in _PROVEN
        words = " ".join(filter(None, (outcome.result, outcome.reason, outcome.detail, outcome.url)))
        before = self._condition(name)
        after = replace(before, canary=words, proven_at=now if good else before.proven_at)
        await self._keep(after)
        if not good:
            await self._page(*plan.unproven(after))
        return after


def _time() -> float:
    return asyncio.get_running_loop().time()
