"""What needs a person is paged from the log, and paged again, up the escalation list, until somebody has decided."""

from __future__ import annotations

import asyncio
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from functools import partial

from dispatcher.clock import Clock
from dispatcher.journal import queries, standing
from dispatcher.journal.base import Journal
from dispatcher.journal.queries import AlertRecord, Fact
from dispatcher.journal.standing import Waiting
from dispatcher.model.alert import Alert, Purpose
from dispatcher.model.delivery import AlertId, Delivery
from dispatcher.model.errors import JournalBusy
from dispatcher.pipeline import Pipeline
from dispatcher.plan.compose import held_page
from dispatcher.plan.pages import Cause, Deed, Offer, Page
from dispatcher.plan.reminders import by_hand_step, held_step
from dispatcher.telemetry import logger

log = logger("pager")

GATHER_SECONDS = 1.0
MOST_NAMED = 20
MOST_OFFERED = 5
EVERYBODY = 1_000  # a step so far up the escalation list that all of it is called

_Names = dict[tuple[AlertId, Cause], dict[str, int]]  # channels or persons, with the fact that told of each

_CAUSES = {
    "delivery.failed": Cause.FAILED,
    "delivery.expired": Cause.EXPIRED,
    "delivery.by_hand": Cause.BY_HAND,
    "delivery.in_doubt": Cause.IN_DOUBT,
}
# Facts that a person's request waits for release, and who asked; what a source asked for is paged with its event.
_ASKED = {"alert.held": "requested_by", "alert.renew_by": "person"}


@dataclass(frozen=True, slots=True)
class _Word:
    """A page that is no delivery's: what happened, in a line, once for each fact."""

    cause: Cause
    line: str
    seq: int
    step: int = 0


@dataclass(slots=True)
class Pager:
    """A sink of the feed. What happens within a second to one alert is one page; pages themselves are never paged.

    How far it came is in the journal: what a crash kept it from telling is told after the next start.
    """

    road: Pipeline
    journal: Journal
    clock: Clock
    _waiting: _Names = field(default_factory=lambda: defaultdict(dict))
    _words: list[_Word] = field(default_factory=list)
    _called: dict[str, int] = field(default_factory=dict)  # the last step that was paged for what waits
    _latest: int = 0
    _told: int = 0

    async def __call__(self, facts: Sequence[Fact]) -> None:
        """Note what needs a person; the last fact about a delivery counts, for a doubt may have been decided at once."""
        last = {fact.ref: fact for fact in facts if fact.kind.startswith("delivery.")}
        for fact in last.values():
            if fact.kind in _CAUSES:
                alert, _, channel = fact.ref.partition(":")
                self._waiting[AlertId(alert), _CAUSES[fact.kind]][channel] = fact.seq
        for fact in facts:
            if person := fact.body.get(_ASKED.get(fact.kind, "")):
                self._waiting[AlertId(fact.ref), Cause.HELD][person] = fact.seq
        self._words += [word for fact in facts if (word := _word(fact)) is not None]
        self._latest = facts[-1].seq

    async def run(self) -> None:
        """Page what was noted and what waits too long, each second, until cancelled."""
        while True:
            await asyncio.sleep(GATHER_SECONDS)
            await self.page()

    async def page(self) -> None:
        """Page everything that is due now; what a busy journal refuses is due again."""
        waiting, self._waiting = self._waiting, defaultdict(dict)
        words, self._words = self._words, []
        latest = self._latest
        try:
            for word in words:
                await self.road.page(Page(word.cause, (word.line,), step=word.step), b"", f"fact/{word.seq}")
            for (alert, cause), names in list(waiting.items()):
                await self._tell(alert, cause, names)
                del waiting[alert, cause]
            await self._remind()
            for page, told_as in self.road.damper.summaries(self.clock.now()):
                await self.road.page(page, b"", told_as)
            await self._note(latest)
        except JournalBusy as error:
            log.warning("pages_wait", error=str(error), waiting=len(waiting))
            for key, names in waiting.items():
                self._waiting[key].update(names)
            self._called.clear()
            self._words = [*words, *self._words]  # those that were written already are written once

    async def _note(self, latest: int) -> None:
        """Everything up to fact ``latest`` has been told."""
        if latest > self._told:
            await self.journal.write(partial(standing.note_called, seq=latest))
            self._told = latest

    async def _tell(self, wanted: AlertId, cause: Cause, names: Mapping[str, int]) -> None:
        record = await self._record(wanted)
        if record is None or record.alert.purpose is Purpose.PAGE:
            return
        alert, key = record.alert, f"{wanted}/{max(names.values())}"
        if cause is Cause.HELD:
            await self.road.page(held_page(alert, [*_about(alert), f"asked by {_listed(names)}"]), _text(alert), key)
        else:
            await self.road.page(_page(alert, cause, names), _text(alert), key)

    async def _remind(self) -> None:
        """Void what waited too long for a second person; call again about what still waits."""
        now = self.clock.now()
        waiting = await self.journal.read(standing.waiting)
        if not waiting.held and not waiting.by_hand:
            self._called.clear()
            return
        lapsing = await self.journal.read(partial(standing.lapsing, now=now))
        if lapsing:
            await self.journal.write(partial(standing.lapse_releases, now=now))
        await self._remind_held(waiting, now)
        await self._remind_by_hand(waiting.by_hand, now)

    async def _remind_held(self, waiting: Waiting, now: datetime) -> None:
        due = [
            (alert, step) for alert, since in waiting.held.items() if (step := self._due(alert, held_step(now - since)))
        ]
        if len(due) > MOST_NAMED:  # one call about all of them is heard, hundreds are not
            lines = (f"{len(due)} alerts wait for release", _listed([alert for alert, _ in due]))
            step = max(step for _, step in due)
            await self.road.page(Page(Cause.HELD, lines, step=step), b"", f"held/{now.isoformat()}")
            return
        for wanted, step in due:
            record = await self._record(wanted)
            if record is not None:
                page = held_page(record.alert, [*_about(record.alert), f"call {step + 1}"], step=step)
                await self.road.page(page, _text(record.alert), f"{wanted}/held/{step}")

    async def _remind_by_hand(self, waiting: Iterable[tuple[Delivery, datetime]], now: datetime) -> None:
        late: dict[tuple[AlertId, int], list[str]] = defaultdict(list)
        for delivery, since in waiting:
            if step := self._due(delivery.id, by_hand_step(now - since)):
                late[delivery.alert, step].append(delivery.channel)
        for (wanted, step), channels in late.items():
            record = await self._record(wanted)
            if record is not None:
                page = _page(record.alert, Cause.BY_HAND, channels, step=step - 1)
                await self.road.page(page, _text(record.alert), f"{wanted}/by_hand/{step}/{_listed(channels)}")

    def _due(self, ref: str, step: int) -> int:
        """``step`` where it is a new one, else 0: what is due at once was paged when it happened."""
        if step <= self._called.get(ref, 0):
            return 0
        self._called[ref] = step
        return step

    async def _record(self, wanted: AlertId) -> AlertRecord | None:
        return await self.journal.read(partial(queries.alert_record, alert=wanted))


def _word(fact: Fact) -> _Word | None:
    """What the log tells that is a page in itself."""
    body = fact.body
    if fact.kind == "stop.begun":
        return _Word(Cause.STOPPED, f"{fact.ref} by {body['person']}: {body['reason']}", fact.seq)
    if fact.kind == "alert.break_glass_by":
        return _Word(Cause.BREAK_GLASS, f"alert {fact.ref} by {body['person']}: {body['reason']}", fact.seq, EVERYBODY)
    if fact.kind == "stop.lifted" and body.get("break_glass"):
        line = f"stop of {fact.ref} lifted by {_listed(body['people'])}: {body['break_glass']}"
        return _Word(Cause.BREAK_GLASS, line, fact.seq, EVERYBODY)
    if fact.kind == "alert.unreachable":
        gone = _listed(body["channels"])
        line = f"alert {fact.ref} cannot end it on {gone}: not configured any more, tell its readers"
        return _Word(Cause.NO_CHANNEL, line, fact.seq)
    if fact.kind == "alert.release_lapsed":
        return _Word(Cause.LAPSED, f"alert {fact.ref}, given by {body['person']}", fact.seq)
    return None


def _page(alert: Alert, cause: Cause, channels: Iterable[str], *, step: int = 0) -> Page:
    offers: tuple[Offer, ...] = ()
    if cause is Cause.BY_HAND:
        offers = tuple(Offer(Deed.CONFIRM, f"{alert.id}:{channel}") for channel in sorted(set(channels))[:MOST_OFFERED])
    return Page(cause, (*_about(alert), _listed(channels)), offers, alert.regions, step)


def _about(alert: Alert) -> tuple[str, ...]:
    return (f"{alert.purpose} {alert.code} of incident {alert.incident}, {alert.place}",)


def _listed(names: Iterable[str]) -> str:
    named = sorted(set(names))
    more = f" and {len(named) - MOST_NAMED} more" if len(named) > MOST_NAMED else ""
    return f"{', '.join(named[:MOST_NAMED])}{more}"


def _text(alert: Alert) -> bytes:
    return next((texts.first.body for texts in alert.texts.values()), "").encode()
