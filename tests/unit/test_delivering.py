"""What goes out: tried until it is taken or useless, never blindly twice, and no channel waits for another."""

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
    NOW,
    PERMANENT,
    TEMPORARY,
    always,
    channel,
    deployment,
    in_turn,
    playbook,
    road,
    until,
)

from dispatcher.journal import queries
from dispatcher.model.alert import Post, Purpose
from dispatcher.model.channel import ChannelId, Power
from dispatcher.model.delivery import DeliveryId, Outcome, Reason, Result
from dispatcher.permits import Permits
from dispatcher.testing import FakeChannel


async def test_a_channel_with_a_bug_harms_nobody_else(tmp_path: Path) -> None:
    """A channel that raises fails by itself, with a reason people can see; all others speak."""

    class Broken(FakeChannel):
        async def send(self, post: Post) -> Outcome:
            raise ZeroDivisionError

    async with road(tmp_path) as found:
        found.pipeline.setup.channels[ChannelId("website")] = Broken()
        await found.receive()
        await found.quiet()
        assert await found.states() == {name: "failed" if name == "website" else "accepted" for name in LEER}
        (failed,) = [d for d in await found.deliveries() if d.channel == "website"]
        assert (failed.reason, failed.detail) == (Reason.INTERNAL, "ZeroDivisionError")


async def test_a_bug_after_the_first_byte_is_a_doubt(tmp_path: Path) -> None:
    """A channel that raises after it began to send may have posted: that is a doubt, and it is sent as a repetition."""
    calls: list[Post] = []

    async def stumble(post: Post) -> Outcome:
        calls.append(post)
        if len(calls) == 1:
            raise ZeroDivisionError
        return Outcome(result=Result.ACCEPTED)

    async with road(tmp_path, website=stumble) as found:
        await found.receive()
        await until(lambda: len(found.fakes["facebook-leer"].posts) == 1)
        await found.push_until_quiet()
        (delivery,) = [d for d in await found.deliveries() if d.channel == "website"]
        assert (delivery.state, delivery.doubtful, delivery.attempts) == ("accepted", True, 2)
        first, second = (post.text.body for post in calls)
        assert first != second
        assert second.startswith("Wiederholung")
        assert calls[0].key == calls[1].key


async def test_one_hanging_channel_delays_nobody(tmp_path: Path) -> None:
    """While one channel hangs, all others have spoken, and a second incident goes out on them as well."""
    gate = asyncio.Event()

    async def hang(_: Post) -> Outcome:
        await gate.wait()
        return Outcome(result=Result.ACCEPTED)

    async with road(tmp_path, website=hang) as found:
        await found.receive()
        await found.receive(id="2", incident="i2")
        await until(lambda: all(len(found.said(name)) == 2 for name in LEER - {"website"}))
        await until(lambda: found.worker.open == 2)
        assert (await found.states())["website"] == "sending"
        gate.set()
        await found.quiet()
        assert (await found.states())["website"] == "accepted"


async def test_a_channel_is_tried_until_it_takes_it(tmp_path: Path) -> None:
    """What failed for a while is tried again, each time as an attempt of its own, until it is taken."""
    async with road(tmp_path, website=in_turn(TEMPORARY, TEMPORARY, TEMPORARY)) as found:
        await found.receive()
        await found.push_until_quiet()
        assert (await found.states())["website"] == "accepted"
        (alert,) = await found.alerts()
        attempts = await found.journal.read(partial(queries.attempts, wanted=DeliveryId(f"{alert.alert.id}:website")))
        assert [(a["number"], a["result"]) for a in attempts] == [
            (1, "temporary"), (2, "temporary"), (3, "temporary"), (4, "accepted"),
        ]  # fmt: skip
        assert len({post.text for post in found.fakes["website"].posts}) == 1  # nothing was posted: no repetition


async def test_what_is_useless_is_not_tried_again(tmp_path: Path) -> None:
    """A refusal for good ends the delivery at once, with its reason."""
    async with road(tmp_path, website=always(PERMANENT)) as found:
        await found.receive()
        await found.quiet()
        (failed,) = [d for d in await found.deliveries() if d.channel == "website"]
        assert (failed.state, failed.reason, failed.detail, failed.attempts) == ("failed", Reason.REJECTED, "403", 1)


async def test_the_deadline_ends_all_tries(tmp_path: Path) -> None:
    """A channel that never takes it is tried until the deadline and then expires by itself."""
    async with road(tmp_path, website=always(TEMPORARY)) as found:
        await found.receive()
        await until(lambda: len(found.said("website")) > 0 and found.worker.open == 1)
        found.push(timedelta(minutes=20))
        await found.quiet()
        (expired,) = [d for d in await found.deliveries() if d.channel == "website"]
        assert (expired.state, expired.reason) == ("expired", Reason.EXPIRED)
        assert (await found.states())["facebook-leer"] == "accepted"


async def test_what_comes_too_late_never_leaves(tmp_path: Path) -> None:
    """What has expired when it comes is on nobody's channel: an alert waits for a person, an update ends as expired."""
    over = NOW.isoformat()
    async with road(tmp_path) as found:
        await found.receive(incident="i2", expires=over)
        await found.receive(id="2")
        await found.quiet()
        await found.receive(id="3", msg_type="update", expires=over)
        await found.quiet()
        assert set((await found.states(incident="i2")).values()) == {"held"}
        assert await found.pages() == ["stale"]
        assert set((await found.states(alert=(await found.alerts())[1].alert.id)).values()) == {"expired"}
        assert found.said("website") == [(Purpose.ALERT, "i1")]


@pytest.mark.parametrize(
    ("powers", "answers", "repeated", "state"),
    [
        (set(), 2, True, "accepted"),
        ({Power.KEY}, 2, False, "accepted"),
        ({Power.FIND}, 1, False, "visible"),
    ],
)
async def test_a_doubt_is_settled_by_the_channels_powers(
    powers: set[Power], answers: int, repeated: bool, state: str, tmp_path: Path
) -> None:
    """In doubt a channel with keys gets the same text again, one that can look finds it, others get the repetition."""

    class Finding(FakeChannel):
        async def find(self, post: Post) -> Outcome:
            return Outcome(result=Result.VISIBLE, provider_id="found", url=f"https://a/{post.code}")

    profiles = tuple(replace(c, powers=frozenset(powers)) if c.id == "website" else c for c in CHANNELS)
    async with road(tmp_path, deployment(channels=profiles)) as found:
        website = found.replace_channel("website", Finding(in_turn(DOUBT)))
        await found.receive()
        await found.push_until_quiet()
        posts = website.posts
        assert (len(posts), (await found.states())["website"]) == (answers, state)
        assert posts[-1].text.body.startswith("Wiederholung") is repeated
        (delivery,) = [d for d in await found.deliveries() if d.channel == "website"]
        assert delivery.doubtful is (state != "visible")


async def test_a_hanging_attempt_is_cut_off(tmp_path: Path) -> None:
    """An attempt does not outlast its delivery's deadline; what had left is a doubt, and then the time is over."""

    async def hang(_: Post) -> Outcome:
        await asyncio.sleep(30)
        return Outcome(result=Result.ACCEPTED)

    async with road(tmp_path, website=hang) as found:
        soon = (found.clock.now() + timedelta(seconds=0.15)).isoformat()
        await found.receive(expires=soon)
        await until(lambda: found.said("website") != [] and found.worker.open == 1)
        found.clock.push(timedelta(seconds=0.2))
        await found.quiet()
        (expired,) = [d for d in await found.deliveries() if d.channel == "website"]
        assert (expired.state, expired.doubtful) == ("expired", True)


async def test_a_providers_demand_holds_its_credential(tmp_path: Path) -> None:
    """A Retry-After holds every delivery of that credential, and none of another."""
    limited = Outcome(result=Result.TEMPORARY, reason=Reason.RATE_LIMITED, retry_after=timedelta(minutes=5))
    async with road(tmp_path, facebook_leer=always(limited)) as found:
        await found.receive()
        await until(lambda: found.worker.open == 1)
        assert found.permits.waits_for(found.deployment.channels["facebook-leer"]) == 300
        assert found.permits.waits_for(found.deployment.channels["website"]) == 0
        assert (await found.states())["facebook-leer"] == "queued"


async def test_updates_supersede_what_was_never_tried(tmp_path: Path) -> None:
    """An update takes the place of the alert where that still waits for its turn, and follows it where it was said."""
    profiles = tuple(replace(c, origin="one") if c.id in LEER else c for c in CHANNELS)
    gate = asyncio.Event()

    async def hang(_: Post) -> Outcome:
        await gate.wait()
        return Outcome(result=Result.ACCEPTED)

    permits = Permits(origin_slots=1)
    async with road(tmp_path, deployment(channels=profiles), permits=permits, whatsapp_leer=hang) as found:
        await found.receive()
        await until(lambda: len(found.said("whatsapp-leer")) == 1)
        await found.receive(id="2", msg_type="update", place="Bahnhof")
        gate.set()
        await found.quiet()
        assert found.said("whatsapp-leer") == [(Purpose.ALERT, "i1"), (Purpose.UPDATE, "i1")]
        assert found.said("website") == [(Purpose.UPDATE, "i1")]
        alert, update = await found.alerts()
        assert await found.states(alert=alert.alert.id) == {
            "whatsapp-leer": "accepted", "facebook-leer": "superseded", "website": "superseded",
        }  # fmt: skip
        assert await found.states(alert=update.alert.id) == dict.fromkeys(LEER, "accepted")
        follow, full = (found.fakes[name].posts[-1].text.body for name in ("whatsapp-leer", "website"))
        assert "alert lang." not in follow
        assert "alert lang." in full


async def test_permits_come_back(tmp_path: Path) -> None:
    """After everything, whatever became of it, no lane and no slot stays taken."""
    handlers = {"website": always(PERMANENT), "facebook_leer": in_turn(TEMPORARY, DOUBT), "duty_team": in_turn(DOUBT)}
    async with road(tmp_path, **handlers) as found:
        for changes in ({}, {}, {"place": "x"}, {"id": "2", "msg_type": "update"}, {"id": "3", "incident": "i3"}):
            await found.receive(**changes)
        await found.receive(raw=b"{")
        await found.receive(raw=b"{")
        await found.push_until_quiet()
        assert found.permits._lanes == {}
        assert {origin.under_way for origin in found.permits._origins.values()} == {0}


async def test_pages_go_before_alerts_and_after_ends(tmp_path: Path) -> None:
    """Where slots are short the order is: ends, pages, alerts by severity; and a first attempt before any retry."""
    one = tuple(replace(c, origin="one", audience=c.audience) for c in (*CHANNELS, channel("blocker")))
    order: list[str] = []
    gate = asyncio.Event()

    async def note(post: Post) -> Outcome:
        order.append(f"{post.purpose}-{post.severity}")
        await gate.wait()
        return Outcome(result=Result.ACCEPTED)

    books = playbook(channels={"only": ["website"]}), playbook("fire", channels={"only": ["website"]})
    where, permits = deployment(*books, channels=one), Permits(origin_slots=1)
    async with road(tmp_path, where, permits=permits, website=note, duty_team=note) as found:
        for number, severity in enumerate(["severe", "minor", "extreme", "moderate"]):
            await found.receive(id=str(number), incident=f"i{number}", severity=severity)
        await found.receive(raw=b"{")
        await until(lambda: len(order) == 1)
        gate.set()
        await found.quiet()
    assert order == ["alert-severe", "page-extreme", "alert-extreme", "alert-moderate", "alert-minor"]
