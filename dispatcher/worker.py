"""Carries deliveries out: what holds its permits starts at once, the rest by priority as permits come.

Each delivery is a task of its own, strongly held; none waits for another. One loop moves what is due to what is ready
and journals its attempts in batches; a delivery that is to be tried again comes back with its due time.
"""

from __future__ import annotations

import asyncio
import contextlib
import heapq
import itertools
from collections import defaultdict
from collections.abc import Sequence
from datetime import datetime, timedelta
from functools import partial

from dispatcher.clock import Clock
from dispatcher.journal import steps
from dispatcher.journal.base import BUSY_PAUSE, Journal
from dispatcher.launch import Outgoing
from dispatcher.model.delivery import Delivery, DeliveryState, Lane, Verb
from dispatcher.model.errors import JournalBusy
from dispatcher.permits import Grant, Permits
from dispatcher.pipeline import Pipeline
from dispatcher.recovery import Recovery
from dispatcher.setup import Setup
from dispatcher.telemetry import OPEN, logger

log = logger("worker")

SWEEP_SECONDS = 1.0
_Ready = tuple[int, bool, int, Outgoing]  # rank, whether a retry, order of arrival


class Worker:
    """Holds what is ours to send. The journal is the truth: what is not queued there any more does not start."""

    def __init__(self, *, journal: Journal, setup: Setup, permits: Permits, clock: Clock) -> None:
        """`run` needs the road as well; it is handed in there, for the road leads here."""
        self._journal, self._setup, self._permits, self._clock = journal, setup, permits, clock
        self._later: list[tuple[datetime, int, Outgoing]] = []
        self._ready: dict[str, list[_Ready]] = defaultdict(list)
        self._parked: dict[Lane, list[Outgoing]] = defaultdict(list)
        self._under_way: dict[asyncio.Task[None], Outgoing] = {}
        self._waiting_to_start: list[Outgoing] = []
        self._lost: list[Outgoing] = []  # their task died; they are settled as doubts
        self._late: list[Outgoing] = []  # their time is over; they are being ended
        self._order = itertools.count()
        self._wake = asyncio.Event()
        self._claiming: list[Outgoing] = []  # attempts being journaled, which start right after
        self._claimed = asyncio.Event()  # set while there are none
        self._claimed.set()
        self._next_sweep = clock.now()
        self._road: Pipeline | None = None

    @property
    def open(self) -> int:
        """Deliveries held here: under way, about to start, ready, parked, waiting for their time, or being ended."""
        ready = sum(len(heap) for heap in self._ready.values()) + sum(len(p) for p in self._parked.values())
        ending = len(self._lost) + len(self._late)
        return len(self._under_way) + len(self._later) + len(self._claiming) + ready + ending

    def start(self, outgoing: Sequence[Outgoing]) -> None:
        """Carry out what is journaled as sending and holds its permits: each in its own task, now."""
        for one in outgoing:
            if self._road is None:
                self._waiting_to_start.append(one)
                continue
            task = asyncio.create_task(self._carry(self._road, one))
            self._under_way[task] = one
            task.add_done_callback(self._done)

    def enqueue(self, outgoing: Sequence[Outgoing]) -> None:
        """Take what is queued; it starts when it is due and gets its permits."""
        for one in outgoing:
            heapq.heappush(self._later, (one.delivery.due_at or self._clock.now(), next(self._order), one))
        self._wake.set()

    async def run(self, road: Pipeline, recovery: Recovery) -> None:
        """Move what is due until cancelled."""
        self._road = road
        waiting, self._waiting_to_start = self._waiting_to_start, []
        self.start(waiting)
        while True:
            self._wake.clear()
            if self._lost:
                lost = [*self._lost]
                self.enqueue(await recovery.take_up(lost))
                del self._lost[: len(lost)]
            await self._expire_late(recovery)
            await self._journal_starts(self._permitted())
            OPEN.set(self.open)
            await self._sleep()

    async def drain(self, seconds: float) -> None:
        """Start nothing more and give what is under way ``seconds`` to end; the rest is the next start's doubt."""
        self._permits.close()
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(seconds):
                await self._claimed.wait()
                while self._under_way:
                    await asyncio.wait(set(self._under_way))
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
        outgoing = self._under_way.pop(task)
        if not task.cancelled() and (error := task.exception()) is not None:
            log.error("delivery_lost_its_task", delivery=outgoing.delivery.id, error=repr(error))
            self._lost.append(outgoing)
            self._wake.set()

    def _permitted(self) -> list[Outgoing]:
        """What is due and got its permits just now, best rank first, first attempts before retries."""
        now = self._clock.now()
        while self._later and self._later[0][0] <= now:
            one = heapq.heappop(self._later)[2]
            heap = self._ready[self._setup.profiles[one.delivery.channel].origin]
            heapq.heappush(heap, (one.delivery.rank, one.delivery.attempts > 0, next(self._order), one))
        return [one for heap in list(self._ready.values()) for one in self._take_from(heap, now)]

    def _take_from(self, heap: list[_Ready], now: datetime) -> list[Outgoing]:
        taken, waiting = [], []
        while heap:
            entry = heapq.heappop(heap)
            delivery = entry[-1].delivery
            if delivery.deadline_at is not None and delivery.deadline_at <= now:
                waiting.append(entry)  # the sweep ends it
                continue
            grant = self._permits.take(delivery, self._setup.profiles[delivery.channel])
            if grant is Grant.YES:
                taken.append(entry[-1])
            elif grant is Grant.LANE:
                self._parked[delivery.lane].append(entry[-1])
            elif grant is Grant.STOPPED:
                waiting.append(entry)
            elif grant is Grant.CREDENTIAL:
                wait = self._permits.waits_for(self._setup.profiles[delivery.channel])
                self._put_off(entry[-1], now + timedelta(seconds=wait))
            else:
                waiting.append(entry)
                break
        for entry in waiting:
            heapq.heappush(heap, entry)
        return taken

    def _put_off(self, one: Outgoing, due: datetime) -> None:
        heapq.heappush(self._later, (due, next(self._order), one))

    async def _journal_starts(self, starting: list[Outgoing]) -> None:
        """Attempts are on disk before they leave; what is not queued any more gives its permits back."""
        if not starting:
            return
        now, deliveries = self._clock.now(), [one.delivery for one in starting]
        self._claiming = starting
        self._claimed.clear()
        try:
            claims = await self._journal.write(partial(steps.start_attempts, starting=deliveries, at=now))
            self.start([Outgoing(_started(o.delivery), o.alert) for o in starting if o.delivery.id in claims.started])
            self.give_back([one for one in starting if one.delivery.id not in claims.started])
            for one in starting:
                if one.delivery.id in claims.unwritten:
                    self._put_off(one, now + timedelta(seconds=BUSY_PAUSE))
        except JournalBusy as error:
            log.warning("starts_wait", error=str(error), waiting=len(starting))
            self.give_back(starting)
            self.enqueue(starting)
            await asyncio.sleep(BUSY_PAUSE)
        finally:
            self._claiming = []
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
        if now < self._next_sweep:
            return
        self._next_sweep = now + timedelta(seconds=SWEEP_SECONDS)
        late = [one for one in self._waiting() if one.delivery.deadline_at and one.delivery.deadline_at <= now]
        if not late:
            return
        self._late = late
        gone = {id(one) for one in late}
        self._later = [entry for entry in self._later if id(entry[-1]) not in gone]
        heapq.heapify(self._later)
        for origin, heap in self._ready.items():
            self._ready[origin] = [entry for entry in heap if id(entry[-1]) not in gone]
            heapq.heapify(self._ready[origin])
        for lane, parked in self._parked.items():
            self._parked[lane] = [one for one in parked if id(one) not in gone]
        await recovery.expire(late)
        self._late = []
        for lane in {one.delivery.lane for one in late}:
            self.enqueue(self._parked.pop(lane, []))

    def _waiting(self) -> list[Outgoing]:
        found = [entry[-1] for entry in self._later]
        found += [entry[-1] for heap in self._ready.values() for entry in heap]
        return found + [one for parked in self._parked.values() for one in parked]

    async def _sleep(self) -> None:
        """Until something is due, a permit comes back, or the sweep's time."""
        seconds = SWEEP_SECONDS
        if self._later and not self._permits.closed:
            seconds = min(seconds, max(0.0, (self._later[0][0] - self._clock.now()).total_seconds()))
        try:
            async with asyncio.timeout(seconds):
                await self._wake.wait()
        except TimeoutError:
            return


def _started(delivery: Delivery) -> Delivery:
    return delivery.move(DeliveryState.SENDING, attempts=delivery.attempts + 1)
