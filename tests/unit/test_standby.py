"""Fallbacks: prepared with the alert, silent while others speak, there at once where one fails, and never too late."""

from __future__ import annotations

import asyncio
import contextlib
import random
from collections.abc import Iterator
from dataclasses import replace
from datetime import timedelta
from functools import partial
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sqlalchemy import Connection, create_engine, update
from unit.house import (
    CHANNELS,
    DOUBT,
    NOW,
    PERMANENT,
    TEMPORARY,
    Road,
    alert,
    always,
    channel,
    delivery,
    deployment,
    event,
    in_turn,
    moment,
    playbook,
    road,
    speak,
    until,
)

from dispatcher.journal import queries, store
from dispatcher.journal.moves import settle_standbys
from dispatcher.journal.schema import prepare
from dispatcher.journal.steps import Step, record_steps
from dispatcher.journal.tables import deliveries
from dispatcher.model.alert import Alert, Post, Purpose
from dispatcher.model.channel import ChannelProfile, InDoubt, TextLimit, Unit
from dispatcher.model.command import Confirm, Reject, Release, Resume, Scope, Stop
from dispatcher.model.delivery import ENDED, UNSAID, DeliveryId, DeliveryState, IncidentId, Outcome, Reason, Result
from dispatcher.model.deployment import Deployment
from dispatcher.model.incident import IncidentHistory
from dispatcher.plan.event import plan_event
from dispatcher.testing import FakeClock

S = DeliveryState
SMS = channel("sms", limit=TextLimit(Unit.CHARACTERS, 14))
ALL = (*CHANNELS, SMS)
RULE: dict[str, Any] = {"kinds": ["facebook", "website"], "fallback": {"facebook": ["sms"]}}
BY_HAND = Outcome(result=Result.BY_HAND)
ACCEPTED = Outcome(result=Result.ACCEPTED, provider_id="1")
BOTH = ["leer", "emden"]
NOT_BEFORE_TOMORROW = Outcome(result=Result.TEMPORARY, reason=Reason.RATE_LIMITED, retry_after=timedelta(days=1))


def where(*more: ChannelProfile, rule: dict[str, Any] | None = None, **changes: Any) -> Deployment:
    """The usual deployment, whose Facebook pages have text messages behind them."""
    return deployment(playbook(channels=rule or RULE, **changes), channels=(*ALL, *more))


def composed(place: Deployment, *regions: str) -> Alert:
    """The alert of an event in ``regions``, Leer unless others are named."""
    found = event(area={"regions": list(regions or ("leer",))})
    said = plan_event(found, place, IncidentHistory(id=IncidentId("i1")), NOW).alert
    assert said is not None
    return said


def behind(alert: Alert) -> dict[str, set[str]]:
    """What stands by, and for whom."""
    return {one.channel: set(one.fallback_of) for one in alert.plan if one.state is S.STANDBY}


async def hang(_: Post) -> Outcome:
    """A channel that never answers."""
    await asyncio.Event().wait()
    return ACCEPTED


async def fact(found: Road, kind: str, ref: str) -> dict[str, Any]:
    """What the last fact of this kind about a delivery says."""
    facts = await found.journal.read(partial(queries.facts_after, seq=0, limit=10_000))
    return next(one.body for one in reversed(facts) if one.kind == kind and one.ref.endswith(f":{ref}"))


# What is planned


def test_a_fallback_is_planned_with_a_text_of_its_own() -> None:
    """A standby has its own text, as short as its channel wants it, under the digest that people release."""
    said = composed(where())
    assert behind(said) == {"sms": {"facebook-leer"}}
    assert [one.channel for one in said.speaking] == ["facebook-leer", "website"]
    texts = {one.channel: said.texts[one.text].first.body for one in said.plan}
    assert len(texts["sms"]) <= 14 < len(texts["website"])
    alone = replace(said, plan=said.speaking)
    turned = replace(said, plan=tuple(replace(one, fallback_of=()) for one in said.plan))
    assert len({said.digest, alone.digest, turned.digest}) == 3
    assert Alert.from_json(said.to_json()) == said


@pytest.mark.parametrize(
    ("rule", "expected"),
    [
        ({**RULE, "fallback": {"facebook-leer": ["sms"]}}, {"sms": {"facebook-leer"}}),
        ({**RULE, "fallback": {"facebook-emden": ["sms"]}}, {}),
        ({**RULE, "fallback": {"facebook-leer": ["ntfy"], "facebook": ["sms"]}}, {"ntfy": {"facebook-leer"}}),
        ({**RULE, "fallback": {"facebook": ["sms"], "website": ["sms"]}}, {"sms": {"facebook-leer", "website"}}),
        ({**RULE, "fallback": {"facebook": ["ntfy", "sms"]}}, {"ntfy": {"facebook-leer"}, "sms": {"facebook-leer"}}),
        ({**RULE, "fallback": {"facebook": ["ntfy"], "ntfy": ["sms"]}}, {"ntfy": {"facebook-leer"}, "sms": {"ntfy"}}),
        ({**RULE, "kinds": []}, {}),
        ({**RULE, "fallback": {"facebook": ["duty"]}}, {}),
        ({**RULE, "fallback": {"facebook": ["mail"]}}, {"mail-leer": {"facebook-leer"}}),
    ],
    ids=["by id", "another's", "id before kind", "of two", "two", "chain", "primary anyway", "audience", "region"],
)
def test_who_stands_by_for_whom(rule: dict[str, Any], expected: dict[str, set[str]]) -> None:
    """A fallback is named by id or kind, is held to audience and region, and does not stand by where it speaks anyway."""
    more = (channel("ntfy"), channel("mail-leer", "leer"), channel("mail-emden", "emden"))
    assert behind(composed(where(*more, rule=rule))) == expected


def test_a_fallback_reaches_whom_its_primary_would_have() -> None:
    """Of channels for regions, each stands by for those of its own region, wherever the incident is."""
    mails = (channel("mail-leer", "leer"), channel("mail-emden", "emden"))
    rule = {**RULE, "fallback": {"facebook": ["mail"]}}
    pairs = {"mail-leer": {"facebook-leer"}, "mail-emden": {"facebook-emden"}}
    assert behind(composed(where(*mails, rule=rule), *BOTH)) == pairs
    assert behind(composed(where(*mails, rule={**rule, "regions": "all"}))) == pairs


async def test_nobody_stands_by_for_an_end(tmp_path: Path) -> None:
    """An end that fails does not go to channels that never spoke."""
    async with road(tmp_path, where(), facebook_leer=in_turn(ACCEPTED, PERMANENT)) as found:
        await found.receive()
        await found.quiet()
        await found.pipeline.command(speak(Purpose.ALL_CLEAR))
        await found.quiet()
        assert (await found.states())["facebook-leer"] == "failed"
        assert found.said("sms") == []


# What calls it, and what does not


@pytest.mark.parametrize("answer", [PERMANENT, NOT_BEFORE_TOMORROW], ids=["refused", "told to wait too long"])
async def test_a_failure_calls_the_fallback_at_once(answer: Outcome, tmp_path: Path) -> None:
    """Where a channel fails, or is told to wait beyond the deadline, its fallback speaks without any time passing."""
    async with road(tmp_path, where(), facebook_leer=always(answer)) as found:
        await found.receive()
        await found.quiet()
        assert await found.states() == {"facebook-leer": "failed", "website": "accepted", "sms": "accepted"}
        assert found.said("sms") == [(Purpose.ALERT, "i1")]
        assert await fact(found, "delivery.queued", "sms") == {"note": "standby for facebook-leer: failed"}


async def test_a_credential_that_waits_too_long_calls_the_fallback_at_once(tmp_path: Path) -> None:
    """A later alert on a credential that was told to wait beyond its deadline fails untried, and its fallback speaks."""
    async with road(tmp_path, where(), facebook_leer=always(NOT_BEFORE_TOMORROW)) as found:
        await found.receive()
        await found.quiet()
        await found.receive(id="2", incident="i2")
        await found.quiet()
        states = await found.states(incident=IncidentId("i2"))
        assert states == {"facebook-leer": "failed", "website": "accepted", "sms": "accepted"}
        assert found.said("facebook-leer") == [(Purpose.ALERT, "i1")]
        assert found.said("sms") == [(Purpose.ALERT, "i1"), (Purpose.ALERT, "i2")]


async def test_a_fallback_is_silent_where_its_channel_speaks(tmp_path: Path) -> None:
    """Through doubts and retries it waits; once its channel has carried the text it is cancelled."""
    async with road(tmp_path, where(), facebook_leer=in_turn(TEMPORARY, DOUBT, TEMPORARY)) as found:
        await found.receive()
        await until(lambda: bool(found.said("facebook-leer")))
        assert (await found.states())["sms"] == "standby"
        await found.push_until_quiet()
        assert (await found.states())["sms"] == "cancelled"
        assert found.said("sms") == []


async def test_it_waits_until_all_have_spoken(tmp_path: Path) -> None:
    """What stands by for two is called by either, and sent home only by both."""
    release = asyncio.Event()

    async def late(_: Post) -> Outcome:
        await release.wait()
        return PERMANENT

    async with road(tmp_path, where(), facebook_emden=late) as found:
        await found.receive(area={"regions": BOTH})
        await until(lambda: found.worker.open == 1)
        assert (await found.states())["facebook-leer"] == "accepted"
        assert (await found.states())["sms"] == "standby"
        release.set()
        await found.quiet()
        assert (await found.states())["sms"] == "accepted"
        assert await fact(found, "delivery.queued", "sms") == {"note": "standby for facebook-emden: failed"}


async def test_two_failures_call_it_once(tmp_path: Path) -> None:
    """However many of its channels fail, it speaks once."""
    failing = always(PERMANENT)
    async with road(tmp_path, where(), facebook_emden=failing, facebook_leer=failing) as found:
        await found.receive(area={"regions": BOTH})
        await found.quiet()
        assert found.said("sms") == [(Purpose.ALERT, "i1")]


async def test_a_chain_is_walked_link_by_link(tmp_path: Path) -> None:
    """A fallback that fails calls its own; one that speaks sends its own home."""
    place = where(channel("ntfy"), rule={**RULE, "fallback": {"facebook": ["sms"], "sms": ["ntfy"]}})
    failing = always(PERMANENT)
    async with road(tmp_path / "a", place, facebook_leer=failing, sms=failing) as found:
        await found.receive()
        await found.quiet()
        assert found.said("ntfy") == [(Purpose.ALERT, "i1")]
    for name, handlers in (("b", {"facebook_leer": failing}), ("c", {})):
        async with road(tmp_path / name, place, **handlers) as found:
            await found.receive()
            await found.quiet()
            assert (await found.states())["ntfy"] == "cancelled"


async def test_time_that_is_left_is_used(tmp_path: Path) -> None:
    """A channel that cannot try again before its deadline has expired, and its fallback has what is left of the time."""
    clock = FakeClock()

    async def slow(_: Post) -> Outcome:
        clock.push(timedelta(minutes=20, milliseconds=-1))
        return TEMPORARY

    async with road(tmp_path, where(), clock=clock, facebook_leer=slow) as found:
        await found.receive()
        await found.quiet()
        assert await found.states() == {"facebook-leer": "expired", "website": "accepted", "sms": "accepted"}


async def test_no_time_is_left_after_the_deadline(tmp_path: Path) -> None:
    """What nobody could carry before its deadline expires everywhere: the fallback does not speak too late."""
    async with road(tmp_path, where(), facebook_leer=always(TEMPORARY)) as found:
        await found.receive()
        await until(lambda: bool(found.said("facebook-leer")) and not found.permits._lanes)
        found.push(timedelta(minutes=20))
        await found.quiet()
        assert await found.states() == {"facebook-leer": "expired", "website": "accepted", "sms": "expired"}
        assert found.said("sms") == []


@pytest.mark.parametrize("answer", [BY_HAND, DOUBT], ids=["by hand", "in doubt"])
async def test_what_waits_for_a_person_calls_nobody(answer: Outcome, tmp_path: Path) -> None:
    """A post by hand, or a doubt that is held, calls no fallback; unconfirmed, it ends the standby with its time."""
    held = [replace(c, in_doubt=InDoubt.HOLD) for c in ALL if c.id == "facebook-leer"]
    place = deployment(playbook(channels=RULE), channels=(*(c for c in ALL if c.id != "facebook-leer"), *held))
    async with road(tmp_path, place, facebook_leer=always(answer)) as found:
        await found.receive()
        await found.quiet()
        found.push(timedelta(minutes=19))
        await asyncio.sleep(0.01)
        assert (await found.states())["sms"] == "standby"
        found.push(timedelta(minutes=1))
        async with asyncio.timeout(5):
            while (await found.states())["sms"] == "standby":
                await asyncio.sleep(0.005)
        assert (await found.states())["sms"] == "expired"
        assert found.said("sms") == []


async def test_a_confirmed_post_sends_the_fallback_home(tmp_path: Path) -> None:
    """Once a person says that it is posted, nobody stands by for it any more."""
    async with road(tmp_path, where(), facebook_leer=always(BY_HAND)) as found:
        await found.receive()
        await found.quiet()
        (task,) = await found.deliveries(state=S.BY_HAND)
        await found.pipeline.command(Confirm(person="anna", delivery=task.id))
        assert (await found.states())["sms"] == "cancelled"


NAMES = ("one", "two", "three")
ENDS = st.dictionaries(st.sampled_from(NAMES), st.sampled_from([s for s in S if s in ENDED or s is S.BY_HAND]))


def step(name: str, state: S, before: S = S.SENDING) -> Step:
    """A channel's delivery has come to ``state``."""
    return Step(delivery(state, name, attempts=0), (state,), before)


@contextlib.contextmanager
def journaled(**fallbacks: tuple[str, ...]) -> Iterator[Connection]:
    """A journal in memory: three channels under way, and what stands by for them or for one another."""
    usual = alert(*NAMES, *fallbacks)
    plan = tuple(
        replace(p, state=S.STANDBY, fallback_of=fallbacks[p.channel]) if p.channel in fallbacks else p
        for p in usual.plan
    )
    engine = create_engine("sqlite://")
    prepare(engine)
    with engine.connect() as connection, connection.begin():
        whole = replace(usual, plan=plan)
        store.write_alert(connection, whole, released_at=NOW)
        store.write_rows(connection, whole, whole.plan, NOW)
        connection.execute(update(deliveries).where(deliveries.c.state == S.QUEUED).values(state=S.SENDING))
        yield connection
    engine.dispose()


def now(db: Connection) -> dict[str, str]:
    """State of each channel's delivery."""
    return {found.channel: str(found.state) for found in queries.deliveries(db)}


@pytest.mark.parametrize("before", [S.SENDING, S.BY_HAND])
@pytest.mark.parametrize("state", [S.FAILED, S.EXPIRED])
def test_the_call_is_in_the_same_transaction(before: S, state: S) -> None:
    """Whatever a channel fails or expires from, by hand included, its fallback is queued by that very unit."""
    with journaled(sms=("one", "two")) as db:
        db.execute(update(deliveries).where(deliveries.c.channel == "one").values(state=before))
        written = record_steps(db, [step("one", state, before)], moment(3))
        ((called, whose),) = written.called
        assert (called.id, called.state, called.due_at, called.released_at) == (
            "a1:sms",
            S.QUEUED,
            moment(3),
            moment(3),
        )
        assert (called.deadline_at, whose.id) == (moment(20), "a1")
        last = queries.facts_after(db, 0)[-1]
        assert (last.kind, last.ref, last.body) == ("delivery.queued", "a1:sms", {"note": f"standby for one: {state}"})


@given(ENDS, st.lists(st.integers(1, 3), min_size=3, max_size=3), st.randoms())
@settings(max_examples=60)
def test_in_whatever_order_things_end(ends: dict[str, S], sizes: list[int], rng: random.Random) -> None:
    """A fallback is called where one of its channels fails, sent home where none can any more, and waits otherwise."""
    behind = {"sms": ("one", "two"), "mail": ("three",), "paper": ("sms", "mail")}
    left = list(ends.items())
    rng.shuffle(left)
    with journaled(**behind) as db:
        while left:
            size = sizes.pop()
            batch, left = left[:size], left[size:]
            record_steps(db, [step(name, state) for name, state in batch], NOW)
            assert settle_standbys(db, NOW) == []
        found = now(db)
        for name in ("sms", "mail"):
            states = [ends.get(primary) for primary in behind[name]]
            failed, over = UNSAID.intersection(states), ENDED.issuperset(states)
            assert found[name] == ("queued" if failed else "cancelled" if over else "standby")
        assert found["paper"] == ("cancelled" if found["sms"] == found["mail"] == "cancelled" else "standby")


# People


async def test_a_release_lets_the_fallback_stand_by(tmp_path: Path) -> None:
    """Of a held alert nothing speaks; released, its channels are queued and the fallback stands by, with their deadline."""
    async with road(tmp_path, where(release="one_person"), facebook_leer=hang) as found:
        await found.receive()
        assert await found.states() == {"facebook-leer": "held", "website": "held", "sms": "standby"}
        alert, digest = await found.held()
        found.push(timedelta(minutes=5))
        await found.pipeline.command(Release(person="anna", alert=alert, digest=digest))
        await until(lambda: found.worker.open == 1)
        standby = next(d for d in await found.deliveries() if d.channel == "sms")
        facebook = next(d for d in await found.deliveries() if d.channel == "facebook-leer")
        assert (standby.state, standby.deadline_at) == (S.STANDBY, moment(25))
        assert (standby.revision, standby.deadline_at) == (facebook.revision, facebook.deadline_at)


async def test_a_rejected_alert_has_no_fallback(tmp_path: Path) -> None:
    """What a person rejects stands by for nothing."""
    async with road(tmp_path, where(release="one_person")) as found:
        await found.receive()
        await found.pipeline.command(Reject(person="anna", alert=(await found.held())[0]))
        assert set((await found.states()).values()) == {"cancelled"}


async def test_an_end_sends_it_home(tmp_path: Path) -> None:
    """With an end what stood by is cancelled in one step; what fails afterwards calls nobody, and it gets no end."""
    release = asyncio.Event()

    async def late(_: Post) -> Outcome:
        await release.wait()
        return PERMANENT

    async with road(tmp_path, where(), facebook_leer=late) as found:
        await found.receive()
        await until(lambda: found.worker.open == 1)
        await found.pipeline.command(speak(Purpose.ALL_CLEAR))
        (standby,) = (d for d in await found.deliveries() if d.channel == "sms")
        assert standby.state is S.CANCELLED
        facts = await found.journal.read(partial(queries.facts_after, seq=0, limit=100))
        ended = [one.kind for one in facts]
        assert ended.index("delivery.cancelled") < ended.index("alert.released", ended.index("delivery.cancelled"))
        release.set()
        await found.push_until_quiet()
        assert found.said("sms") == []


async def test_who_spoke_gets_the_end(tmp_path: Path) -> None:
    """A fallback that has spoken hears updates and the end like everybody else; then it stands by for nobody."""
    async with road(tmp_path, where(), facebook_leer=always(PERMANENT)) as found:
        await found.receive()
        await found.quiet()
        await found.receive(id="2", msg_type="update")
        await found.quiet()
        await found.pipeline.command(speak(Purpose.ALL_CLEAR))
        await found.quiet()
        assert found.said("sms") == [(p, "i1") for p in (Purpose.ALERT, Purpose.UPDATE, Purpose.ALL_CLEAR)]
        assert S.STANDBY not in {delivery.state for delivery in await found.deliveries()}


async def test_what_it_said_is_taken_back(tmp_path: Path) -> None:
    """After a false alarm the post of a fallback is corrected; there is nothing to correct where none spoke."""
    for name, answer, edited in (("a", PERMANENT, True), ("b", ACCEPTED, False)):
        async with road(tmp_path / name, where(), facebook_leer=always(answer)) as found:
            await found.receive()
            await found.quiet()
            await found.pipeline.command(speak(Purpose.FALSE_ALARM))
            await found.quiet()
            assert ("sms" in {edit.channel for edit in await found.edits()}) is edited
            assert (Purpose.FALSE_ALARM in [purpose for purpose, _ in found.said("sms")]) is edited


async def test_an_update_takes_the_place_of_what_stands_by(tmp_path: Path) -> None:
    """With an update a new text stands by, and the older one is superseded: never is the older one said later."""
    release = asyncio.Event()

    async def late(_: Post) -> Outcome:
        await release.wait()
        return PERMANENT

    async with road(tmp_path, where(), facebook_leer=late) as found:
        await found.receive()
        await until(lambda: found.worker.open == 1)
        await found.receive(id="2", msg_type="update")
        states = [delivery.state for delivery in await found.deliveries() if delivery.channel == "sms"]
        assert states == [S.SUPERSEDED, S.STANDBY]
        release.set()
        await found.push_until_quiet()
        assert found.said("sms") == [(Purpose.UPDATE, "i1")]


async def test_who_was_called_and_could_not_speak_yet_hears_the_update_instead(tmp_path: Path) -> None:
    """An update does not wait for another failure where the fallback was called already."""
    answers = in_turn(PERMANENT)
    async with road(tmp_path, where(), facebook_leer=answers, sms=in_turn(TEMPORARY, TEMPORARY)) as found:
        await found.receive()
        await until(lambda: bool(found.said("sms")) and not found.permits._lanes)
        await found.receive(id="2", msg_type="update")
        await found.push_until_quiet()
        assert [d.state for d in await found.deliveries() if d.channel == "sms"] == [S.SUPERSEDED, S.ACCEPTED]


async def test_a_smaller_area_does_not_leave_it_behind(tmp_path: Path) -> None:
    """A fallback that spoke goes on where the area still is, and gets its end where it is not."""
    mails = (channel("mail-leer", "leer"), channel("mail-emden", "emden"))
    place = where(*mails, rule={**RULE, "fallback": {"facebook": ["mail"]}})
    failing = always(PERMANENT)
    async with road(tmp_path, place, facebook_leer=failing, facebook_emden=failing) as found:
        await found.receive(area={"regions": BOTH})
        await found.quiet()
        await found.pipeline.command(speak(Purpose.UPDATE, regions=("leer",)))
        await found.quiet()
        assert found.said("mail-leer") == [(Purpose.ALERT, "i1"), (Purpose.UPDATE, "i1")]
        assert found.said("mail-emden") == [(Purpose.ALERT, "i1"), (Purpose.ALL_CLEAR, "i1")]


async def test_a_stop_holds_it_back(tmp_path: Path) -> None:
    """Called while everything is stopped, it waits in the queue and speaks when the stop is lifted."""
    stop = Stop(person="anna", scope=Scope.ALL, ref="", reason="account stolen")
    release = asyncio.Event()

    async def late(_: Post) -> Outcome:
        await release.wait()
        return PERMANENT

    async with road(tmp_path, where(), facebook_leer=late) as found:
        await found.receive()
        await until(lambda: found.worker.open == 1)
        await found.pipeline.command(stop)
        release.set()
        async with asyncio.timeout(5):
            while (await found.states())["sms"] != "queued":
                await asyncio.sleep(0.005)
        assert found.said("sms") == []
        for person in ("anna", "ben"):
            await found.pipeline.command(Resume(person=person, scope=Scope.ALL, ref=""))
        await found.quiet()
        assert found.said("sms") == [(Purpose.ALERT, "i1")]


# Crashes


async def test_a_crash_after_the_call_loses_nothing(tmp_path: Path) -> None:
    """A fallback that was called and had not left yet leaves after the restart, once."""
    async with road(tmp_path, where(), facebook_leer=always(PERMANENT), sms=always(TEMPORARY)) as found:
        await found.receive()
        await until(lambda: bool(found.said("sms")) and not found.permits._lanes)
    async with road(tmp_path, where()) as found:
        await found.push_until_quiet()
        assert len(found.said("sms")) == 1
        assert (await found.states())["sms"] == "accepted"


async def test_a_crash_before_the_failure_keeps_it_ready(tmp_path: Path) -> None:
    """What stood by at a crash stands by after it, and is called by what fails then."""
    async with road(tmp_path, where(), facebook_leer=hang) as found:
        await found.receive()
        await until(lambda: found.worker.open == 1)
    async with road(tmp_path, where(), facebook_leer=always(PERMANENT)) as found:
        assert (await found.states())["sms"] == "standby"
        await found.push_until_quiet()
        assert found.said("sms") == [(Purpose.ALERT, "i1")]


async def test_a_crash_before_the_rows_rebuilds_it(tmp_path: Path) -> None:
    """The plan alone is enough to know what stands by for whom."""
    said = composed(where())
    async with road(tmp_path, where(), working=False) as found:
        await found.journal.write(partial(store.write_alert, alert=said, released_at=NOW))
    async with road(tmp_path, where(), facebook_leer=always(PERMANENT)) as found:
        await found.quiet()
        assert await found.states() == {"facebook-leer": "failed", "website": "accepted", "sms": "accepted"}


@pytest.mark.parametrize(("state", "after"), [(S.FAILED, "queued"), (S.EXPIRED, "queued"), (S.ACCEPTED, "cancelled")])
async def test_what_was_missed_is_made_good_at_the_start(state: S, after: str, tmp_path: Path) -> None:
    """A standby whose channel has ended without it is called, or sent home, by the next start."""
    said = composed(where())
    ended = tuple(replace(one, state=S.STANDBY if one.fallback_of else state) for one in said.plan)
    async with road(tmp_path, where(), working=False) as found:
        await found.journal.write(partial(store.write_alert, alert=replace(said, plan=ended), released_at=NOW))
    async with road(tmp_path, where(), working=False) as found:
        assert (await found.states())["sms"] == after
        assert found.worker.open == (after == "queued")


async def test_what_was_missed_is_made_good_by_whoever_comes_next(tmp_path: Path) -> None:
    """A standby that should have been called before speaks with the next thing that a person says of its alert."""
    said = composed(where(rule={**RULE, "fallback": {"facebook": ["sms"], "website": ["sms"]}}))
    states = {"facebook-leer": S.FAILED, "website": S.BY_HAND, "sms": S.STANDBY}
    missed = replace(said, plan=tuple(replace(one, state=states[one.channel]) for one in said.plan))
    async with road(tmp_path, where()) as found:
        await found.journal.write(partial(store.write_alert, alert=missed, released_at=NOW))
        await found.journal.write(partial(store.write_rows, alert=missed, planned=missed.plan, released_at=NOW))
        await found.pipeline.command(Confirm(person="anna", delivery=DeliveryId(f"{said.id}:website")))
        await found.quiet()
        assert found.said("sms") == [(Purpose.ALERT, "i1")]


def test_a_start_looks_at_standbys_first() -> None:
    """What a start decides about others comes after it is known which standbys are still there."""
    with journaled(sms=("one",)) as db:
        assert next(found.channel for found, _ in queries.stranded(db, [])) == "sms"


async def test_a_standby_that_is_not_configured_any_more_is_cancelled(tmp_path: Path) -> None:
    """What a restart finds gone is called by nobody, though its channel fails in the same moment."""
    async with road(tmp_path, where(), facebook_leer=hang) as found:
        await found.receive()
        await until(lambda: found.worker.open == 1)
    gone = tuple(c for c in CHANNELS if c.id != "facebook-leer")
    async with road(tmp_path, deployment(channels=gone)) as found:
        await found.quiet()
        assert await found.states() == {"facebook-leer": "failed", "website": "accepted", "sms": "cancelled"}
