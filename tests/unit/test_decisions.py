"""What people decide: it is written with their name, and then it happens."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from datetime import timedelta
from functools import partial
from pathlib import Path

import pytest
from house import (
    CHANNELS,
    DOUBT,
    LEER,
    PERMANENT,
    TEMPORARY,
    always,
    channel,
    deployment,
    in_turn,
    moment,
    playbook,
    road,
    speak,
    until,
)

from dispatcher.journal import queries
from dispatcher.model.alert import Post, Purpose
from dispatcher.model.channel import InDoubt
from dispatcher.model.command import Confirm, Reject, Release, Resend
from dispatcher.model.delivery import AlertId, DeliveryId, IncidentId, Outcome, Result
from dispatcher.model.deployment import Deployment
from dispatcher.model.errors import Conflict, Invalid, NotFound

BY_HAND = Outcome(result=Result.BY_HAND)


def with_release(release: str) -> Deployment:
    """A deployment whose playbook needs this release."""
    return deployment(playbook(release=release))


async def test_two_persons_release(tmp_path: Path) -> None:
    """What needs two persons leaves with the second one's release, and one person counts once."""
    async with road(tmp_path, with_release("two_persons")) as found:
        await found.receive()
        alert, digest = await found.held()
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
        alert, digest = await found.held()
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
        alert, digest = await found.held()
        await found.pipeline.command(Release(person="anna", alert=alert, digest=digest))
        await until(lambda: found.said("website") != [])
        (delivery,) = [d for d in await found.deliveries() if d.channel == "website"]
        assert delivery.released_at == found.clock.now()
        assert delivery.deadline_at == found.clock.now() + timedelta(minutes=20)


async def test_a_wrong_digest_releases_nothing(tmp_path: Path) -> None:
    """Who has seen something else releases nothing."""
    async with road(tmp_path, with_release("one_person")) as found:
        await found.receive()
        alert, _ = await found.held()
        with pytest.raises(Conflict, match="digest"):
            await found.pipeline.command(Release(person="anna", alert=alert, digest="0" * 64))
        (record,) = await found.alerts()
        assert (record.state, record.released_by) == ("held", ())


async def test_a_rejection_ends_the_alert(tmp_path: Path) -> None:
    """One person's rejection ends a held alert; it cannot be released or rejected any more."""
    async with road(tmp_path, with_release("one_person")) as found:
        await found.receive()
        alert, digest = await found.held()
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
        with pytest.raises(Conflict, match="is accepted: only what failed or is in doubt is sent again"):
            await found.pipeline.command(Resend(person="anna", delivery=failed.id))
        facts = await found.journal.read(partial(queries.facts_after, seq=0, limit=1000))
        assert [f.body["note"] for f in facts if f.kind == "delivery.queued" and f.body] == ["by anna"]


@pytest.mark.parametrize(("release", "state"), [("two_persons", "held"), ("automatic", "sending")])
async def test_what_waits_or_is_under_way_is_not_sent_again(release: str, state: str, tmp_path: Path) -> None:
    """Sending again is no way around a release, and nobody's second post while the first is on its way."""
    gate = asyncio.Event()

    async def hang(_: Post) -> Outcome:
        await gate.wait()
        return Outcome(result=Result.ACCEPTED)

    async with road(tmp_path, with_release(release), website=hang) as found:
        await found.receive()
        await until(lambda: found.worker.open == (state == "sending"))
        (waiting,) = await found.deliveries(channel="website")
        with pytest.raises(Conflict, match=f"is {state}: only what failed or is in doubt"):
            await found.pipeline.command(Resend(person="anna", delivery=waiting.id))
        gate.set()
        await found.quiet()
        assert len(found.said("website")) == (state == "sending")


async def test_a_doubt_that_waits_for_a_person_is_sent_again(tmp_path: Path) -> None:
    """Where a channel may not repeat by itself, a person says that it shall, and the text says that it repeats."""
    patient = tuple(replace(c, in_doubt=InDoubt.HOLD) for c in CHANNELS)
    async with road(tmp_path, deployment(channels=patient), website=in_turn(DOUBT)) as found:
        await found.receive()
        await found.quiet()
        (doubt,) = await found.deliveries(channel="website")
        assert doubt.state == "in_doubt"
        await found.pipeline.command(Resend(person="anna", delivery=doubt.id))
        await found.quiet()
        assert (await found.states())["website"] == "accepted"
        assert found.fakes["website"].posts[-1].text.body.startswith("Wiederholung")


async def test_nothing_is_sent_again_on_a_channel_that_is_gone(tmp_path: Path) -> None:
    """A failed delivery of a channel that is not configured any more stays failed, and everything else goes on."""
    async with road(tmp_path, website=always(PERMANENT)) as found:
        await found.receive()
        await found.quiet()
    left = tuple(c for c in CHANNELS if c.id != "website")
    async with road(tmp_path, deployment(channels=left)) as found:
        (failed,) = await found.deliveries(channel="website")
        with pytest.raises(Conflict, match="website is not configured any more"):
            await found.pipeline.command(Resend(person="anna", delivery=failed.id))
        await found.pipeline.command(speak(Purpose.UPDATE))
        await found.quiet()
        assert found.said("facebook-leer") == [(Purpose.UPDATE, "i1")]


async def test_what_is_over_is_not_released(tmp_path: Path) -> None:
    """An alert whose own time passed while it was held is refused instead of released to expire unsaid."""
    async with road(tmp_path, with_release("one_person")) as found:
        await found.receive(expires=moment(1).isoformat())
        alert, digest = await found.held()
        found.push(timedelta(minutes=1))
        with pytest.raises(Conflict, match="its time is over"):
            await found.pipeline.command(Release(person="anna", alert=alert, digest=digest))
        assert (await found.alerts())[0].state == "held"


async def test_a_machine_of_a_persons_name_takes_no_word_from_them(tmp_path: Path) -> None:
    """What a machine called anna said under a key does not stand for what the person anna says under the same key."""
    async with road(tmp_path) as found:
        await found.receive()
        await found.receive("anna", id="k1", msg_type="update")
        await found.quiet()
        await found.pipeline.command(speak(Purpose.UPDATE))
        await found.quiet()
        assert [purpose for purpose, _ in found.said("website")] == [Purpose.ALERT, Purpose.UPDATE, Purpose.UPDATE]


async def test_every_decision_has_its_name_in_the_log(tmp_path: Path) -> None:
    """Release, rejection and word of a person stand in the log of facts with the name."""
    async with road(tmp_path, with_release("one_person")) as found:
        await found.receive()
        alert, digest = await found.held()
        await found.pipeline.command(Release(person="anna", alert=alert, digest=digest))
        await found.quiet()
        await found.pipeline.command(speak(person="ben"))
        await found.quiet()
        facts = await found.journal.read(partial(queries.facts_after, seq=0, limit=1000))
        assert [f.body["person"] for f in facts if f.kind == "alert.release_by"] == ["anna", "ben"]
