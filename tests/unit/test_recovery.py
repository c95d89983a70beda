"""After a crash: what was cut off is rebuilt, every doubt gets its decision, and nothing is said after its end."""

from __future__ import annotations

import asyncio
from collections import Counter
from dataclasses import replace
from datetime import timedelta
from functools import partial
from pathlib import Path
from typing import Any

import pytest
from house import (
    CHANNELS,
    LEER,
    NOW,
    TEMPORARY,
    Road,
    alert,
    always,
    channel,
    deployment,
    in_turn,
    playbook,
    road,
    until,
)

from dispatcher.journal import queries, store
from dispatcher.launch import Outgoing
from dispatcher.model.alert import Alert, Planned, Post, Purpose
from dispatcher.model.cap import Severity
from dispatcher.model.channel import ChannelProfile, InDoubt, Power
from dispatcher.model.command import Assign, Release, Speak
from dispatcher.model.delivery import AlertId, DeliveryState, IncidentId, Outcome, Reason, Result
from dispatcher.model.deployment import Deployment
from dispatcher.permits import Permits
from dispatcher.testing import FakeClock

S = DeliveryState


async def hang(_: Post) -> Outcome:
    """A channel that never answers."""
    await asyncio.Event().wait()
    return Outcome(result=Result.ACCEPTED)


def where(**changes: Any) -> Deployment:
    """The usual deployment with a website that is different."""
    return deployment(channels=tuple(replace(c, **changes) if c.id == "website" else c for c in CHANNELS))


async def crashed(path: Path, where: Deployment | None = None) -> None:
    """A daemon that is cut off while its website still sends."""
    async with road(path, where, website=hang) as found:
        await found.receive()
        await until(lambda: found.worker.open == 1)


async def cut_off(found: Road) -> list[Outgoing]:
    """What a start sends again, when it has decided about every doubt."""
    pages = found.recovery.run()
    await anext(pages)
    return await anext(pages)


async def website(found: Road) -> Any:
    """The website's delivery."""
    return next(d for d in await found.deliveries() if d.channel == "website")


async def test_a_send_cut_off_is_a_doubt_and_is_repeated(tmp_path: Path) -> None:
    """What was under way at a crash may have been posted: it goes out again, says that it repeats, and stays marked."""
    await crashed(tmp_path)
    async with road(tmp_path) as found:
        await found.push_until_quiet()
        delivery = await website(found)
        assert (delivery.state, delivery.doubtful, delivery.attempts) == ("accepted", True, 2)
        (post,) = found.fakes["website"].posts
        assert post.text.body.startswith("Wiederholung")
        assert not found.said("facebook-leer")  # what was taken before the crash is not said again
        kinds = await found.kinds()
        assert kinds.count("delivery.in_doubt") == 1
        tries = await found.journal.read(partial(queries.attempts, wanted=delivery.id))
        assert [(tried["result"], tried["reason"]) for tried in tries] == [("in_doubt", "in_doubt"), ("accepted", None)]
        assert all(tried["ended_at"] for tried in tries)


@pytest.mark.parametrize(
    ("changes", "state", "repeats"),
    [
        ({"in_doubt": InDoubt.HOLD}, "in_doubt", None),
        ({"powers": frozenset({Power.KEY})}, "accepted", False),
    ],
)
async def test_a_doubt_is_settled_by_the_channels_policy(
    changes: dict[str, Any], state: str, repeats: bool | None, tmp_path: Path
) -> None:
    """After a crash a channel that must not repeat waits for a person; one with keys gets the same text again."""
    await crashed(tmp_path, where(**changes))
    async with road(tmp_path, where(**changes)) as found:
        await found.push_until_quiet()
        assert (await website(found)).state == state
        assert [p.text.body.startswith("Wiederholung") for p in found.fakes["website"].posts] == (
            [] if repeats is None else [repeats]
        )


async def test_decisions_stand_before_anything_else_happens(tmp_path: Path) -> None:
    """When recovery is through, nothing is left in `sending`: every doubt has its decision before intake opens."""
    await crashed(tmp_path)
    async with road(tmp_path, working=False) as found:
        assert (await found.states())["website"] == "queued"
        assert "sending" not in (await found.states()).values()


async def test_a_start_waits_for_every_decision(tmp_path: Path) -> None:
    """Recovery is not through, and so intake is not open, while the decision about one doubt is not on disk."""
    async with road(tmp_path, working=False) as found:
        sent = alert("website", state=S.SENDING)
        await found.journal.write(partial(store.write_alert, alert=sent, released_at=NOW))
        await found.journal.write(partial(store.write_rows, alert=sent, planned=sent.plan, released_at=NOW))
        found.journal.opened.clear()
        recovering = asyncio.create_task(cut_off(found))
        await until(lambda: found.journal.waiting == 1)
        found.journal.opened.set()  # standbys are settled; the next write is the decision
        found.journal.opened = asyncio.Event()
        await until(lambda: found.journal.waiting == 1)
        assert not recovering.done()
        assert (await found.states()) == {"website": "sending"}
        found.journal.open()
        assert [one.delivery.id for one in await recovering] == ["a1:website"]
        assert (await found.states()) == {"website": "queued"}


async def test_nothing_leaves_beside_a_doubt(tmp_path: Path) -> None:
    """What was queued behind a text that a crash cut off does not leave before that one is decided; others do."""
    async with road(tmp_path, working=False) as found:
        sent, behind = alert("website", state=S.SENDING), alert("website", "facebook-emden", name="a2", revision=2)
        for one in (sent, behind):
            await found.journal.write(partial(store.write_alert, alert=one, released_at=NOW))
            await found.journal.write(partial(store.write_rows, alert=one, planned=one.plan, released_at=NOW))
        pages = found.recovery.run()
        assert [one.delivery.id for one in await anext(pages)] == ["a2:facebook-emden"]
        assert [one.delivery.id for one in await anext(pages)] == ["a1:website"]
        assert [one.delivery.id for one in await anext(pages)] == ["a2:website"]


async def test_a_thousand_open_deliveries_go_on_by_rank(tmp_path: Path) -> None:
    """After a crash with a thousand open deliveries each goes out once, extreme ones before minor ones, doubts marked."""
    many = [f"many-{n}" for n in range(100)]
    where = deployment(channels=tuple(map(channel, many)))
    async with road(tmp_path, where, working=False) as found:
        for number in range(10):
            severity = Severity.EXTREME if number % 2 else Severity.MINOR
            name = f"{severity}-{number}"
            sent = alert(*many, name=name, incident=IncidentId(name), severity=severity)
            sent = store.as_started(sent, frozenset(many[:20]))
            await found.journal.write(partial(store.write_alert, alert=sent, released_at=NOW))
            await found.journal.write(partial(store.write_rows, alert=sent, planned=sent.plan, released_at=NOW))
    said: list[tuple[str, bool]] = []

    async def note(post: Post) -> Outcome:
        said.append((post.incident, post.text.body == "alert repetition"))
        return Outcome(result=Result.ACCEPTED)

    async with road(
        tmp_path, where, permits=Permits(all_slots=50), **{n.replace("-", "_"): note for n in many}
    ) as found:
        await found.push_until_quiet()
    first = [incident.partition("-")[0] for incident, again in said if not again]
    assert first == ["extreme"] * 400 + ["minor"] * 400
    assert Counter(again for _, again in said) == {False: 800, True: 200}


async def test_a_plan_without_rows_is_rebuilt(tmp_path: Path) -> None:
    """A crash between an alert's commit and its rows loses nothing: rows come back, what had started is in doubt."""
    plan = tuple(
        Planned(planned.channel, planned.text, S.SENDING if planned.channel == "website" else S.QUEUED)
        for planned in alert(*sorted(LEER)).plan
    )
    cut_off = alert(plan=plan)
    async with road(tmp_path, working=False) as found:
        await found.journal.write(partial(store.write_alert, alert=cut_off, released_at=NOW))
        assert await found.deliveries() == []
    async with road(tmp_path) as found:
        await found.push_until_quiet()
        assert await found.states() == dict.fromkeys(LEER, "accepted")
        said = {name: found.fakes[name].posts[0].text.body for name in LEER}
        assert said == {name: f"alert {'repetition' if name == 'website' else 'first'}" for name in LEER}
        assert await found.journal.read(queries.unwritten_alerts) == []
    async with road(tmp_path) as found:
        await found.quiet()
        assert not any(found.said(name) for name in LEER)


async def test_rows_of_a_held_alert_are_rebuilt_as_held(tmp_path: Path) -> None:
    """A crash does not release anything."""
    async with road(tmp_path, working=False) as found:
        waiting = alert(*LEER, state=S.HELD)
        await found.journal.write(partial(store.write_alert, alert=waiting, released_at=None))
    async with road(tmp_path) as found:
        await found.quiet()
        assert await found.states() == dict.fromkeys(LEER, "held")


async def test_an_end_that_reaches_nobody_does_not_bar_the_next_start(tmp_path: Path) -> None:
    """A crash right after an end without channels, which had no rows to write, is started from like any other."""
    async with road(tmp_path, working=False) as found:
        nobody = replace(alert(), purpose=Purpose.ALL_CLEAR, plan=())
        await found.journal.write(partial(store.write_alert, alert=nobody, released_at=NOW))
    async with road(tmp_path) as found:
        assert await found.journal.read(queries.unwritten_alerts) == []


async def test_a_doubt_is_not_repeated_behind_what_waited_for_it(tmp_path: Path) -> None:
    """A crash between an alert and the update behind it: the update leaves, the alert's doubt is superseded by it."""
    async with road(tmp_path, website=hang) as found:
        await found.receive()
        await until(lambda: found.worker.open == 1)
        await found.receive(id="2", msg_type="update")
    async with road(tmp_path) as found:
        await found.push_until_quiet()
        assert found.said("website") == [(Purpose.UPDATE, "i1")]
        older, newer = (d for d in await found.deliveries() if d.channel == "website")
        assert (older.state, older.doubtful, newer.state) == ("superseded", True, "accepted")


async def test_retries_go_on_where_they_were(tmp_path: Path) -> None:
    """Count, due time and deadline of what waited survive a restart."""
    later = Outcome(result=Result.TEMPORARY, reason=Reason.RATE_LIMITED, retry_after=timedelta(minutes=2))
    async with road(tmp_path, website=always(later)) as found:
        await found.receive()
        await until(lambda: found.worker.open == 1 and not found.permits._lanes)
        before = await website(found)
    clock = FakeClock()
    async with road(tmp_path, clock=clock) as found:
        await asyncio.sleep(0.02)
        assert (await website(found), found.said("website")) == (before, [])
        found.push(timedelta(minutes=2))
        await found.quiet()
        after = await website(found)
        assert (after.state, after.attempts, after.deadline_at) == ("accepted", 2, before.deadline_at)


async def test_what_expired_meanwhile_is_expired(tmp_path: Path) -> None:
    """What a daemon was too long away for is not said any more, and ends as expired."""
    async with road(tmp_path, website=always(TEMPORARY)) as found:
        await found.receive()
        await until(lambda: found.worker.open == 1 and not found.permits._lanes)
    async with road(tmp_path, clock=FakeClock(NOW + timedelta(hours=1))) as found:
        await found.quiet()
        assert (await website(found)).state == "expired"
        assert found.said("website") == []


async def test_an_end_holds_after_a_restart(tmp_path: Path) -> None:
    """What an end had stopped stays stopped: neither rows that were cut off nor sends under way come back."""
    end = alert("facebook-leer", name="end", purpose=Purpose.FALSE_ALARM, revision=2, state=S.SENDING)
    async with road(tmp_path, working=False) as found:
        cut_off = alert("website", "facebook-leer", "whatsapp-leer", plan=(
            *alert("website", state=S.SENDING).plan, *alert("facebook-leer", state=S.SENDING).plan,
            *alert("whatsapp-leer").plan,
        ))  # fmt: skip
        for one in (cut_off, end):
            await found.journal.write(partial(store.write_alert, alert=one, released_at=NOW))
    async with road(tmp_path) as found:
        await found.push_until_quiet()
        assert await found.states(alert=AlertId("a1")) == dict.fromkeys(LEER, "superseded")
        doubtful = {d.channel for d in await found.deliveries(alert=AlertId("a1")) if d.doubtful}
        assert doubtful == {"website", "facebook-leer"}
        assert found.said("website") == found.said("whatsapp-leer") == []
        assert [purpose for purpose, _ in found.said("facebook-leer")] == [Purpose.FALSE_ALARM]


async def test_an_end_cut_off_is_said_again(tmp_path: Path) -> None:
    """An end that was under way goes out again, even on a channel whose policy is to hold."""
    patient = where(in_doubt=InDoubt.HOLD)
    async with road(tmp_path, patient, website=in_turn(Outcome(result=Result.ACCEPTED))) as found:
        await found.receive()
        await found.quiet()
        found.fakes["website"].handler = hang
        command = Speak(person="anna", incident=IncidentId("i1"), purpose=Purpose.ALL_CLEAR, key="k")
        await found.pipeline.command(command)
        await until(lambda: len(found.said("website")) == 2 and found.worker.open == 1)
    async with road(tmp_path, patient) as found:
        await found.push_until_quiet()
        assert [purpose for purpose, _ in found.said("website")] == [Purpose.ALL_CLEAR]
        assert set((await found.states()).values()) == {"accepted"}


def without_website() -> tuple[ChannelProfile, ...]:
    """The channels that are left when the website was taken out of the configuration."""
    return tuple(c for c in CHANNELS if c.id != "website")


@pytest.mark.parametrize(("answer", "doubtful"), [(hang, True), (always(TEMPORARY), False)])
async def test_a_channel_that_is_gone_ends_its_deliveries(answer: Any, doubtful: bool, tmp_path: Path) -> None:
    """What waits for a channel that is not configured any more fails and says so; what was under way keeps its doubt."""
    async with road(tmp_path, website=answer) as found:
        await found.receive()
        await until(lambda: found.worker.open == 1 and found.said("website") != [])
        await until(lambda: len(found.permits._lanes) == doubtful)
    async with road(tmp_path, deployment(channels=without_website())) as found:
        await found.quiet()
        delivery = await website(found)
        assert (delivery.state, delivery.reason, delivery.doubtful) == ("failed", Reason.REJECTED, doubtful)
        assert "not configured" in delivery.detail


async def test_recovery_twice_changes_nothing_more(tmp_path: Path) -> None:
    """A second crash right after recovery finds the journal in order."""
    await crashed(tmp_path)
    found_states: list[dict[str, str]] = []
    facts: list[list[str]] = []
    for _ in range(2):
        async with road(tmp_path, working=False) as found:
            found_states.append(await found.states())
            facts.append(await found.kinds())
    assert found_states[0] == found_states[1]
    assert facts[0] == facts[1]


def test_an_alert_begins_as_it_was_boarded() -> None:
    """Only channels that got their permits begin as sending; the plan is otherwise the same."""
    planned: Alert = alert("website", "facebook-leer")
    started = store.as_started(planned, frozenset({"website"}))
    assert [(entry.channel, entry.state) for entry in started.plan] == [
        ("website", S.SENDING), ("facebook-leer", S.QUEUED),
    ]  # fmt: skip
    assert started.digest == planned.digest


async def test_a_delivery_whose_task_died_is_a_doubt(tmp_path: Path) -> None:
    """Where the result of an attempt cannot be written at all, the delivery is not forgotten: it is sent as a repetition."""
    unwritable = Outcome(result=Result.PERMANENT, reason=Reason.REJECTED, detail="\ud800")
    async with road(tmp_path, website=in_turn(unwritable)) as found:
        await found.receive()
        await until(lambda: found.said("website") != [])
        await until(lambda: found.worker.open == 1 and not found.permits._lanes)
        await found.push_until_quiet()
        delivery = await website(found)
        assert (delivery.state, delivery.doubtful, delivery.attempts) == ("accepted", True, 2)
        assert found.fakes["website"].posts[-1].text.body.startswith("Wiederholung")
        assert set((await found.states()).values()) == {"accepted"}


async def test_a_delivery_whose_task_was_cancelled_is_a_doubt(tmp_path: Path) -> None:
    """Where a library below a channel cancels the attempt, nobody asked for that: it is sent again as a repetition."""
    cancelled = iter([True])

    async def answer(_: Post) -> Outcome:
        if next(cancelled, False):
            raise asyncio.CancelledError
        return Outcome(result=Result.ACCEPTED, provider_id="post-2")

    async with road(tmp_path, website=answer) as found:
        await found.receive()
        await until(lambda: found.said("website") != [] and not found.permits._lanes)
        await found.push_until_quiet()
        delivery = await website(found)
        assert (delivery.state, delivery.doubtful, delivery.attempts) == ("accepted", True, 2)
        assert found.fakes["website"].posts[-1].text.body.startswith("Wiederholung")


async def test_a_held_alert_outlives_a_channel_that_is_gone(tmp_path: Path) -> None:
    """What was held for a channel that is not configured any more is cancelled; the rest can be released as before."""
    book = playbook(release="one_person")
    async with road(tmp_path, deployment(book)) as found:
        await found.receive()
        alert, digest = await found.held()
    async with road(tmp_path, deployment(book, channels=without_website())) as found:
        assert (await website(found)).state == "cancelled"
        await found.pipeline.command(Release(person="anna", alert=alert, digest=digest))
        await found.quiet()
        assert await found.states() == {**dict.fromkeys(LEER, "accepted"), "website": "cancelled"}


@pytest.mark.parametrize("by", ["event", "person"])
async def test_who_came_to_work_on_it_is_not_sent_again_what_was_cut_off(by: str, tmp_path: Path) -> None:
    """After a crash nothing that was cut off goes once more to the account of an officer assigned meanwhile."""
    own = channel("own", group="officers", officer="4711")
    where = deployment(channels=(*CHANNELS, own))
    never = asyncio.Event()

    async def hang(_: Post) -> Outcome:
        await never.wait()
        return TEMPORARY

    async with road(tmp_path, where, own=hang) as before:
        await before.receive()
        await until(lambda: before.said("own") != [])
        if by == "event":
            await before.receive(id="2", msg_type="update", assigned=["4711"])
        else:
            await before.pipeline.command(Assign(person="anna", incident=IncidentId("i1"), officers=("4711",)))
    async with road(tmp_path, where) as after:
        await after.quiet()
        assert after.said("own") == []
        [found] = await after.deliveries(channel=own.id)
        assert (found.state, found.doubtful) == ("superseded", True)
