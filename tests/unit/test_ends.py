"""An end is an end: it reaches all who heard, stops all that was to follow, and is nobody's but a person's."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from functools import partial
from pathlib import Path

import pytest
from house import (
    LEER,
    PERMANENT,
    TEMPORARY,
    Road,
    always,
    deployment,
    in_turn,
    playbook,
    road,
    speak,
    until,
)

from dispatcher.channels.departure import leave
from dispatcher.intake.base import Receipt
from dispatcher.journal import queries, steps
from dispatcher.model.alert import Post, Purpose
from dispatcher.model.channel import ChannelId
from dispatcher.model.command import Release, Resend
from dispatcher.model.delivery import AlertId, DeliveryId, DeliveryState, IncidentId, Outcome, Result
from dispatcher.model.deployment import Deployment
from dispatcher.model.errors import Conflict, JournalBusy
from dispatcher.testing import FakeChannel

INCIDENT = IncidentId("i1")
BY_HAND = Outcome(result=Result.BY_HAND)
ENDS = [Purpose.ALL_CLEAR, Purpose.FALSE_ALARM]


def with_release(release: str) -> Deployment:
    """A deployment whose playbook needs this release."""
    return deployment(playbook(release=release))


class Undecided(FakeChannel):
    """Stands right before its request head until it is let go, then leaves, where it may."""

    def __init__(self) -> None:
        """Waits for ``gate``."""
        super().__init__()
        self.gate, self.turned_away = asyncio.Event(), 0

    async def send(self, post: Post) -> Outcome:
        """Wait, then leave, then post."""
        await self.gate.wait()
        self.turned_away += 1
        leave()
        self.turned_away -= 1
        self.posts.append(post)
        return Outcome(result=Result.ACCEPTED)


@pytest.mark.parametrize("purpose", ENDS)
async def test_an_end_reaches_exactly_the_carriers(purpose: Purpose, tmp_path: Path) -> None:
    """An end goes to every channel that carried the alert or may have, to no other, and closes the incident."""
    handlers: dict[str, Callable[[Post], Awaitable[Outcome]]] = {
        "facebook_leer": always(PERMANENT), "website": in_turn(BY_HAND),
    }  # fmt: skip
    async with road(tmp_path, **handlers) as found:
        await found.receive()
        await found.quiet()
        end = AlertId(await found.pipeline.command(speak(purpose)))
        await found.quiet()
        assert await found.states(alert=end) == {"whatsapp-leer": "accepted", "website": "accepted"}
        assert found.said("whatsapp-leer") == [(Purpose.ALERT, "i1"), (purpose, "i1")]
        assert found.said("facebook-emden") == []
        assert (await found.states(alert=(await found.alerts())[0].alert.id))["website"] == "superseded"
        history = await found.journal.read(partial(queries.history, incident=INCIDENT))
        assert not history.open


async def test_an_end_stops_what_waits_right_before_its_head(tmp_path: Path) -> None:
    """A send that has not written its request head when the end is journaled never leaves and ends as superseded."""
    async with road(tmp_path) as found:
        website = found.replace_channel("website", Undecided())
        await found.receive()
        await until(lambda: found.worker.open == 1)
        await found.pipeline.command(speak())
        website.gate.set()
        await found.quiet()
        alert, end = await found.alerts()
        assert (await found.states(alert=alert.alert.id))["website"] == "superseded"
        assert [post.purpose for post in website.posts] == [Purpose.FALSE_ALARM]
        attempts = await found.journal.read(partial(queries.attempts, wanted=DeliveryId(f"{alert.alert.id}:website")))
        assert [a["result"] for a in attempts] == ["never_left"]
        assert (await found.states(alert=end.alert.id))["website"] == "accepted"


async def test_a_person_who_narrows_the_area_stops_what_waits_there(tmp_path: Path) -> None:
    """Where a person's own event leaves a channel behind, a text right before its request head does not leave any more."""
    async with road(tmp_path) as found:
        slow = found.replace_channel("facebook-leer", Undecided())
        await found.receive(area={"regions": ["leer", "emden"]})
        await until(lambda: found.worker.open == 1)
        await found.receive("operator:anna", id="2", msg_type="update", area={"regions": ["emden"]})
        slow.gate.set()
        await found.quiet()
        assert [post.purpose for post in slow.posts] == [Purpose.ALL_CLEAR]


async def untold(found: Road) -> asyncio.Task[Receipt]:
    """An alert of Leer and Emden whose text waits for Emden's page while Anna says by an event that it is Leer alone."""
    found.permits.hold(found.deployment.channels[ChannelId("facebook-emden")], 5)
    await found.receive(area={"regions": ["leer", "emden"]})
    await until(lambda: found.worker.open == 1)
    found.journal.opened.clear()
    narrowing = asyncio.create_task(
        found.receive("operator:anna", id="2", msg_type="update", playbooks=["amok"], area={"regions": ["leer"]})
    )
    await until(lambda: found.journal.waiting == 1)
    return narrowing


@pytest.mark.parametrize("restarts", [False, True])
async def test_a_text_that_never_left_does_not_reach_whom_the_area_leaves_behind(
    restarts: bool, tmp_path: Path
) -> None:
    """Where nothing was said yet a person's smaller area has nobody to tell there, but what waits does not leave."""
    async with road(tmp_path) as found:
        narrowing = await untold(found)
        found.journal.open()
        await narrowing
        if not restarts:
            await found.push_until_quiet()
        assert (await found.states(alert=(await found.alerts())[0].alert.id))["facebook-emden"] == "superseded"
        assert found.said("facebook-emden") == []
    async with road(tmp_path) as after:
        await after.push_until_quiet()
        assert after.said("facebook-emden") == []


async def test_a_kill_does_not_send_on_what_the_area_leaves_behind(tmp_path: Path) -> None:
    """A text whose attempt came into the journal just before a smaller area did is not sent again after a crash."""
    async with road(tmp_path) as found:
        narrowing = await untold(found)
        waiting = [one for one in await found.deliveries() if one.state is DeliveryState.QUEUED]
        start = partial(steps.start_attempts, starting=waiting, at=found.clock.now())
        assert len((await found.journal.journal.write(start)).started) == 1
        found.journal.open()
        await narrowing
    async with road(tmp_path) as after:
        await after.push_until_quiet()
        [old] = await after.deliveries(channel="facebook-emden")
        assert (after.said("facebook-emden"), old.state, old.doubtful) == ([], "expired", True)


async def test_an_end_stops_retries(tmp_path: Path) -> None:
    """What waits to be tried again when the end comes is never tried again, and gets no end where nothing was said."""
    async with road(tmp_path, website=always(TEMPORARY)) as found:
        await found.receive()
        await until(lambda: found.worker.open == 1 and found.said("website") != [])
        await until(lambda: not found.permits._lanes)
        tries = len(found.said("website"))
        await found.pipeline.command(speak())
        await found.push_until_quiet()
        assert len(found.said("website")) == tries
        alert, end = await found.alerts()
        assert (await found.states(alert=alert.alert.id))["website"] == "superseded"
        assert set(await found.states(alert=end.alert.id)) == LEER - {"website"}


@pytest.mark.parametrize("purpose", ENDS)
async def test_an_alert_that_reached_nobody_can_be_ended(purpose: Purpose, tmp_path: Path) -> None:
    """Where nothing was said yet an end has nobody to tell, but stops everything that waits."""
    handlers = {name.replace("-", "_"): always(TEMPORARY) for name in LEER}
    async with road(tmp_path, **handlers) as found:
        await found.receive()
        await until(lambda: found.worker.open == 3 and not found.permits._lanes)
        tries = {name: len(found.said(name)) for name in LEER}
        await found.pipeline.command(speak(purpose))
        await found.push_until_quiet()
        assert {name: len(found.said(name)) for name in LEER} == tries
        assert set((await found.states()).values()) == {"superseded"}
        assert [record.state for record in await found.alerts()] == ["released", "released"]


async def test_an_end_overtakes_what_is_held(tmp_path: Path) -> None:
    """A false alarm ends an alert that still waits for its release; nobody can release it any more."""
    async with road(tmp_path, with_release("one_person")) as found:
        await found.receive()
        alert, digest = await found.held()
        await found.pipeline.command(speak())
        assert set((await found.states()).values()) == {"superseded"}
        with pytest.raises(Conflict, match="is superseded, not held"):
            await found.pipeline.command(Release(person="ben", alert=alert, digest=digest))


async def test_a_held_update_does_not_outlive_the_end(tmp_path: Path) -> None:
    """An update that waits for a release is not released after the incident has ended."""
    book = playbook(release={"severe": "automatic", "extreme": "two_persons"})
    async with road(tmp_path, deployment(book)) as found:
        await found.receive(severity="severe")
        await found.quiet()
        await found.receive(id="2", msg_type="cancel")
        end, end_digest = await found.held(1)
        await found.receive(id="3", severity="extreme", area={"regions": ["emden"]}, place="Hafen")
        update, digest = await found.held(2)
        await found.pipeline.command(Release(person="anna", alert=end, digest=end_digest))
        for person in ("anna", "ben"):
            with pytest.raises(Conflict, match="is superseded, not held"):
                await found.pipeline.command(Release(person=person, alert=update, digest=digest))
        await found.quiet()
        assert found.said("facebook-emden") == []


async def test_a_prepared_end_is_released(tmp_path: Path) -> None:
    """The all-clear that a machine's cancel prepared goes out with a person's release and closes the incident."""
    async with road(tmp_path) as found:
        await found.receive()
        await found.quiet()
        await found.receive(id="2", msg_type="cancel")
        end, digest = await found.held(1)
        await found.pipeline.command(Release(person="anna", alert=end, digest=digest))
        await found.quiet()
        assert await found.states(alert=end) == dict.fromkeys(LEER, "accepted")
        with pytest.raises(Conflict, match="is not open"):
            await found.pipeline.command(speak())


async def test_a_prepared_end_leaves_nobody_out(tmp_path: Path) -> None:
    """Where a channel carried the alert only after the end was prepared, the end is refused rather than incomplete."""
    async with road(tmp_path, website=in_turn(TEMPORARY)) as found:
        await found.receive()
        await until(lambda: found.worker.open == 1 and not found.permits._lanes)
        await found.receive(id="2", msg_type="cancel")
        end, digest = await found.held(1)
        await found.push_until_quiet()
        with pytest.raises(Conflict, match="website carried the alert meanwhile"):
            await found.pipeline.command(Release(person="anna", alert=end, digest=digest))
        await found.pipeline.command(speak(Purpose.ALL_CLEAR))
        await found.quiet()
        assert found.said("website")[-1] == (Purpose.ALL_CLEAR, "i1")


async def test_an_update_replaces_a_prepared_end(tmp_path: Path) -> None:
    """Where an update goes out after an end was prepared, that end says what is not true any more and is over."""
    async with road(tmp_path) as found:
        await found.receive()
        await found.quiet()
        await found.receive(id="2", msg_type="cancel")
        end, digest = await found.held(1)
        await found.pipeline.command(speak(Purpose.UPDATE))
        await found.quiet()
        with pytest.raises(Conflict, match="is superseded, not held"):
            await found.pipeline.command(Release(person="anna", alert=end, digest=digest))
        history = await found.journal.read(partial(queries.history, incident=INCIDENT))
        assert history.open


async def test_an_end_that_was_not_written_stops_nothing(tmp_path: Path) -> None:
    """Where the disk is full the end did not happen: the alert goes on, and the end can be said later."""
    async with road(tmp_path, website=in_turn(TEMPORARY)) as found:
        await found.receive()
        await until(lambda: found.worker.open == 1 and not found.permits._lanes)
        await found.fill_disk()
        with pytest.raises(JournalBusy):
            await found.pipeline.command(speak(place="x" * 20_000))
        await found.empty_disk()
        await found.push_until_quiet()
        assert set((await found.states()).values()) == {"accepted"}
        await found.pipeline.command(speak(place="x" * 20_000))
        await found.quiet()
        assert found.said("website")[-1] == (Purpose.FALSE_ALARM, "i1")


async def test_two_people_end_it_at_once(tmp_path: Path) -> None:
    """Of two ends at the same moment one is said, and the other hears that it is over."""
    async with road(tmp_path) as found:
        await found.receive()
        await found.quiet()
        commands = [speak(person=person) for person in ("anna", "ben")]
        results = await asyncio.gather(*map(found.pipeline.command, commands), return_exceptions=True)
        await found.quiet()
        assert [type(result) for result in results] == [str, Conflict]
        assert found.said("website")[1:] == [(Purpose.FALSE_ALARM, "i1")]


async def test_nothing_is_sent_again_after_the_end(tmp_path: Path) -> None:
    """A failed delivery of an incident that has ended stays failed."""
    async with road(tmp_path, website=in_turn(PERMANENT)) as found:
        await found.receive()
        await found.quiet()
        (failed,) = [d for d in await found.deliveries() if d.channel == "website"]
        await found.pipeline.command(speak())
        with pytest.raises(Conflict, match="has ended"):
            await found.pipeline.command(Resend(person="anna", delivery=failed.id))
        await found.quiet()


async def test_an_end_that_did_not_come_to_be_costs_no_attempt(tmp_path: Path) -> None:
    """A send that met the fence of an end which then could not be written leaves after all, as if nothing had been."""
    async with road(tmp_path) as found:
        website = found.replace_channel("website", Undecided())
        await found.receive()
        await until(lambda: found.worker.open == 1)
        found.journal.opened.clear()
        speaking = asyncio.create_task(found.pipeline.command(speak()))
        await until(lambda: found.journal.waiting == 1)
        website.gate.set()
        await until(lambda: website.turned_away == 1)
        found.journal.open(refusals=1)
        with pytest.raises(JournalBusy):
            await speaking
        await found.quiet()
        assert await found.states() == dict.fromkeys(LEER, "accepted")
        assert found.said("website") == [(Purpose.ALERT, "i1")]
        (delivery,) = await found.deliveries(channel="website")
        attempts = await found.journal.read(partial(queries.attempts, wanted=delivery.id))
        assert [attempt["result"] for attempt in attempts] == ["never_left", "accepted"]


@pytest.mark.parametrize("msg_type", ["alert", "update"])
async def test_a_machine_that_goes_on_stays_held(msg_type: str, tmp_path: Path) -> None:
    """After an end not only a machine's first word is held, but its next one as well, until a person has spoken."""
    async with road(tmp_path) as found:
        await found.receive()
        await found.quiet()
        await found.pipeline.command(speak())
        await found.receive(id="2")
        await found.receive(id="3", msg_type=msg_type)
        await found.quiet()
        assert [record.state for record in await found.alerts()] == ["released", "released", "held", "held"]
        assert [purpose for purpose, _ in found.said("website")] == [Purpose.ALERT, Purpose.FALSE_ALARM]
        alert, digest = await found.held(2)
        await found.pipeline.command(Release(person="anna", alert=alert, digest=digest))
        await found.receive(id="4", msg_type="update")
        await found.quiet()
        assert found.said("website")[2:] == [(Purpose.ALERT, "i1"), (Purpose.UPDATE, "i1")]


async def test_one_end_is_enough(tmp_path: Path) -> None:
    """Of two prepared ends the release of either one settles both: nobody is asked about the other any more."""
    async with road(tmp_path) as found:
        await found.receive()
        await found.quiet()
        for number in ("2", "3"):
            await found.receive(id=number, msg_type="cancel")
        end, digest = await found.held(1)
        await found.pipeline.command(Release(person="anna", alert=end, digest=digest))
        await found.quiet()
        assert [record.state for record in await found.alerts()] == ["released", "superseded", "released"]
        assert await found.states(alert=(await found.held(1))[0]) == dict.fromkeys(LEER, "superseded")
        assert [purpose for purpose, _ in found.said("website")] == [Purpose.ALERT, Purpose.ALL_CLEAR]
