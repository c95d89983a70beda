"""Carries deliveries out: what holds its permits starts at once, the rest by priority as permits come.

Each delivery is a task of its own, strongly held; none waits for another. One loop moves what is due to what is ready
and journals its attempts in batches; a delivery that is to be tried again comes back with its due time. So many start
in one turn of the event loop that first bytes leave while others still wait for their turn, and nothing else stands still.
"""

from __future__ import annotations

import asyncio
import contextlib
import heapq
import itertools
from collections import Counter, defaultdict
from collections.abc import AsyncIterator, Sequence
from datetime import datetime, timedelta
from functools import partial

from dispatcher.clock import Clock
from dispatcher.journal import steps
from dispatcher.journal.base import BUSY_PAUSE, Journal
from dispatcher.launch import Outgoing
from dispatcher.model.alert import Purpose
from dispatcher.model.channel import ChannelId, ChannelProfile
from dispatcher.model.delivery import Delivery, DeliveryState, Lane, Verb
from dispatcher.model.errors import JournalBusy
from dispatcher.permits import CROWD, Grant, Permits
from dispatcher.pipeline import Pipeline
from dispatcher.recovery import Recovery
from dispatcher.setup import Setup
from dispatcher.telemetry import OPEN, logger

log = logger("worker")

SWEEP_SECONDS = 1.0
SURVEYED = 2_000  # in one turn of the event loop
STUCK = timedelta(seconds=30)  # in which quick retries had their time
STUCK_RANK = 3  # ends, and what is extreme or severe
STARTS = 256  # in one turn of the event loop: some 30 ms, in which nothing else goes on
CLAIMS = 256  # attempts that are journaled together: who is first does not wait for the commit of the last
_Ready = tuple[int, bool, int, Outgoing]  # rank, whether a retry, order of arrival
_Doors = dict[ChannelId, list[_Ready]]


class Worker:
    """Holds what is ours to send. The journal is the truth: what is not queued there any more does not start."""

    def __init__(self, *, journal: Journal, setup: Setup, permits: Permits, clock: Clock) -> None:
        """`run` needs the road as well; it is handed in there, for the road leads here."""
        self._journal, self._setup, self._permits, self._clock = journal, setup, permits, clock
        self._later: list[tuple[datetime, int, Outgoing]] = []
        self._ready: dict[str, _Doors] = defaultdict(dict)  # by origin
        self._parked: dict[Lane, list[Outgoing]] = defaultdict(list)
        self._under_way: dict[asyncio.Task[None], Outgoing] = {}
        self._starting: list[_Ready] = []  # journaled as sending, about to begin
        self._lost: list[Outgoing] = []  # their task died; they are settled as doubts
        self._late: list[Outgoing] = []  # their time is over; they are being ended
        self._refused: list[Outgoing] = []  # their credential has to wait beyond their deadlines; they fail now
        self._order = itertools.count()
        self._wake = asyncio.Event()
        self._claiming: list[Outgoing] = []  # attempts being journaled, which start right after
        self._claimed = asyncio.Event()  # set while there are none
        self._claimed.set()
        self._began = clock.now()
        self._swept_at: datetime | None = None
        self._nap = SWEEP_SECONDS  # until something that was refused may be granted
        self._road: Pipeline | None = None
        self.stuck: Sequence[Outgoing] = ()  # urgent, and not out though it should be; as of the last sweep

    @property
    def open(self) -> int:
        """Deliveries held here: under way, about to start, ready, parked, waiting for their time, or being ended."""
        ready = sum(len(heap) for doors in self._ready.values() for heap in doors.values())
        parked = sum(len(parked) for parked in self._parked.values())
        ending = len(self._lost) + len(self._late) + len(self._refused)
        leaving = len(self._claiming) + len(self._starting) + len(self._under_way)
        return len(self._later) + ready + parked + leaving + ending

    def start(self, outgoing: Sequence[Outgoing]) -> None:
        """Carry out what is journaled as sending and holds its permits: each in its own task, now or in the next turns."""
        idle = not self._starting
        for one in outgoing:
            heapq.heappush(self._starting, self._ranked(one))
        if idle and self._road is not None:
            self._start_some(self._road)

    def _start_some(self, road: Pipeline) -> None:
        """As many as one turn of the loop may take, best rank first; the rest in the turns after it."""
        for _ in range(min(STARTS, len(self._starting))):
            one = heapq.heappop(self._starting)[-1]
            task = asyncio.create_task(self._carry(road, one))
            self._under_way[task] = one
            task.add_done_callback(self._done)
        if self._starting:
            asyncio.get_running_loop().call_soon(self._start_some, road)

    def _ranked(self, one: Outgoing) -> _Ready:
        tries = one.delivery.attempts - (one.delivery.state is DeliveryState.SENDING)  # before this one
        return one.delivery.rank, tries > 0, next(self._order), one

    def enqueue(self, outgoing: Sequence[Outgoing]) -> None:
        """Take what is queued; it starts when it is due and gets its permits."""
        for one in outgoing:
            heapq.heappush(self._later, (one.delivery.due_at or self._clock.now(), next(self._order), one))
        self._wake.set()

    async def resume(self, pages: AsyncIterator[Sequence[Outgoing]]) -> None:
        """Take what was queued before the start, page by page."""
        async for page in pages:
            self.enqueue(page)

    async def run(self, road: Pipeline, recovery: Recovery) -> None:
        """Move what is due until cancelled."""
        self._road = road
        self._start_some(road)
        while True:
            self._wake.clear()
            if self._lost:
                lost = [*self._lost]
                self.enqueue(await recovery.take_up(lost))
                del self._lost[: len(lost)]
            await self._expire_late(recovery)
            await self._journal_starts(self._permitted())
            if self._refused:
                await recovery.refuse(self._refused)
                self._refused = []
            OPEN.set(self.open)
            await self._sleep()

    async def drain(self, seconds: float) -> None:
        """Start nothing more and give what is under way ``seconds`` to end; the rest is the next start's doubt."""
        self._permits.close()
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(seconds):
                await self._claimed.wait()
                while self._starting or self._under_way:
                    await (asyncio.wait(set(self._under_way)) if self._under_way else asyncio.sleep(0))
        self._starting.clear()
        cut_off = list(self._under_way)
        for task in cut_off:
            task.cancel()
        await asyncio.gather(*cut_off, return_exceptions=True)
        log.info("drained", cut_off=len(cut_off))

    async def _carry(self, road: Pipeline, outgoing: Outgoing) -> None:
        again: Outgoing | None = None
        try:
            again = await road.deliver(outgoing)
        finally:
            delivery = outgoing.delivery
            self._permits.give_back(delivery)
            self.enqueue(self._next(delivery.lane, again))

    def _next(self, lane: Lane, again: Outgoing | None) -> list[Outgoing]:
        """What is to be tried again goes before what waits behind it: no text leaves after a newer one of its lane.

        Changes of earlier posts are no texts: they let others pass.
        """
        if again is not None and again.delivery.verb is Verb.POST:
            return [again]
        return [*self._parked.pop(lane, []), *([again] if again is not None else [])]

    def _done(self, task: asyncio.Task[None]) -> None:
        """A task that ended by itself leaves nothing; one that broke, or that anybody but `drain` cancelled, a doubt."""
        outgoing = self._under_way.pop(task)
        if task.cancelled() and self._permits.closed:
            return
        error = asyncio.CancelledError() if task.cancelled() else task.exception()
        if error is not None:
            log.error("delivery_lost_its_task", delivery=outgoing.delivery.id, error=repr(error))
            self._lost.append(outgoing)
            self._wake.set()

    def _permitted(self) -> list[Outgoing]:
        """What is due and got its permits just now, best rank first, first attempts before retries."""
        now = self._clock.now()
        for origin in self._permits.healed():
            self._hurry(origin, now)
        while self._later and self._later[0][0] <= now:
            self._make_ready(heapq.heappop(self._later)[-1])
        self._nap = SWEEP_SECONDS
        taken = self._take(now)
        self._tidy()
        return taken

    def _make_ready(self, one: Outgoing) -> None:
        heap = self._ready[self._profile(one).origin].setdefault(one.delivery.channel, [])
        heapq.heappush(heap, self._ranked(one))

    def _hurry(self, origin: str, now: datetime) -> None:
        """It answers again: what was to be tried there later is tried now."""
        waits = {id(entry[-1]) for entry in self._later if self._profile(entry[-1]).origin == origin}
        self._later = [(now, *entry[1:]) if id(entry[-1]) in waits else entry for entry in self._later]
        heapq.heapify(self._later)

    def _take(self, now: datetime) -> list[Outgoing]:
        """What may leave: the best of all channels' firsts, until their origins are closed to them."""
        firsts = [
            (heap[0], origin, channel) for origin, doors in self._ready.items() for channel, heap in doors.items()
        ]
        heapq.heapify(firsts)
        taken, aside, closed = [], [], set()
        while firsts:
            entry, origin, channel = heapq.heappop(firsts)
            if origin in closed:
                continue
            grant = self._grant(entry[-1], now)
            if grant in (Grant.ORIGIN, Grant.DOWN):
                closed.add(origin)
            if grant in (Grant.ORIGIN, Grant.DOWN, Grant.CHANNEL, Grant.RATE):
                continue
            heap = self._ready[origin][channel]
            heapq.heappop(heap)
            if grant is Grant.YES:
                taken.append(entry[-1])
            elif grant is Grant.LANE:
                self._parked[entry[-1].delivery.lane].append(entry[-1])
            elif grant is Grant.CREDENTIAL:
                self._await_credential(entry[-1], now)
            else:
                aside.append((heap, entry))
            if heap:
                heapq.heappush(firsts, (heap[0], origin, channel))
        for heap, entry in aside:
            heapq.heappush(heap, entry)
        return taken

    def _tidy(self) -> None:
        """Forget channels and origins that nothing waits for any more."""
        for origin, doors in list(self._ready.items()):
            for channel in [channel for channel, heap in doors.items() if not heap]:
                del doors[channel]
            if not doors:
                del self._ready[origin]

    def _grant(self, one: Outgoing, now: datetime) -> Grant:
        """What the permits say, and when to ask again where that is known."""
        delivery, profile = one.delivery, self._profile(one)
        if delivery.deadline_at is not None and delivery.deadline_at <= now:
            return Grant.STOPPED  # the sweep ends it
        grant = self._permits.take(delivery, profile)
        if grant is Grant.RATE:
            self._nap = min(self._nap, self._permits.rate_in(profile, delivery.rank))
        elif grant is Grant.DOWN:
            self._nap = min(self._nap, self._permits.probe_in(profile))
        return grant

    def _profile(self, one: Outgoing) -> ChannelProfile:
        return self._setup.profiles[one.delivery.channel]

    def _await_credential(self, one: Outgoing, now: datetime) -> None:
        """Until the provider's time is over; where that is too late, there is no use in waiting, and others may stand by."""
        due = now + timedelta(seconds=self._permits.waits_for(self._profile(one)))
        if one.delivery.deadline_at is not None and due >= one.delivery.deadline_at:
            self._refused.append(one)
        else:
            self._put_off(one, due)

    def _put_off(self, one: Outgoing, due: datetime) -> None:
        heapq.heappush(self._later, (due, next(self._order), one))

    async def _journal_starts(self, starting: list[Outgoing]) -> None:
        """Attempts are on disk before they leave, the best first; what cannot be written now is queued again."""
        self._claiming = starting
        try:
            while self._claiming and not self._permits.closed:
                await self._claim(self._claiming[:CLAIMS])
                del self._claiming[:CLAIMS]
        except JournalBusy as error:
            log.warning("starts_wait", error=str(error), waiting=len(self._claiming))
            self._put_back()
            await asyncio.sleep(BUSY_PAUSE)
        if self._claiming:
            self._put_back()

    def _put_back(self) -> None:
        rest, self._claiming = self._claiming, []
        self.give_back(rest)
        self.enqueue(rest)

    async def _claim(self, starting: list[Outgoing]) -> None:
        """Start what is still queued on disk; the rest gives its permits back. Raises `JournalBusy`."""
        now, deliveries = self._clock.now(), [one.delivery for one in starting]
        self._claimed.clear()
        try:
            claims = await self._journal.write(partial(steps.start_attempts, starting=deliveries, at=now))
            self.start([Outgoing(_started(o.delivery), o.alert) for o in starting if o.delivery.id in claims.started])
            self.give_back([one for one in starting if one.delivery.id not in claims.started])
            for one in starting:
                if one.delivery.id in claims.unwritten:
                    self._put_off(one, now + timedelta(seconds=BUSY_PAUSE))
        finally:
            self._claimed.set()

    def give_back(self, outgoing: Sequence[Outgoing]) -> None:
        """Return permits of what does not leave after all; who waited for them may go."""
        for one in outgoing:
            self._permits.give_back(one.delivery)
            self.enqueue(self._parked.pop(one.delivery.lane, []))

    def overtaken(self, delivery: Delivery) -> bool:
        """Whether a later text waits behind this one on its lane."""
        behind = (one.delivery for one in self._parked.get(delivery.lane, ()))
        return any(other.revision > delivery.revision and other.verb is Verb.POST for other in behind)

    async def _expire_late(self, recovery: Recovery) -> None:
        """End what waits beyond its deadline, whatever it waits for."""
        now = self._clock.now()
        if self._swept_at and timedelta(0) <= now - self._swept_at < timedelta(seconds=SWEEP_SECONDS):
            return
        self._swept_at = now
        late = await self._survey(now)
        await recovery.expire_standbys()
        if not late:
            return
        self._late = late
        gone = {id(one) for one in late}
        self._later = [entry for entry in self._later if id(entry[-1]) not in gone]
        heapq.heapify(self._later)
        for doors in self._ready.values():
            for channel, heap in list(doors.items()):
                doors[channel] = [entry for entry in heap if id(entry[-1]) not in gone]
                heapq.heapify(doors[channel])
                if not doors[channel]:
                    del doors[channel]
        for lane, parked in self._parked.items():
            self._parked[lane] = [one for one in parked if id(one) not in gone]
        await recovery.expire(late)
        self._late = []
        for lane in {one.delivery.lane for one in late}:
            self.enqueue(self._parked.pop(lane, []))

    async def _survey(self, now: datetime) -> list[Outgoing]:
        """Those that wait beyond their deadline. Which origins are crowded, and what is stuck, is known from then on.

        However many they are, nobody else waits meanwhile; what comes meanwhile is looked at the next time.
        """
        waiting, held, late, stuck = self._waiting(), Counter[str](), list[Outgoing](), list[Outgoing]()
        known = [*waiting, *self._leaving()]
        for at in range(0, len(known), SURVEYED):
            some = known[at : at + SURVEYED]
            held.update(self._profile(one).origin for one in some)
            stuck += [one for one in some if self._is_stuck(one, now)]
            late += [one for one in waiting[at : at + SURVEYED] if _is_late(one, now)]
            await asyncio.sleep(0)
        self._permits.crowded = frozenset(origin for origin, number in held.items() if number > CROWD)
        self.stuck = stuck
        return late

    def _is_stuck(self, one: Outgoing, now: datetime) -> bool:
        """Whether an urgent text has been ours to send for long; an officer's own account is not our voice."""
        delivery = one.delivery
        if delivery.rank > STUCK_RANK or delivery.verb is not Verb.POST or one.alert.purpose is Purpose.PAGE:
            return False
        ours = now - max(delivery.released_at or now, self._began) >= STUCK
        return ours and not self._profile(one).group and not self._permits.stopped(delivery)

    def _leaving(self) -> list[Outgoing]:
        return [*(entry[-1] for entry in self._starting), *self._under_way.values()]

    def _waiting(self) -> list[Outgoing]:
        found = [entry[-1] for entry in self._later]
        found += [entry[-1] for doors in self._ready.values() for heap in doors.values() for entry in heap]
        return found + [one for parked in self._parked.values() for one in parked]

    async def _sleep(self) -> None:
        """Until something is due, a permit comes back, or the sweep's time."""
        seconds = self._nap
        if self._later and not self._permits.closed:
            seconds = min(seconds, max(0.0, (self._later[0][0] - self._clock.now()).total_seconds()))
        try:
            async with asyncio.timeout(seconds):
                await self._wake.wait()
        except TimeoutError:
            return


def _is_late(one: Outgoing, now: datetime) -> bool:
    return one.delivery.deadline_at is not None and one.delivery.deadline_at <= now


def _started(delivery: Delivery) -> Delivery:
    return delivery.move(DeliveryState.SENDING, attempts=delivery.attempts + 1)
