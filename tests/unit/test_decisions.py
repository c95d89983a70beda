"""What people decide: it is written with their name, then it happens, and an end is an end."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import replace
from datetime import timedelta
from functools import partial
from pathlib import Path

import pytest
from house import (
    LEER,
    PERMANENT,
    TEMPORARY,
    Road,
    always,
    channel,
    deployment,
    in_turn,
    playbook,
    road,
    until,
)

from dispatcher.channels.departure import leave
from dispatcher.journal import queries
from dispatcher.model.alert import Post, Purpose
from dispatcher.model.command import Confirm, Reject, Release, Resend, Speak
from dispatcher.model.delivery import AlertId, DeliveryId, IncidentId, Outcome, Result
from dispatcher.model.deployment import Deployment
from dispatcher.model.errors import Conflict, Invalid, JournalBusy, NotFound
from dispatcher.testing import FakeChannel

INCIDENT = IncidentId("i1")
BY_HAND = Outcome(result=Result.BY_HAND)
ENDS = [Purpose.ALL_CLEAR, Purpose.FALSE_ALARM]


def speak(purpose: Purpose = Purpose.FALSE_ALARM, key: str = "k1", **changes: object) -> Speak:
    """Anna says something about the incident."""
    return replace(Speak(person="anna", incident=INCIDENT, purpose=purpose, key=key), **changes)


def with_release(release: str) -> Deployment:
    """A deployment whose playbook needs this release."""
    return deployment(playbook(release=release))


async def held(found: Road, at: int = 0) -> tuple[AlertId, str]:
    """Id and digest of the incident's alert at this position."""
    record = (await found.alerts())[at]
    return record.alert.id, record.digest


class Undecided(FakeChannel):
    """Stands right before its request head until it is let go, then leaves."""

    gate = asyncio.Event()

    async def send(self, post: Post) -> Outcome:
        """Wait, then leave, then post."""
        await self.gate.wait()
        leave()
        self.posts.append(post)
        return Outcome(result=Result.ACCEPTED)


async def test_two_persons_release(tmp_path: Path) -> None:
    """What needs two persons leaves with the second one's release, and one person counts once."""
    async with road(tmp_path, with_release("two_persons")) as found:
        await found.receive()
        alert, digest = await held(found)
        for person in ("anna", "anna"):
            await found.pipeline.command(Release(person=person, alert=alert, digest=digest))
        await found.quiet()
        assert set((await found.states()).values()) == {"held"}
        await found.pipeline.command(Release(person="ben", alert=alert, digest=digest))
        await found.quiet()
        assert set((await found.states()).values()) == {"accepted"}
        (record,) = await found.alerts()
        assert (record.state, sorted(record.released_by)) == ("released", ["anna", "ben"])


async def test_a_trigger_is_the_first_release(tmp_path: Path) -> None:
    """Who triggers an alert has released it; a second person completes it, the first one alone does not."""
    async with road(tmp_path, with_release("two_persons")) as found:
        await found.receive("operator:anna")
        alert, digest = await held(found)
        await found.pipeline.command(Release(person="anna", alert=alert, digest=digest))
        assert set((await found.states()).values()) == {"held"}
        await found.pipeline.command(Release(person="ben", alert=alert, digest=digest))
        await found.quiet()
        assert set((await found.states()).values()) == {"accepted"}


async def test_the_deadline_counts_from_the_release(tmp_path: Path) -> None:
    """What was released late has its whole time to be delivered."""
    async with road(tmp_path, with_release("one_person"), website=always(TEMPORARY)) as found:
        await found.receive()
        found.push(timedelta(minutes=15))
        alert, digest = await held(found)
        await found.pipeline.command(Release(person="anna", alert=alert, digest=digest))
        await until(lambda: found.said("website") != [])
        (delivery,) = [d for d in await found.deliveries() if d.channel == "website"]
        assert delivery.released_at == found.clock.now()
        assert delivery.deadline_at == found.clock.now() + timedelta(minutes=20)


async def test_a_wrong_digest_releases_nothing(tmp_path: Path) -> None:
    """Who has seen something else releases nothing."""
    async with road(tmp_path, with_release("one_person")) as found:
        await found.receive()
        alert, _ = await held(found)
        with pytest.raises(Conflict, match="digest"):
            await found.pipeline.command(Release(person="anna", alert=alert, digest="0" * 64))
        (record,) = await found.alerts()
        assert (record.state, record.released_by) == ("held", ())


async def test_a_rejection_ends_the_alert(tmp_path: Path) -> None:
    """One person's rejection ends a held alert; it cannot be released or rejected any more."""
    async with road(tmp_path, with_release("one_person")) as found:
        await found.receive()
        alert, digest = await held(found)
        await found.pipeline.command(Reject(person="ben", alert=alert, reason="known drill"))
        assert set((await found.states()).values()) == {"cancelled"}
        for command in (Release(person="anna", alert=alert, digest=digest), Reject(person="ben", alert=alert)):
            with pytest.raises(Conflict, match="is rejected, not held"):
                await found.pipeline.command(command)
        assert not any(found.said(name) for name in LEER)


@pytest.mark.parametrize(
    "command",
    [
        Release(person="anna", alert=AlertId("none"), digest=""),
        Reject(person="anna", alert=AlertId("none")),
        Confirm(person="anna", delivery=DeliveryId("none")),
        Resend(person="anna", delivery=DeliveryId("none")),
        speak(),
    ],
)
async def test_what_does_not_exist_is_not_found(command: Release, tmp_path: Path) -> None:
    """A command about something that does not exist says so."""
    async with road(tmp_path) as found:
        with pytest.raises(NotFound):
            await found.pipeline.command(command)


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
        Undecided.gate.set()
        await found.quiet()
        alert, end = await found.alerts()
        assert (await found.states(alert=alert.alert.id))["website"] == "superseded"
        assert [post.purpose for post in website.posts] == [Purpose.FALSE_ALARM]
        attempts = await found.journal.read(partial(queries.attempts, wanted=DeliveryId(f"{alert.alert.id}:website")))
        assert [a["result"] for a in attempts] == ["never_left"]
        assert (await found.states(alert=end.alert.id))["website"] == "accepted"


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
        alert, digest = await held(found)
        await found.pipeline.command(speak())
        assert set((await found.states()).values()) == {"superseded"}
        with pytest.raises(Conflict, match="is superseded, not held"):
            await found.pipeline.command(Release(person="ben", alert=alert, digest=digest))


async def test_a_held_update_does_not_outlive_the_end(tmp_path: Path) -> None:
    """An update that waits for a release is not released after the incident has ended."""
    book = playbook(release={"extreme": "automatic", "severe": "two_persons"})
    async with road(tmp_path, deployment(book)) as found:
        await found.receive()
        await found.quiet()
        await found.receive(id="2", msg_type="cancel")
        end, end_digest = await held(found, 1)
        await found.receive(id="3", severity="severe", area={"regions": ["emden"]}, place="Hafen")
        update, digest = await held(found, 2)
        await found.pipeline.command(Release(person="anna", alert=end, digest=end_digest))
        for person in ("anna", "ben"):
            with pytest.raises(Conflict, match="has ended"):
                await found.pipeline.command(Release(person=person, alert=update, digest=digest))
        await found.quiet()
        assert found.said("facebook-emden") == []


async def test_a_prepared_end_is_released(tmp_path: Path) -> None:
    """The all-clear that a machine's cancel prepared goes out with a person's release and closes the incident."""
    async with road(tmp_path) as found:
        await found.receive()
        await found.quiet()
        await found.receive(id="2", msg_type="cancel")
        end, digest = await held(found, 1)
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
        end, digest = await held(found, 1)
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
        end, digest = await held(found, 1)
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


async def test_a_repeated_key_says_it_once(tmp_path: Path) -> None:
    """The same person's same key again finds what was said the first time, for updates as for ends."""
    async with road(tmp_path) as found:
        await found.receive()
        await found.quiet()
        for purpose in (Purpose.UPDATE, Purpose.ALL_CLEAR):
            first, second = [await found.pipeline.command(speak(purpose)) for _ in range(2)]
            assert first == second
        await found.quiet()
        assert [purpose for purpose, _ in found.said("website")] == [Purpose.ALERT, Purpose.UPDATE, Purpose.ALL_CLEAR]


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


async def test_a_named_update_says_its_own_text(tmp_path: Path) -> None:
    """A named update speaks its own words with its facts; without a fact it needs, or by a wrong name, it is refused."""
    text = {"headline": "Treffpunkt", "long": "Kommen Sie zur {{ hall }}.", "short": "{{ hall }}"}
    shelter = {"title": "x", "facts": {"hall": {"sample": "Halle", "required": True}}, "texts": {"de": text}}
    async with road(tmp_path, deployment(playbook(updates={"shelter": shelter}))) as found:
        await found.receive()
        await found.quiet()
        with pytest.raises(Invalid, match="no update 'x'"):
            await found.pipeline.command(speak(Purpose.UPDATE, name="x"))
        with pytest.raises(Invalid, match="the text needs hall"):
            await found.pipeline.command(speak(Purpose.UPDATE, name="shelter"))
        await found.pipeline.command(speak(Purpose.UPDATE, name="shelter", facts={"hall": "Stadthalle"}))
        await found.quiet()
        assert "Kommen Sie zur Stadthalle." in found.fakes["website"].posts[-1].text.body


async def test_an_update_needs_a_channel(tmp_path: Path) -> None:
    """An update that nobody is left to say is refused, as is one on an incident that no playbook speaks for."""
    async with road(tmp_path, deployment(channels=(channel("facebook-emden", "emden"),))) as found:
        await found.receive()
        with pytest.raises(Conflict, match="no channel is left"):
            await found.pipeline.command(speak(Purpose.UPDATE))
        await found.receive(id="2", incident="i2", kind="flood")
        with pytest.raises(Conflict, match="no playbook speaks"):
            await found.pipeline.command(speak(incident=IncidentId("i2")))


async def test_a_post_by_hand_is_confirmed(tmp_path: Path) -> None:
    """What a person was asked to post is accepted with their name and address; nothing else can be confirmed."""
    async with road(tmp_path, website=in_turn(BY_HAND)) as found:
        await found.receive()
        await found.quiet()
        (task,) = [d for d in await found.deliveries() if d.channel == "website"]
        assert task.state == "by_hand"
        await found.pipeline.command(Confirm(person="anna", delivery=task.id, url="https://a/1"))
        (done,) = [d for d in await found.deliveries() if d.channel == "website"]
        assert (done.state, done.url, done.detail) == ("accepted", "https://a/1", "posted by anna")
        with pytest.raises(Conflict, match="is accepted: nothing to confirm"):
            await found.pipeline.command(Confirm(person="anna", delivery=task.id))


async def test_a_failed_delivery_is_sent_again_by_name(tmp_path: Path) -> None:
    """A person sends a failed delivery again, with its whole time anew; what has not failed cannot be."""
    async with road(tmp_path, website=in_turn(PERMANENT)) as found:
        await found.receive()
        await found.quiet()
        found.push(timedelta(hours=2))
        (failed,) = [d for d in await found.deliveries() if d.channel == "website"]
        await found.pipeline.command(Resend(person="anna", delivery=failed.id))
        await found.quiet()
        (sent,) = [d for d in await found.deliveries() if d.channel == "website"]
        assert (sent.state, sent.attempts) == ("accepted", 2)
        with pytest.raises(Conflict, match="is accepted: it cannot be sent again"):
            await found.pipeline.command(Resend(person="anna", delivery=failed.id))
        facts = await found.journal.read(partial(queries.facts_after, seq=0, limit=1000))
        assert [f.body["note"] for f in facts if f.kind == "delivery.queued" and f.body] == ["by anna"]


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


async def test_every_decision_has_its_name_in_the_log(tmp_path: Path) -> None:
    """Release, rejection and word of a person stand in the log of facts with the name."""
    async with road(tmp_path, with_release("one_person")) as found:
        await found.receive()
        alert, digest = await held(found)
        await found.pipeline.command(Release(person="anna", alert=alert, digest=digest))
        await found.quiet()
        await found.pipeline.command(speak(person="ben"))
        await found.quiet()
        facts = await found.journal.read(partial(queries.facts_after, seq=0, limit=1000))
        assert [f.body["person"] for f in facts if f.kind == "alert.release_by"] == ["anna", "ben"]
