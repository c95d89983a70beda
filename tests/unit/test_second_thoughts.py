"""What people decide late: old times, old texts and confidential facts do not slip out with a later press of a button."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from datetime import timedelta
from pathlib import Path

import pytest
from house import Sluice, deployment, playbook, road, speak, until

from dispatcher.decisions.releasing import Releasing
from dispatcher.journal.queries import Fact
from dispatcher.journal.units import T, Unit
from dispatcher.model.alert import Purpose
from dispatcher.model.command import Release
from dispatcher.model.errors import Conflict, JournalBusy
from dispatcher.pager import Pager
from dispatcher.plan.pages import Cause, Page


async def test_an_alert_held_for_too_long_is_not_released(tmp_path: Path) -> None:
    """A release after the alert's own time would publish times that are long over: it is refused."""
    async with road(tmp_path, deployment(playbook(release="one_person"))) as found:
        await found.receive()
        alert, digest = await found.held()
        found.push(timedelta(hours=26))
        with pytest.raises(Conflict, match="times in its text are over"):
            await found.pipeline.command(Release(person="anna", alert=alert, digest=digest))


class Closing(Sluice):
    """A journal that cannot be read any more once something was written."""

    written = False

    def write(self, unit: Unit[T]) -> asyncio.Future[T]:
        """Write ``unit``."""
        self.written = True
        return super().write(unit)

    async def read(self, unit: Unit[T]) -> T:
        """Read, or not."""
        if self.written:
            raise JournalBusy("database is locked")
        return await super().read(unit)


async def test_a_release_that_is_on_disk_leaves(tmp_path: Path) -> None:
    """Nothing stands between a release's commit and its first byte: not even a journal that cannot be read just then."""
    async with road(tmp_path, deployment(playbook(release="one_person"))) as found:
        await found.receive()
        await found.quiet()
        alert, digest = await found.held()
        releasing = Releasing(replace(found.pipeline.decisions.means, journal=Closing(found.journal.journal)))
        await releasing.decide(Release(person="anna", alert=alert, digest=digest))
        await found.quiet()
        assert found.said("website") == [(Purpose.ALERT, "i1")]


async def test_what_a_machine_said_in_confidence_stays_with_us(tmp_path: Path) -> None:
    """A later text by a person does not inherit a fact that is not public; what the person says anew goes out."""
    text = {"headline": "Lage", "long": "Tor {{ gate }}, Opfer {{ victim }}.", "short": "{{ gate }} {{ victim }}"}
    facts = {"gate": {"sample": "Nord", "public": True}, "victim": {"sample": "X"}}
    updates = {"more": {"title": "x", "texts": {"de": text}}}
    async with road(tmp_path, deployment(playbook(facts=facts, updates=updates))) as found:
        await found.receive(facts={"gate": "Süd", "victim": "Zimmer 12"})
        await found.quiet()
        await found.pipeline.command(speak(Purpose.UPDATE, name="more"))
        await found.quiet()
        said = found.fakes["website"].posts[-1].text.body

    assert "Tor Süd" in said
    assert "Zimmer 12" not in said


async def test_a_page_that_cannot_be_written_is_tried_again(tmp_path: Path) -> None:
    """A busy journal delays a page; it neither loses it nor ends the pager."""
    async with road(tmp_path, deployment(playbook(release="one_person"))) as found:
        await found.receive()
        refusals = [JournalBusy("full"), JournalBusy("full")]
        paged: list[Page] = []

        class Road:
            async def page(self, page: Page, raw: bytes, key: str) -> None:
                if refusals:
                    raise refusals.pop()
                paged.append(page)

        pager = Pager(Road(), found.journal, found.clock)
        running = asyncio.create_task(pager.run())
        alert, _ = await found.held()
        await pager([Fact(1, found.clock.now(), "delivery.failed", f"{alert}:website", {})])
        await until(lambda: bool(paged))
        running.cancel()

    assert [page.cause for page in paged] == [Cause.FAILED]
