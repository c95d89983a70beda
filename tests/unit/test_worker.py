"""The worker: what has its permits leaves at once, the rest in order, and nothing is forgotten or started twice."""

from __future__ import annotations

import asyncio
from collections import Counter
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
    Road,
    alert,
    always,
    channel,
    deployment,
    in_turn,
    moment,
    road,
    until,
)

from dispatcher.journal import queries, store
from dispatcher.launch import Outgoing
from dispatcher.model.alert import Alert, Post, Purpose
from dispatcher.model.cap import Severity
from dispatcher.model.command import Resend, Resume, Scope, Speak, Stop
from dispatcher.model.delivery import DeliveryId, DeliveryState, IncidentId, Outcome, Reason, Result
from dispatcher.model.errors import Conflict, JournalBusy
from dispatcher.permits import Permits
from dispatcher.testing import FakeChannel
from dispatcher.worker import STARTS

ACCEPTED = Outcome(result=Result.ACCEPTED)


class Gate:
    """A channel's handler that holds every post until it is opened, and counts how many are inside at once."""

    def __init__(self, *answers: Outcome) -> None:
        """``answers`` are given in turn, then acceptance."""
        self.opened, self.inside, self.most, self.answers = asyncio.Event(), 0, 0, list(answers)

    async def __call__(self, _: Post) -> Outcome:
        """Wait for the gate."""
        self.inside += 1
        self.most = max(self.most, self.inside)
        await self.opened.wait()
        self.inside -= 1
        return self.answers.pop(0) if self.answers else ACCEPTED


class Turns:
    """A channel's handler that counts how many posts begin in each turn of the event loop."""

    def __init__(self) -> None:
        """`tick` begins to count."""
        self.turn, self.counts = 0, Counter[int]()

    def tick(self) -> None:
        """Once in every turn from now on."""
        self.turn += 1
        asyncio.get_running_loop().call_soon(self.tick)

    async def __call__(self, _: Post) -> Outcome:
        """One more."""
        self.counts[self.turn] += 1
        return ACCEPTED


def outgoing(found: Alert) -> list[Outgoing]:
    """Everything that an alert has to send."""
    return [Outgoing(one, found) for one in found.deliveries(found.plan, moment(0))]


async def test_a_lane_keeps_its_order(tmp_path: Path) -> None:
    """A newer text waits until the older one of its lane is through, and then goes."""
    gate = Gate()
    async with road(tmp_path, website=gate) as found:
        await found.receive()
        await until(lambda: gate.inside == 1)
        await found.receive(id="2", msg_type="update")
        await until(lambda: len(found.said("facebook-leer")) == 2)
        assert found.said("website") == [(Purpose.ALERT, "i1")]
        gate.opened.set()
        await found.quiet()
        assert found.said("website") == [(Purpose.ALERT, "i1"), (Purpose.UPDATE, "i1")]
        assert gate.most == 1


@pytest.mark.parametrize(("answer", "doubtful"), [(TEMPORARY, False), (DOUBT, True)])
async def test_an_older_text_never_leaves_after_a_newer_one(answer: Outcome, doubtful: bool, tmp_path: Path) -> None:
    """Where the older text would have to be tried again, the newer one that waits for its lane takes its place."""
    gate = Gate(answer)
    async with road(tmp_path, website=gate) as found:
        await found.receive()
        await until(lambda: gate.inside == 1)
        await found.receive(id="2", msg_type="update")
        await until(lambda: len(found.said("facebook-leer")) == 2)
        gate.opened.set()
        await found.push_until_quiet()
        assert [purpose for purpose, _ in found.said("website")] == [Purpose.ALERT, Purpose.UPDATE]
        older, newer = await found.deliveries(channel="website")
        assert (older.state, older.doubtful, newer.state) == ("superseded", doubtful, "accepted")


async def test_what_waits_for_its_lane_expires_there(tmp_path: Path) -> None:
    """A text whose time is over while an earlier one is on its way ends as expired, without waiting for that."""
    gate = Gate()
    async with road(tmp_path, website=gate) as found:
        await found.receive()
        await until(lambda: gate.inside == 1)
        await found.receive(id="2", msg_type="update", expires=moment(2).isoformat())
        await until(lambda: found.worker.open == 2)
        found.push(timedelta(minutes=3))
        await until(lambda: found.worker.open == 1)
        older, newer = await found.deliveries(channel="website")
        assert (older.state, newer.state) == ("sending", "expired")
        gate.opened.set()
        await found.quiet()


async def test_an_old_text_is_not_sent_again_behind_a_newer_one(tmp_path: Path) -> None:
    """What failed is not sent again by a person once a later word of its incident is on its way there."""
    gate = Gate()
    async with road(tmp_path, website=in_turn(PERMANENT)) as found:
        await found.receive()
        await found.quiet()
        found.fakes["website"].handler = gate
        await found.receive(id="2", msg_type="update")
        await until(lambda: gate.inside == 1)
        (older, _) = await found.deliveries(channel="website")
        with pytest.raises(Conflict, match="a later word went out on website"):
            await found.pipeline.command(Resend(person="anna", delivery=older.id))
        gate.opened.set()
        await found.quiet()
        assert [d.state for d in await found.deliveries(channel="website")] == ["failed", "accepted"]


async def test_an_old_text_is_not_sent_again_before_one_that_waits(tmp_path: Path) -> None:
    """What failed is not sent again by a person while a later word of its incident waits for a stop to be lifted."""
    async with road(tmp_path, website=in_turn(PERMANENT)) as found:
        await found.receive()
        await found.quiet()
        await found.pipeline.command(Stop(person="anna", scope=Scope.CHANNEL, ref="website", reason="wrong place"))
        await found.receive(id="2", msg_type="update")
        older, newer = await found.deliveries(channel="website")
        assert (older.state, newer.state) == ("failed", "queued")
        with pytest.raises(Conflict, match="a later word"):
            await found.pipeline.command(Resend(person="anna", delivery=older.id))


async def test_a_retry_does_not_leave_behind_what_a_stop_kept_waiting(tmp_path: Path) -> None:
    """When a stop is lifted, a text that was to be tried again is superseded by the update that came meanwhile."""
    gate = Gate(TEMPORARY)
    async with road(tmp_path, website=gate) as found:
        await found.receive()
        await until(lambda: gate.inside == 1)
        await found.pipeline.command(Stop(person="anna", scope=Scope.CHANNEL, ref="website", reason="wrong place"))
        await found.receive(id="2", msg_type="update")
        gate.opened.set()
        await until(lambda: not found.permits._lanes)
        fake = found.replace_channel("website", FakeChannel())
        for person in ("anna", "ben"):
            await found.pipeline.command(Resume(person=person, scope=Scope.CHANNEL, ref="website"))
        await found.push_until_quiet()
        assert [post.purpose for post in fake.posts] == [Purpose.UPDATE]
        assert [d.state for d in await found.deliveries(channel="website")] == ["superseded", "accepted"]


async def test_an_origin_gets_no_more_than_its_slots(tmp_path: Path) -> None:
    """However much waits for an origin, no more than its slots are on their way at once, and all get there."""
    many = tuple(channel(f"many-{n}", origin="one") for n in range(12))
    gate = Gate()
    handlers = {f"many_{n}": gate for n in range(12)}
    async with road(tmp_path, deployment(channels=many), permits=Permits(origin_slots=3), **handlers) as found:
        await found.receive()
        await until(lambda: gate.inside == 3)
        await asyncio.sleep(0.02)
        assert (gate.inside, found.worker.open) == (3, 12)
        gate.opened.set()
        await found.quiet()
        assert (gate.most, set((await found.states()).values())) == (3, {"accepted"})


async def test_a_slow_origin_does_not_hold_another(tmp_path: Path) -> None:
    """Where one origin has no slot left, deliveries of others that came later leave at once."""
    profiles = tuple(replace(c, origin="slow") if c.id == "website" else c for c in CHANNELS)
    gate = Gate()
    async with road(tmp_path, deployment(channels=profiles), permits=Permits(origin_slots=1), website=gate) as found:
        for number in range(5):
            await found.receive(id=str(number), incident=f"i{number}")
        await until(lambda: len(found.said("facebook-leer")) == 5)
        assert len(found.said("website")) == 1
        gate.opened.set()
        await found.quiet()
        assert len(found.said("website")) == 5


async def test_first_attempts_go_before_retries(tmp_path: Path) -> None:
    """Of equal rank, what was never tried leaves before what is tried again."""
    one = tuple(replace(c, origin="one") for c in CHANNELS)
    async with road(tmp_path, deployment(channels=one), working=False, permits=Permits(origin_slots=1)) as found:
        first, retry = (alert("website", name=n, incident=n) for n in ("first", "retry"))
        for sent in (retry, first):
            await found.journal.write(partial(store.write_alert, alert=sent, released_at=moment(0)))
            await found.journal.write(partial(store.write_rows, alert=sent, planned=sent.plan, released_at=moment(0)))
        tried = [Outgoing(replace(out.delivery, attempts=1), out.alert) for out in outgoing(retry)]
        await found.journal.write(
            lambda c: c.exec_driver_sql("UPDATE deliveries SET attempts = 1 WHERE alert = 'retry'").close()
        )
        found.worker.enqueue([*tried, *outgoing(first)])
        task = asyncio.create_task(found.worker.run(found.pipeline, found.recovery))
        await found.quiet()
        task.cancel()
        assert [incident for _, incident in found.said("website")] == ["first", "retry"]


async def journaled(found: Road, *alerts: Alert) -> None:
    """Alerts on disk with their rows, released at the beginning."""
    for sent in alerts:
        await found.journal.write(partial(store.write_alert, alert=sent, released_at=moment(0)))
        await found.journal.write(partial(store.write_rows, alert=sent, planned=sent.plan, released_at=moment(0)))


async def test_the_best_of_all_origins_leaves_first(tmp_path: Path) -> None:
    """Where less may be under way than waits, extreme texts leave on every channel before a minor one leaves anywhere."""
    many = [f"many-{n}" for n in range(20)]
    minor = alert(*many, name="minor", incident="minor", severity=Severity.MINOR)
    extreme = alert(*many, name="extreme", incident="extreme")
    where = deployment(channels=tuple(map(channel, many)))
    async with road(tmp_path, where, working=False, permits=Permits(all_slots=10)) as found:
        await journaled(found, minor, extreme)
        found.worker.enqueue([*outgoing(minor), *outgoing(extreme)])
        posts = [fake.posts for fake in found.fakes.values()]
        task = asyncio.create_task(found.worker.run(found.pipeline, found.recovery))
        await until(lambda: sum(map(len, posts)) >= 20)
        assert [post.incident for said in posts for post in said[:1]] == ["extreme"] * 20
        await found.quiet()
        task.cancel()
        assert sum(map(len, posts)) == 40


async def test_a_large_alert_leaves_the_loop_room(tmp_path: Path) -> None:
    """Of three hundred channels no more than a few begin in one turn of the event loop, and all begin."""
    many = [f"many-{n}" for n in range(300)]
    turns = Turns()
    async with road(tmp_path, deployment(channels=tuple(map(channel, many)))) as found:
        for fake in found.fakes.values():
            fake.handler = turns
        turns.tick()
        await found.receive()
        await found.quiet()
        assert sum(turns.counts.values()) == 300
        assert max(turns.counts.values()) <= STARTS


async def test_draining_lets_begin_what_is_journaled(tmp_path: Path) -> None:
    """What is on disk as being sent begins and ends in the time that draining gives, however much of it there is."""
    many = [f"many-{n}" for n in range(300)]
    async with road(tmp_path, deployment(channels=tuple(map(channel, many)))) as found:
        await found.receive()
        await found.worker.drain(10)
        assert set((await found.states()).values()) == {"accepted"}


async def test_what_is_not_queued_any_more_does_not_start(tmp_path: Path) -> None:
    """The journal is the truth: what was ended there while it waited here gives its permits back and never leaves."""
    async with road(tmp_path) as found:
        sent = alert("website", "facebook-leer")
        await found.journal.write(partial(store.write_alert, alert=sent, released_at=moment(0)))
        await found.journal.write(partial(store.write_rows, alert=sent, planned=sent.plan, released_at=moment(0)))
        await found.journal.write(
            partial(store.end_held, alert=replace(sent, plan=()), at=moment(0), state="rejected", detail="")
        )
        found.worker.enqueue(outgoing(sent))
        await found.quiet()
        assert (found.said("website"), found.permits._lanes) == ([], {})


async def test_what_is_handed_over_before_the_start_is_not_lost(tmp_path: Path) -> None:
    """Deliveries that are ours to send before the worker runs leave when it does."""
    async with road(tmp_path, working=False) as found:
        await found.receive()
        await asyncio.sleep(0)
        assert not any(found.said(name) for name in LEER)
        task = asyncio.create_task(found.worker.run(found.pipeline, found.recovery))
        await until(lambda: all(found.said(name) for name in LEER))
        await found.quiet()
        task.cancel()


async def test_a_full_disk_delays_starts(tmp_path: Path) -> None:
    """While the disk is full nothing starts, for its attempt is not on disk; with room again each starts once."""
    many = [f"many-{n}" for n in range(300)]
    async with road(tmp_path, deployment(channels=tuple(map(channel, many))), working=False) as found:
        sent = alert(*many)
        await found.journal.write(partial(store.write_alert, alert=sent, released_at=moment(0)))
        await found.journal.write(partial(store.write_rows, alert=sent, planned=sent.plan, released_at=moment(0)))
        found.worker.enqueue(outgoing(sent))
        await found.fill_disk()
        task = asyncio.create_task(found.worker.run(found.pipeline, found.recovery))
        await asyncio.sleep(0.1)
        assert not any(found.said(name) for name in many)
        await found.empty_disk()
        await found.quiet()
        task.cancel()
        assert {len(found.said(name)) for name in many} == {1}
        assert found.permits._lanes == {}


async def test_a_held_credential_is_waited_for(tmp_path: Path) -> None:
    """What waits for its credential leaves when the provider's time is over, and nothing else waits for it."""
    limited = Outcome(result=Result.TEMPORARY, reason=Reason.RATE_LIMITED, retry_after=timedelta(seconds=60))
    async with road(tmp_path, website=in_turn(limited)) as found:
        await found.receive()
        await until(lambda: found.worker.open == 1)
        await found.receive(id="2", incident="i2")
        await until(lambda: len(found.said("facebook-leer")) == 2)
        found.push(timedelta(seconds=59))
        await asyncio.sleep(0.02)
        assert len(found.said("website")) == 1
        found.push(timedelta(seconds=1))
        await found.quiet()
        assert len(found.said("website")) == 3


async def test_nobody_asks_a_provider_before_its_time(tmp_path: Path) -> None:
    """However much waits for a credential, and however often the worker wakes, none of it is looked at before its time."""
    looks: list[float] = []
    many = tuple(channel(f"many-{n}", origin="one", credential="one") for n in range(50))
    async with road(tmp_path, deployment(channels=many)) as found:
        found.permits.monotonic = lambda: looks.append(1) or found.clock.now().timestamp()
        found.permits.hold(many[0], 60)
        await found.receive()
        await asyncio.sleep(0.02)
        before = len(looks)
        for _ in range(10):
            found.push(timedelta(seconds=1))
            await asyncio.sleep(0.001)
        assert (len(looks), found.worker.open) == (before, 50)
        found.push(timedelta(seconds=50))
        await found.quiet()
        assert set((await found.states()).values()) == {"accepted"}


async def test_retries_wait_for_their_time(tmp_path: Path) -> None:
    """A delivery is not tried again before it is due."""
    later = Outcome(result=Result.TEMPORARY, reason=Reason.SERVER_ERROR, retry_after=timedelta(seconds=30))
    async with road(tmp_path, website=in_turn(later)) as found:
        await found.receive()
        await until(lambda: found.worker.open == 1)
        found.push(timedelta(seconds=29.9))
        await asyncio.sleep(0.02)
        assert len(found.said("website")) == 1
        found.push(timedelta(seconds=0.1))
        await found.quiet()
        assert len(found.said("website")) == 2


async def test_draining_starts_nothing_more(tmp_path: Path) -> None:
    """After the word to stop nothing new starts; what is under way may end, what is not done by then is cut off."""
    gate = Gate()
    async with road(tmp_path, website=gate, facebook_leer=always(TEMPORARY)) as found:
        await found.receive()
        await until(lambda: gate.inside == 1 and len(found.said("whatsapp-leer")) == 1)
        draining = asyncio.create_task(found.worker.drain(1))
        await asyncio.sleep(0)
        tried = len(found.said("facebook-leer"))
        found.push(timedelta(seconds=30))
        await asyncio.sleep(0.02)
        assert len(found.said("facebook-leer")) == tried
        gate.opened.set()
        await draining
        assert (await found.states())["website"] == "accepted"


async def test_what_drain_cuts_off_stays_under_way(tmp_path: Path) -> None:
    """A send that does not end in time stays `sending` on disk: the doubt of the next start, not a guess of this one."""
    gate = Gate()
    async with road(tmp_path, website=gate) as found:
        await found.receive()
        await until(lambda: gate.inside == 1 and found.worker.open == 1)
        await found.worker.drain(0.01)
        assert found.worker.open == 0
        assert (await found.states())["website"] == "sending"


async def test_draining_waits_for_what_is_being_journaled(tmp_path: Path) -> None:
    """An attempt that is being journaled when the word to stop comes still starts, and gets its time to end."""
    async with road(tmp_path, working=False) as found:
        sent = alert("website", "facebook-leer")
        await found.journal.write(partial(store.write_alert, alert=sent, released_at=moment(0)))
        await found.journal.write(partial(store.write_rows, alert=sent, planned=sent.plan, released_at=moment(0)))
        found.worker.enqueue(outgoing(sent))
        found.journal.opened.clear()
        task = asyncio.create_task(found.worker.run(found.pipeline, found.recovery))
        await until(lambda: found.journal.waiting == 1)
        draining = asyncio.create_task(found.worker.drain(1))
        await asyncio.sleep(0.01)
        found.journal.open()
        await draining
        assert set((await found.states()).values()) == {"accepted"}
        task.cancel()


async def test_after_draining_nothing_leaves(tmp_path: Path) -> None:
    """What comes in after the word to stop is on disk, and is the next start's to send."""
    async with road(tmp_path) as found:
        await found.worker.drain(1)
        await found.receive()
        await asyncio.sleep(0.01)
        assert await found.states() == dict.fromkeys(LEER, "queued")
        assert not any(found.said(name) for name in LEER)


async def test_permits_that_go_back_let_others_go(tmp_path: Path) -> None:
    """Where a later text took the lane but could not be written, the earlier one that waited behind it goes on."""
    async with road(tmp_path, website=in_turn(TEMPORARY)) as found:
        await found.receive()
        await until(lambda: found.worker.open == 1 and not found.permits._lanes)
        found.journal.opened.clear()
        update = Speak(person="anna", incident=IncidentId("i1"), purpose=Purpose.UPDATE, key="k")
        speaking = asyncio.create_task(found.pipeline.command(update))
        await until(lambda: found.journal.waiting == 1)
        found.push(timedelta(seconds=1))
        await until(lambda: any(found.worker._parked.values()))
        found.journal.open(refusals=1)
        with pytest.raises(JournalBusy):
            await speaking
        await found.quiet()
        assert await found.states() == dict.fromkeys(LEER, "accepted")


@pytest.mark.parametrize("channels", [1, 450])
async def test_all_rows_are_written_before_any_result(channels: int, tmp_path: Path) -> None:
    """However many channels an alert has, every result finds its delivery's row on disk."""
    many = tuple(channel(f"many-{n}") for n in range(channels))
    async with road(tmp_path, deployment(channels=many)) as found:
        await found.receive()
        await found.quiet()
        assert list((await found.states()).values()) == ["accepted"] * channels
        (record,) = await found.alerts()
        attempts = await found.journal.read(
            partial(queries.attempts, wanted=DeliveryId(f"{record.alert.id}:many-{channels - 1}"))
        )
        assert [a["result"] for a in attempts] == ["accepted"]
        kinds = await found.kinds()
        assert [kinds.count(f"delivery.{state}") for state in ("sending", "accepted")] == [channels, channels]
        assert DeliveryState.SENDING not in set((await found.states()).values())
