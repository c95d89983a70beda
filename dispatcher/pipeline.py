"""THE ROAD: `receive` (an event came), `deliver` (a delivery goes out), `command` (a person decided something).

::

    Inbound ─ parse ─ plan ─ one transaction ─ ack + receipt ─ worker ─ fence ─ channel ─ decide ─ journal
               pure    pure   event+alert+plan   source forgets          first byte   pure

Serial for one incident, parallel for all others. Nothing is acknowledged before it is on disk; nothing leaves before
its attempt is.
"""

from __future__ import annotations

import asyncio
import random
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import replace
from datetime import datetime
from functools import cache, partial
from typing import TypeVar
from weakref import WeakValueDictionary

from prometheus_client import Counter

from dispatcher.channels.base import Channel, Unsupported
from dispatcher.channels.departure import departing
from dispatcher.clock import Clock
from dispatcher.decisions import Decisions, Means
from dispatcher.intake.base import Inbound, Receipt
from dispatcher.intake.reader import read
from dispatcher.journal import queries, store
from dispatcher.journal.base import Journal
from dispatcher.journal.batch import StepBatch
from dispatcher.journal.steps import Step
from dispatcher.journal.store import Alone, Entry, IncidentRow, Letter, Recorded, Stale
from dispatcher.launch import Launch, Outgoing
from dispatcher.model.alert import Alert, post_for
from dispatcher.model.channel import ChannelProfile, Power
from dispatcher.model.command import (
    Assign,
    Command,
    Confirm,
    Farewell,
    Join,
    Reject,
    Release,
    Renew,
    Resend,
    Resume,
    Retract,
    Speak,
    Stop,
)  # fmt: skip
from dispatcher.model.delivery import (
    CARRIED,
    AlertId,
    Attempt,
    Delivery,
    DeliveryId,
    DeliveryState,
    IncidentId,
    Outcome,
    Reason,
    Result,
    Verb,
)  # fmt: skip
from dispatcher.model.deployment import Deployment
from dispatcher.model.errors import BadSignature, Fenced, JournalError, Unreadable
from dispatcher.model.incident import IncidentEvent, IncidentHistory, visible
from dispatcher.model.source import person_of
from dispatcher.permits import Fence, Permits
from dispatcher.plan.damping import Damper
from dispatcher.plan.event import Plan, alone_since, plan_event
from dispatcher.plan.pages import Cause, Links, Page, compose_page
from dispatcher.plan.retry import decide
from dispatcher.recovery import settled
from dispatcher.setup import Setup
from dispatcher.telemetry import ATTEMPTS, DELIVERIES, EVENTS, PAGES, logger

log = logger("pipeline")

ATTEMPT_SECONDS = 15.0
_Word = TypeVar("_Word", IncidentEvent, Speak, Assign)
_CAUSES: dict[type[Unreadable], Cause] = {BadSignature: Cause.SIGNATURE}


class Pipeline:
    """The road of one deployment. Everything it touches is handed in."""

    def __init__(
        self, *, journal: Journal, setup: Setup, launch: Launch, steps: StepBatch, permits: Permits, fence: Fence,
        clock: Clock, rng: random.Random,
    ) -> None:  # fmt: skip
        """``launch`` leads to the worker."""
        self.journal, self.setup = journal, setup
        self.launch, self.permits, self.fence = launch, permits, fence
        self.clock, self.rng, self.steps = clock, rng, steps
        self.decisions = Decisions.over(Means(journal, setup, launch, fence, clock))
        self.heard: Callable[[IncidentEvent], None] = lambda _: None  # told of every event that could be read
        self.admit: Callable[[], None] = lambda: None  # raises `JournalBusy` where nothing new may come in
        self.links: Links | None = None
        self.damper = Damper()
        self._locks: WeakValueDictionary[IncidentId, asyncio.Lock] = WeakValueDictionary()

    @property
    def deployment(self) -> Deployment:
        """The one that plans are made with now."""
        return self.setup.deployment

    async def receive(self, inbound: Inbound) -> Receipt:
        """An event came: read it, plan it, write it down; then, and only then, let its source forget it.

        Raises `JournalBusy` where nothing could be written: nothing is acknowledged, the caller tries again.
        """
        if not inbound.person:  # what people decide takes what room there is
            self.admit()
        now = self.clock.now()
        try:
            event = read(inbound, self.deployment.sources, now)
            self.heard(event)
            async with self._at_home(event) as event:
                receipt = await self._take_in(event, inbound, now)
        except Unreadable as error:
            receipt = await self._bury(inbound, error, now)
        except JournalError:
            raise
        except Exception as error:  # one event that cannot be planned must not shut the door on the others
            log.exception("event_bug", source=inbound.source)
            receipt = await self._bury(inbound, Unreadable(f"internal error: {type(error).__name__}"), now)
        inbound.ack()
        inbound.reply(receipt)
        EVENTS.labels(receipt.state).inc()
        return receipt

    async def deliver(self, outgoing: Outgoing) -> Outgoing | None:
        """A delivery goes out once. What comes back is to be tried again when it is due; None is the end of it.

        The attempt is on disk already. Never raises on what a channel or a provider does, only on cancellation.
        """
        delivery, profile = outgoing.delivery, self.setup.profiles[outgoing.delivery.channel]
        outcome = await self._attempt(outgoing, profile)
        ended = await self._overtaken(delivery)
        now = self.clock.now()
        decision = decide(delivery, outcome, profile, now=now, rng=self.rng, ended=ended)
        self.permits.learn(delivery.channel, profile, outcome)
        after = settled(delivery, outcome, decision)
        attempt = Attempt(
            delivery=delivery.id, number=delivery.attempts, ended_at=now, result=outcome.result, reason=outcome.reason,
            detail=outcome.detail,
        )  # fmt: skip
        await self.launch.rows_written(delivery.alert)
        changed = delivery.verb is not Verb.POST and after.state in CARRIED
        original = DeliveryId(f"{outgoing.alert.about}:{delivery.channel}") if changed else None
        step = Step(after, decision.path, delivery.state, attempt, decision.note, retracts=original)
        if not await self.steps.write(step):
            log.error("claim_lost", delivery=delivery.id, outcome=outcome.result)
            return None
        _count(after, outcome)
        return Outgoing(after, outgoing.alert) if after.state is DeliveryState.QUEUED else None

    async def command(self, command: Command) -> str:
        """A person decided something: it is written with their name, then it happens.

        Returns the id of the alert or delivery concerned. Raises `CommandError` where it cannot be done.
        """
        decisions = self.decisions
        match command:
            case Speak():
                async with self._at_home(command) as at_home:
                    return await decisions.speaking.speak(at_home)
            case Assign():
                async with self._at_home(command) as named_at_home:
                    return await decisions.assigning.assign(named_at_home)
            case Retract():
                async with self._serial(decisions.means.home(await self._incident_of(command.alert))):
                    return await decisions.speaking.retract(command)
            case Join():
                async with AsyncExitStack() as stack:
                    for incident in sorted({command.incident, command.into}):
                        await stack.enter_async_context(self._serial(incident))
                    return await decisions.speaking.join(command) or command.into
            case Release() | Reject():
                async with self._serial(await self._incident_of(command.alert)):
                    return await decisions.releasing.decide(command)
            case Renew():
                async with self._serial(await self._incident_of(command.alert)):
                    return await decisions.releasing.renew(command)
            case Confirm() | Resend():
                async with self._serial((await decisions.posting.delivery(command.delivery)).incident):
                    return await decisions.posting.move(command)
            case Stop() | Resume() | Farewell():
                return await decisions.apart(command)

    async def page(self, page: Page, raw: bytes, key: str) -> None:
        """Call staff on its own, with the ``raw`` text it is about; the same ``key`` and cause call once."""
        now = self.clock.now()
        with self.launch.boarding(self._pages((page,), raw, key, now)) as boarding:
            if await self.journal.write(partial(store.write_pages, pages=boarding.alerts)):
                boarding.go(now)

    @asynccontextmanager
    async def _at_home(self, word: _Word) -> AsyncIterator[_Word]:
        """``word`` as one on the incident that its own was joined into, if it was, alone in that incident."""
        while True:
            home = self.decisions.means.home(word.incident)
            async with self._serial(home):
                if self.decisions.means.home(home) == home:
                    yield word if home == word.incident else replace(word, incident=home)
                    return

    async def _take_in(self, event: IncidentEvent, inbound: Inbound, now: datetime) -> Receipt:
        while True:
            seen, history = await self.journal.read(partial(queries.before, event=event, now=now))
            plan = Plan() if seen else plan_event(event, self.deployment, history, inbound.as_of or now)
            ends = plan.alert is not None and plan.alert.purpose.ends and not plan.alert.held
            try:
                revision = history.revision + 1
                with self.decisions.means.fenced(event.incident, revision, ends=ends, left=plan.left) as undo:
                    if ends:  # what left before the fence stood is in the journal now: the end goes there as well
                        _, history = await self.journal.read(partial(queries.before, event=event, now=now))
                        plan = plan_event(event, self.deployment, history, inbound.as_of or now)
                    recorded = await self._write_plan(event, inbound, plan, history, now)
                    if recorded.state == plan.state:
                        undo.pop_all()
            except Stale:
                continue
            if recorded.state == "conflict":
                conflict = Page(Cause.CONFLICT, (f"incident {event.incident}, event {event.id}",))
                if self.damper.admits(conflict, event.source, key := _page_key(inbound), now):
                    await self.page(conflict, inbound.payload, key)
            error = (plan.notes or ("refused before",))[-1] if recorded.state in store.REFUSED else ""
            return _receipt(inbound, event.id, recorded, error)

    async def _write_plan(
        self, event: IncidentEvent, inbound: Inbound, plan: Plan, history: IncidentHistory, now: datetime
    ) -> Recorded:
        """One transaction for the event and all it leads to; its first deliveries leave right after the commit."""
        alerts = [*plan.alerts]
        alerts += self._pages(plan.pages, inbound.payload, f"{event.source}/{event.id}", now, event.source)
        person = person_of(event.source)
        with self.launch.boarding(alerts) as boarding:
            entry = Entry(
                event=event, payload=inbound.payload, received_at=now, state=plan.state, notes=plan.notes,
                revision=history.revision, incident=_incident_row(event, plan, history), alerts=boarding.alerts,
                people=tuple((alert.id, person) for alert in plan.alerts if person), alone=_alone(plan, history, now),
                silenced=plan.silenced, left=plan.left,
            )  # fmt: skip
            recorded = await self.journal.write(partial(store.record_event, entry=entry))
            if recorded.state == plan.state:
                boarding.go(now)
        return recorded

    async def _bury(self, inbound: Inbound, error: Unreadable, now: datetime) -> Receipt:
        """A dead letter: kept as it came, acknowledged, and a person told at once."""
        cause = Cause.RETAINED if inbound.retained else _CAUSES.get(type(error), Cause.UNREADABLE)
        page = Page(cause, (str(error), f"from {visible(inbound.source)}"))
        pages = self._pages((page,), inbound.payload, _page_key(inbound), now, inbound.source)
        with self.launch.boarding(pages) as boarding:
            letter = Letter(
                source=inbound.source, payload=inbound.payload, reason=str(error), received_at=now, pages=boarding.alerts
            )  # fmt: skip
            recorded = await self.journal.write(partial(store.record_letter, letter=letter))
            if recorded.state == "unreadable":
                boarding.go(now)
        return _receipt(inbound, "", recorded, str(error))

    def _pages(self, pages: Sequence[Page], raw: bytes, key: str, now: datetime, source: str = "") -> list[Alert]:
        if source:
            pages = [page for page in pages if self.damper.admits(page, source, key, now)]
        for page in pages:
            PAGES.labels(page.cause).inc()
            log.warning("page", cause=page.cause, lines=page.lines)
        composed = (compose_page(page, raw, self.deployment, now, key=key, links=self.links) for page in pages)
        return [alert for alert in composed if alert is not None]

    async def _incident_of(self, alert: AlertId) -> IncidentId:
        return (await self.decisions.means.record(alert)).alert.incident

    def _serial(self, incident: IncidentId) -> asyncio.Lock:
        lock = self._locks.get(incident)
        if lock is None:
            lock = self._locks[incident] = asyncio.Lock()
        return lock

    async def _overtaken(self, delivery: Delivery) -> bool:
        """Whether a later text took this one's place; an end that is still being written is waited for."""
        if self.fence.stops(delivery):
            async with self._serial(delivery.incident):
                return self.fence.stops(delivery)
        return delivery.verb is Verb.POST and self.launch.overtaken(delivery)

    async def _attempt(self, outgoing: Outgoing, profile: ChannelProfile) -> Outcome:
        """One try, bounded by the deadline; the fence is checked right before the first byte."""
        delivery = outgoing.delivery
        if delivery.deadline_at is not None and delivery.deadline_at <= self.clock.now():
            return Outcome(result=Result.TEMPORARY, reason=Reason.EXPIRED, detail="its time was over before it left")
        channel = self.setup.channels[delivery.channel]
        with departing(partial(self.fence.check, delivery)) as departure:
            try:
                async with asyncio.timeout(self._seconds_left(delivery)):
                    answer = await self._speak(channel, outgoing, profile)
            except Fenced:
                return Outcome(result=Result.NEVER_LEFT, reason=Reason.CANCELLED)
            except TimeoutError:
                result = Result.IN_DOUBT if departure.left else Result.TEMPORARY
                return Outcome(result=result, reason=Reason.TIMEOUT, detail="the attempt's time was over")
            except Exception as error:  # a bug in one channel must not stop the others
                log.exception("channel_bug", channel=delivery.channel)
                result = Result.IN_DOUBT if departure.left else Result.PERMANENT
                return Outcome(result=result, reason=Reason.INTERNAL, detail=type(error).__name__)
        if isinstance(answer, Unsupported):
            return Outcome(result=Result.PERMANENT, reason=Reason.REJECTED, detail=f"no verb {answer.verb}")
        return answer

    async def _speak(self, channel: Channel, outgoing: Outgoing, profile: ChannelProfile) -> Outcome | Unsupported:
        """Say it. After a doubt: under the same key, else look first, else as a repetition that says so."""
        delivery = outgoing.delivery
        if delivery.verb is not Verb.POST:
            return await self._change(channel, outgoing)
        repeat = delivery.doubtful and Power.KEY not in profile.powers
        post = post_for(outgoing.alert, delivery, repeat=repeat)
        if repeat and Power.FIND in profile.powers:
            found = await channel.find(post)
            if isinstance(found, Outcome) and found.result is Result.VISIBLE:
                return found
            if isinstance(found, Outcome) and found.result is Result.ABSENT:
                post = post_for(outgoing.alert, delivery, repeat=False)
        return await channel.send(post)

    async def _change(self, channel: Channel, outgoing: Outgoing) -> Outcome | Unsupported:
        """Edit or delete an earlier post; where nobody knows which it is, a person has to look."""
        delivery, alert = outgoing.delivery, outgoing.alert
        original = DeliveryId(f"{alert.about}:{delivery.channel}")
        earlier = await self.journal.read(partial(queries.delivery, wanted=original))
        target = delivery.target or (earlier.provider_id if earlier else "")
        if not target and (earlier is None or not (earlier.state in CARRIED or earlier.doubtful)):
            return Outcome(result=Result.PERMANENT, reason=Reason.CANCELLED, detail="the post never went out")
        if not target:
            return Outcome(result=Result.BY_HAND, detail="find the post and correct it: its address is not known")
        verb = channel.edit if delivery.verb is Verb.EDIT else channel.delete
        return await verb(post_for(alert, replace(delivery, target=target), repeat=False))

    def _seconds_left(self, delivery: Delivery) -> float:
        left = (delivery.deadline_at - self.clock.now()).total_seconds() if delivery.deadline_at else ATTEMPT_SECONDS
        return max(0.1, min(ATTEMPT_SECONDS, left))


def _alone(plan: Plan, history: IncidentHistory, now: datetime) -> Alone | None:
    """What an alert that goes out by itself relied on: that no other incident is the same."""
    if plan.speech is None or plan.alert is None or plan.alert.held or history.playbook or plan.alert.purpose.ends:
        return None
    since = alone_since(plan.speech.playbook, now)
    known = frozenset(neighbour.id for neighbour in history.neighbours)
    return None if since is None else Alone(plan.speech.playbook.id, since, known)


def _page_key(inbound: Inbound) -> str:
    return f"{inbound.source}/{inbound.sha256}"


def _receipt(inbound: Inbound, event: str, recorded: Recorded, error: str) -> Receipt:
    return Receipt(inbound.source, event, inbound.sha256, recorded.state, recorded.number, error)


def _incident_row(event: IncidentEvent, plan: Plan, history: IncidentHistory) -> IncidentRow | None:
    """What the incident looks like after the plan; None where the plan does not touch it."""
    if plan.open is None:
        return None
    speech = plan.speech
    if speech is None:  # it is shown and paged, but what is said about the incident stays as it was
        return IncidentRow(
            open=plan.open, kind=history.kind or event.kind, place=history.place or event.place,
            playbook=history.playbook, covered=history.covered, regions=history.regions, severity=history.severity,
            facts=history.facts,
        )  # fmt: skip
    known = speech.playbook.all_facts()
    return IncidentRow(
        open=plan.open, kind=history.kind or event.kind, place=event.place or history.place,
        playbook=speech.playbook.id, covered=speech.covers,
        regions=speech.regions, severity=speech.severity,
        facts={name: fact for name, fact in {**history.facts, **event.facts}.items() if name in known},
    )  # fmt: skip


def _count(delivery: Delivery, outcome: Outcome) -> None:
    _counter(ATTEMPTS, delivery.channel, outcome.result, outcome.reason or "").inc()
    if delivery.state.ended:
        _counter(DELIVERIES, delivery.channel, delivery.state).inc()


@cache
def _counter(of: Counter, *labels: str) -> Counter:
    """The one with these labels, which is slow to find."""
    return of.labels(*labels)
