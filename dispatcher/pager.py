"""Endings that need a person: what failed, ran out of time, waits for hands or for a release is paged from the log."""

from __future__ import annotations

import asyncio
from collections import defaultdict
from collections.abc import Sequence
from functools import partial

from dispatcher.journal import queries
from dispatcher.journal.base import Journal
from dispatcher.journal.queries import Fact
from dispatcher.model.alert import Alert, Purpose
from dispatcher.model.delivery import AlertId
from dispatcher.model.errors import JournalBusy
from dispatcher.pipeline import Pipeline
from dispatcher.plan.pages import Cause, Page
from dispatcher.telemetry import logger

log = logger("pager")

GATHER_SECONDS = 1.0
MOST_NAMED = 20

_CAUSES = {
    "delivery.failed": Cause.FAILED,
    "delivery.expired": Cause.EXPIRED,
    "delivery.by_hand": Cause.BY_HAND,
    "delivery.in_doubt": Cause.IN_DOUBT,
}


class Pager:
    """A sink of the feed. What happens within a second to one alert is one page; pages themselves are never paged."""

    def __init__(self) -> None:
        """Nothing waits."""
        self._waiting: dict[tuple[AlertId, Cause], list[str]] = defaultdict(list)
        self._latest = 0
        self._wake = asyncio.Event()

    async def __call__(self, facts: Sequence[Fact]) -> None:
        """Note what needs a person; the last fact about a delivery counts, for a doubt may have been decided at once."""
        last = {fact.ref: fact for fact in facts if fact.kind.startswith("delivery.")}
        for fact in last.values():
            if fact.kind in _CAUSES:
                alert, _, channel = fact.ref.partition(":")
                self._waiting[AlertId(alert), _CAUSES[fact.kind]].append(channel)
        for fact in facts:
            if fact.kind == "alert.held" and fact.body.get("requested_by"):
                self._waiting[AlertId(fact.ref), Cause.HELD].append(fact.body["requested_by"])
        self._latest = facts[-1].seq
        if self._waiting:
            self._wake.set()

    async def run(self, road: Pipeline, journal: Journal) -> None:
        """Page what was noted, until cancelled."""
        while True:
            await self._wake.wait()
            await asyncio.sleep(GATHER_SECONDS)
            self._wake.clear()
            waiting, self._waiting = self._waiting, defaultdict(list)
            for (alert, cause), names in waiting.items():
                try:
                    await self._page(road, journal, alert, cause, names)
                except JournalBusy as error:  # the next round tries again
                    log.warning("page_waits", alert=alert, cause=cause, error=str(error))
                    self._waiting[alert, cause] += names
                    self._wake.set()

    async def _page(self, road: Pipeline, journal: Journal, wanted: AlertId, cause: Cause, names: list[str]) -> None:
        record = await journal.read(partial(queries.alert_record, alert=wanted))
        if record is not None and record.alert.purpose is not Purpose.PAGE:
            await self._tell(road, record.alert, cause, names)

    async def _tell(self, road: Pipeline, alert: Alert, cause: Cause, names: list[str]) -> None:
        named = sorted(set(names))
        more = f" and {len(named) - MOST_NAMED} more" if len(named) > MOST_NAMED else ""
        about = f"{alert.purpose} {alert.code} of incident {alert.incident}, {alert.place}"
        text = next((texts.first.body for texts in alert.texts.values()), "")
        await road.page(
            Page(cause, (about, f"{', '.join(named[:MOST_NAMED])}{more}")), text.encode(), f"{alert.id}/{self._latest}"
        )
