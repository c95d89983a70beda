"""After a start: what a crash cut off is rebuilt, every doubt gets its decision, what is queued comes back."""

from __future__ import annotations

import asyncio
import random
from collections.abc import AsyncIterator, Iterator, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from functools import partial
from itertools import islice
from typing import TypeVar

from dispatcher.clock import Clock
from dispatcher.journal import moves, queries, store
from dispatcher.journal.accounts import at_work
from dispatcher.journal.base import BUSY_PAUSE, Journal
from dispatcher.journal.batch import StepBatch
from dispatcher.journal.steps import Step
from dispatcher.launch import Outgoing
from dispatcher.model.account import silenced
from dispatcher.model.delivery import Attempt, Delivery, DeliveryId, DeliveryState, Outcome, Reason, Result
from dispatcher.model.errors import JournalBusy
from dispatcher.permits import Fence
from dispatcher.plan.retry import BEYOND, Decision, decide
from dispatcher.setup import Setup
from dispatcher.telemetry import logger

log = logger("recovery")

T = TypeVar("T")

FIRST, PAGE = 64, 500  # deliveries
_QUEUED, _SENDING = DeliveryState.QUEUED, DeliveryState.SENDING

_STOPPED = Outcome(result=Result.IN_DOUBT, reason=Reason.IN_DOUBT, detail="the daemon stopped while sending")
_GONE = Decision((DeliveryState.FAILED,), Reason.REJECTED, note="its channel is not configured any more")
_LEFT_OUT = Decision((DeliveryState.CANCELLED,), Reason.CANCELLED, note="its channel is not configured any more")
_EXPIRED = Decision((DeliveryState.EXPIRED,), Reason.EXPIRED)
_REFUSED = Decision((DeliveryState.FAILED,), Reason.RATE_LIMITED, note=BEYOND)


def settled(delivery: Delivery, outcome: Outcome, decision: Decision) -> Delivery:
    """``delivery`` moved along the decision's path, with what the outcome taught."""
    return delivery.follow(
        decision.path, never_left=outcome.result is Result.NEVER_LEFT,
        reason=decision.reason, detail=outcome.detail or decision.note, doubtful=decision.doubtful,
        due_at=decision.due_at or delivery.due_at, provider_id=outcome.provider_id or delivery.provider_id,
        url=outcome.url or delivery.url,
    )  # fmt: skip


@dataclass(frozen=True, slots=True)
class Recovery:
    """Decisions about deliveries that are not made by an attempt: at a start, and when their time is over."""

    journal: Journal
    setup: Setup
    steps: StepBatch
    fence: Fence
    clock: Clock
    rng: random.Random

    async def run(self) -> AsyncIterator[list[Outgoing]]:
        """Bring the journal to order; what is ours to send, in pieces.

        First a few of what was queued, the best ranks behind no doubt, so that they leave at once. Second, however many, what
        is sent again of what a crash cut off: by then every doubt has its decision. Then page by page the rest.
        """
        await self._mend()
        stranded = partial(queries.stranded, channels=self.setup.profiles)
        await self.take_up([Outgoing(*found) for found in await self.journal.read(stranded)])
        queued, cut_off = [await self.journal.read(partial(queries.in_state, state=one)) for one in (_QUEUED, _SENDING)]
        log.info("recovered", cut_off=len(cut_off), queued=len(queued))
        doubts = frozenset(cut_off.values())
        first = dict.fromkeys(islice((name for name, lane in queued.items() if lane not in doubts), FIRST))
        yield await self._still(_QUEUED, [*first])
        yield [one for page in paged([*cut_off]) for one in await self.take_up(await self._still(_SENDING, page))]
        for page in paged([name for name in queued if name not in first]):
            yield await self._still(_QUEUED, page)

    async def _still(self, state: DeliveryState, wanted: Sequence[DeliveryId]) -> list[Outgoing]:
        """What others have moved meanwhile is theirs."""
        while True:
            try:
                found = await self.journal.read(partial(queries.still_in_state, state=state, wanted=wanted))
            except JournalBusy as error:
                log.warning("recovery_waits", error=str(error))
                await asyncio.sleep(BUSY_PAUSE)
            else:
                return [Outgoing(*one) for one in found]

    async def _mend(self) -> None:
        """What a crash cut off is rebuilt, and what has ended stays ended."""
        for record in await self.journal.read(queries.unwritten_alerts):
            alert, at = record.alert, record.released_at
            await self.journal.write(partial(store.write_rows, alert=alert, planned=alert.plan, released_at=at))
        await self.journal.write(partial(moves.settle_standbys, at=self.clock.now()))
        for incident, revision in (await self.journal.read(queries.ended_revisions)).items():
            self.fence.put_up(incident, revision)
        for end in await self.journal.read(queries.partial_ends):
            for planned in end.plan:
                self.fence.put_up_lane((end.incident, planned.channel), end.revision)
        for incident, (revision, officers) in (await self.journal.read(at_work)).items():
            for account in silenced(self.setup.deployment.channels.values(), officers):
                self.fence.put_up_lane((incident, account), revision + 1)

    async def take_up(self, found: Sequence[Outgoing]) -> list[Outgoing]:
        """Decide about deliveries that nobody carries any more; those that are to be sent again."""
        decided = [self._decided(one.delivery) for one in found]
        await self.steps.write_all(decided)
        after = [replace(one, delivery=step.delivery) for one, step in zip(found, decided, strict=True)]
        return [one for one in after if one.delivery.state is DeliveryState.QUEUED]

    async def expire(self, late: list[Outgoing]) -> None:
        """The time of queued deliveries is over: they end as expired, whatever they waited for."""
        for page in paged(late):
            await self.steps.write_all(_step(one.delivery, _EXPIRED) for one in page)

    async def refuse(self, useless: list[Outgoing]) -> None:
        """Queued deliveries fail whose credential has to wait for longer than they are of use."""
        await self.steps.write_all(_step(one.delivery, _REFUSED) for one in useless)

    async def expire_standbys(self) -> None:
        """A standby never outlives its alert, though nobody may know yet whether it is needed."""
        try:
            late = await self.journal.read(partial(queries.late_standbys, now=self.clock.now()))
        except JournalBusy as error:  # the next sweep comes in a second
            log.warning("standbys_wait", error=str(error))
            return
        await self.steps.write_all(_step(delivery, _EXPIRED) for delivery in late)

    def _decided(self, delivery: Delivery) -> Step:
        """What becomes of a delivery that was under way, or whose channel is gone."""
        profile = self.setup.profiles.get(delivery.channel)
        now, cut_off = self.clock.now(), delivery.state is DeliveryState.SENDING
        if profile is None and delivery.state in (DeliveryState.HELD, DeliveryState.STANDBY):
            return _step(delivery, _LEFT_OUT)
        if profile is None:
            attempt = _cut_off(delivery, now) if cut_off else None
            return _step(replace(delivery, doubtful=delivery.doubtful or cut_off), _GONE, attempt)
        ended = self.fence.stops(delivery)
        decision = decide(delivery, _STOPPED, profile, now=now, rng=self.rng, ended=ended)
        return _step(delivery, decision, _cut_off(delivery, now))


def paged(wanted: Sequence[T]) -> Iterator[Sequence[T]]:
    """``wanted`` in pieces that are read and decided without holding up the event loop."""
    return (wanted[at : at + PAGE] for at in range(0, len(wanted), PAGE))


def _step(delivery: Delivery, decision: Decision, attempt: Attempt | None = None) -> Step:
    """A decision that no answer led to; the doubt that it had stays marked."""
    doubtful = delivery.doubtful or decision.doubtful
    outcome = _STOPPED if decision.doubtful else Outcome(result=Result.ABSENT)
    after = replace(settled(delivery, outcome, decision), doubtful=doubtful)
    return Step(after, decision.path, delivery.state, attempt, decision.note)


def _cut_off(delivery: Delivery, at: datetime) -> Attempt:
    """The attempt whose answer nobody was there to hear."""
    return Attempt(
        delivery=delivery.id, number=delivery.attempts, ended_at=at, result=_STOPPED.result, reason=_STOPPED.reason,
        detail=_STOPPED.detail,
    )  # fmt: skip
