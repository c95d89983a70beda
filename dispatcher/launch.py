"""From a journaled plan to deliveries on their way: permits before the commit, rows and first bytes right after it."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime
from functools import partial
from typing import Protocol

from dispatcher.journal import store
from dispatcher.journal.base import BUSY_PAUSE, Journal
from dispatcher.model.alert import Alert
from dispatcher.model.delivery import AlertId, Delivery, DeliveryState
from dispatcher.model.errors import JournalBusy
from dispatcher.permits import Grant, Permits
from dispatcher.setup import Setup
from dispatcher.telemetry import logger

log = logger("launch")

BATCH = 200


@dataclass(frozen=True, slots=True)
class Outgoing:
    """A delivery on its way, with the frozen alert that holds its text."""

    delivery: Delivery
    alert: Alert


class Outbox(Protocol):
    """Who carries deliveries out: the worker, or a test."""

    def start(self, outgoing: Sequence[Outgoing]) -> None:
        """Carry out now what is journaled as sending and holds its permits."""

    def enqueue(self, outgoing: Sequence[Outgoing]) -> None:
        """Carry out what is queued when it is due and gets its permits."""

    def give_back(self, outgoing: Sequence[Outgoing]) -> None:
        """Return permits of what does not leave after all; who waited for them may go."""

    def overtaken(self, delivery: Delivery) -> bool:
        """Whether a later text waits behind this one on its lane."""


@dataclass(slots=True)
class Boarding:
    """Alerts that hold their permits and wait for the commit."""

    launch: Launch
    alerts: tuple[Alert, ...]
    gone: bool = False

    def go(self, at: datetime) -> None:
        """The plan is on disk: what is not held leaves, released ``at`` that time."""
        self.gone = True
        for alert in self.alerts:
            self.launch.go(alert, None if alert.held else at)


class Launch:
    """Takes permits for a plan, writes its rows, hands it to the outbox."""

    def __init__(self, journal: Journal, permits: Permits, setup: Setup, outbox: Outbox) -> None:
        """``setup`` names the channels that permits are taken for."""
        self._journal, self._permits, self._setup, self._outbox = journal, permits, setup, outbox
        self._writing: dict[AlertId, asyncio.Task[None]] = {}

    @contextmanager
    def boarding(self, alerts: Iterable[Alert]) -> Iterator[Boarding]:
        """``alerts`` with every channel that gets its permits now beginning as sending, the rest staying queued.

        Where nobody says `Boarding.go` before the block ends, nothing was written and the permits go back.
        """
        boarding = Boarding(self, tuple(self._board(alert) for alert in alerts))
        try:
            yield boarding
        finally:
            if not boarding.gone:
                for alert in boarding.alerts:
                    self._unboard(alert)

    def _board(self, alert: Alert) -> Alert:
        profiles = self._setup.profiles
        queued = alert.deliveries((p for p in alert.plan if p.state is DeliveryState.QUEUED), None)
        granted = (one for one in queued if self._permits.take(one, profiles[one.channel]) is Grant.YES)
        return store.as_started(alert, frozenset(one.channel for one in granted))

    def _unboard(self, alert: Alert) -> None:
        boarded = (planned for planned in alert.plan if planned.state is DeliveryState.SENDING)
        self._outbox.give_back([Outgoing(one, alert) for one in alert.deliveries(boarded, None)])

    def go(self, alert: Alert, released_at: datetime | None) -> None:
        """The plan is on disk: its rows follow, what is boarded leaves now, the rest queues."""
        writes = self._submit(alert, released_at)
        self._writing[alert.id] = asyncio.create_task(self._until_rows(alert, released_at, writes))
        outgoing = [Outgoing(one, alert) for one in alert.deliveries(alert.plan, released_at)]
        self._outbox.start([o for o in outgoing if o.delivery.state is DeliveryState.SENDING])
        self._outbox.enqueue([o for o in outgoing if o.delivery.state is DeliveryState.QUEUED])

    def queue(self, outgoing: Sequence[Outgoing]) -> None:
        """Hand on what a person's decision made ours to send."""
        self._outbox.enqueue(outgoing)

    def stand_in(self, called: Sequence[tuple[Delivery, Alert]]) -> None:
        """Hand on standbys that became ours to send because what they stood by for failed."""
        self.queue([Outgoing(delivery, alert) for delivery, alert in called])

    def overtaken(self, delivery: Delivery) -> bool:
        """Whether a later text waits behind this one on its lane."""
        return self._outbox.overtaken(delivery)

    async def rows_written(self, alert: AlertId) -> None:
        """Wait until the rows of ``alert`` are on disk; at once where they are already."""
        task = self._writing.get(alert)
        if task is not None:
            await asyncio.shield(task)

    def _submit(self, alert: Alert, released_at: datetime | None) -> list[asyncio.Future[None]]:
        """All batches into the writer at once, so that they lie before whatever is journaled about them next."""
        batches = [alert.plan[at : at + BATCH] for at in range(0, len(alert.plan), BATCH)]
        units = [partial(store.write_rows, alert=alert, planned=b, released_at=released_at) for b in batches]
        return [self._journal.write(unit) for unit in units]

    async def _until_rows(self, alert: Alert, released_at: datetime | None, writes: list[asyncio.Future[None]]) -> None:
        try:
            while not await self._are_written(alert, writes):
                await asyncio.sleep(BUSY_PAUSE)
                writes = self._submit(alert, released_at)
        finally:
            del self._writing[alert.id]

    async def _are_written(self, alert: Alert, writes: list[asyncio.Future[None]]) -> bool:
        results = await asyncio.gather(*writes, return_exceptions=True)
        errors = [result for result in results if isinstance(result, BaseException)]
        if errors and not isinstance(errors[0], JournalBusy):
            raise errors[0]
        if errors:
            log.warning("rows_wait", alert=alert.id, error=str(errors[0]))
            return False
        return len(writes) == 1 or await self._finish(alert)

    async def _finish(self, alert: Alert) -> bool:
        """Only after every batch of several: until then a restart rebuilds the rows from the plan."""
        try:
            await self._journal.write(partial(store.finish_rows, alert=alert.id))
        except JournalBusy:
            return False
        return True
