"""Sources are missed: silence beyond what they promised and numbers missing from a sequence are paged, once each."""

from __future__ import annotations

import asyncio
from datetime import timedelta
from pathlib import Path

import pytest
from unit.house import TEMPORARY, Road, always, deployment, event, playbook, road

from dispatcher.journal import standing
from dispatcher.model.source import Source
from dispatcher.plan.pages import Cause
from dispatcher.pulse import Pulse
from dispatcher.watch import Trouble, Watch


def loop_trouble(pulse: Pulse) -> Trouble:
    """As the daemon watches its loop."""
    return Trouble(Cause.LOOP, lambda: pulse.trouble, news=False)


WHERE = deployment(playbook(), sources={"els": Source(heartbeat=timedelta(seconds=90), sequence=True)})


async def test_silence_is_paged_once_until_the_source_speaks(tmp_path: Path) -> None:
    """A source that said it would be heard of every 90 s is missed after that, once for each silence."""
    async with road(tmp_path, WHERE) as found:
        time = [0.0]
        watch = Watch(found.pipeline, found.journal, lambda: time[0])
        watch.alive("els")
        for moment in (89, 91, 300):
            time[0] = moment
            await watch.look()
        assert await found.pages() == ["silent"]
        watch.event(event("els"))
        await watch.look()
        time[0] = 391
        await watch.look()
        assert await found.pages() == ["silent", "silent"]


async def test_a_gap_is_paged_when_it_lasts(tmp_path: Path) -> None:
    """Numbers that never come are named; those that come late, or twice, are no gap."""
    async with road(tmp_path, WHERE) as found:
        time = [0.0]
        watch = Watch(found.pipeline, found.journal, lambda: time[0])
        for number in (7, 8, 12, 10, 10, 13):
            watch.event(event("els", sequence=number))
        await watch.look()
        assert await found.pages() == []
        time[0] = 3
        for _ in range(2):
            await watch.look()
        await found.quiet()
        assert await found.pages() == ["gap"]
        assert "els: 2 missing, 9 to 11" in found.fakes["duty-team"].posts[-1].text.body


async def test_the_last_number_outlives_a_restart(tmp_path: Path) -> None:
    """What is kept of a sequence is where it stands, so that a gap across a restart is seen."""
    async with road(tmp_path, WHERE) as found:
        for number in (5, 7, 9):
            await found.journal.write(lambda connection, n=number: standing.note_sequence(connection, "els", n))
        assert await found.journal.read(standing.sequences) == {"els": 9}


async def test_a_loop_that_stumbles_on_is_one_page(tmp_path: Path) -> None:
    """A loop that stands still every other second is told of once, however its seconds add up, until it is well again."""
    async with road(tmp_path) as found:
        time = [0.0]
        pulse = Pulse(lambda: time[0])
        watch = Watch(found.pipeline, found.journal, lambda: time[0], [loop_trouble(pulse)])
        for pause in (*[1.0] * 120, *[0.05] * 1_400, *[1.0] * 20):
            time[0] += pause
            pulse.tick()
            if pause == 1 or not pulse.trouble:
                await watch.look()
        assert await found.pages() == ["loop", "loop"]


async def test_a_gap_outlives_a_kill(tmp_path: Path) -> None:
    """A daemon that dies before a missing number was late enough to be told of still misses it after the next start."""
    async with road(tmp_path, WHERE) as found:
        watch = Watch(found.pipeline, found.journal, lambda: 0.0)
        for number in (4, 7):
            watch.event(event("els", sequence=number))
        running = asyncio.create_task(watch.run())
        async with asyncio.timeout(10):
            while not await found.journal.read(standing.sequences):
                await asyncio.sleep(0.01)
        running.cancel()
        assert await found.pages() == []

        time = [0.0]
        after = Watch(found.pipeline, found.journal, lambda: time[0])
        await after.recall()
        after.event(event("els", sequence=8))
        time[0] = 3
        await after.look()
        assert await found.pages() == ["gap"]


async def test_trouble_with_the_broker_is_paged_when_it_lasts(tmp_path: Path) -> None:
    """A broker that is away for a moment wakes nobody; one that stays away pages once, and again after it was back."""
    async with road(tmp_path) as found:
        time, trouble = [0.0], ["no connection to broker:1883"]
        broker = Trouble(Cause.BROKER, lambda: trouble[0], 15)
        watch = Watch(found.pipeline, found.journal, lambda: time[0], [broker])
        for moment, said in ((0, "away"), (14, "away"), (15, ""), (16, "away"), (32, "away"), (500, "away")):
            time[0], trouble[0] = moment, said
            await watch.look()
        assert await found.pages() == ["broker"]
        for moment, said in ((501, ""), (502, "away"), (518, "away")):
            time[0], trouble[0] = moment, said
            await watch.look()
        assert await found.pages() == ["broker", "broker"]
        for said in ("worse", "away", "worse"):
            trouble[0] = said
            await watch.look()
        assert await found.pages() == ["broker"] * 3


def watch_of(found: Road) -> Watch:
    """As the daemon watches what is stuck."""
    return Watch(found.pipeline, found.journal, stuck=lambda: found.worker.stuck)


async def pass_by(found: Road, seconds: int) -> None:
    """So many seconds, one by one."""
    for _ in range(seconds):
        found.push(timedelta(seconds=1))
        await asyncio.sleep(0.01)


async def test_what_is_stuck_is_paged_once(tmp_path: Path) -> None:
    """An urgent text that quick retries cannot get out within 30 s calls staff, once, with the channel and how often it was tried."""
    async with road(tmp_path, facebook_leer=always(TEMPORARY)) as found:
        watch = watch_of(found)
        await found.receive()
        await pass_by(found, 28)
        await watch.look()
        assert await found.pages() == []
        await pass_by(found, 4)
        for _ in range(2):
            await watch.look()
            await pass_by(found, 2)
        assert await found.pages() == ["stuck"]
        text = found.fakes["duty-team"].posts[-1].text.body
        assert "facebook-leer: " in text
        assert "whatsapp-leer" not in text
    async with road(tmp_path, facebook_leer=always(TEMPORARY), clock=found.clock) as again:
        await pass_by(again, 32)
        await watch_of(again).look()
        assert await again.pages() == ["stuck"]


@pytest.mark.parametrize("severity", ["moderate", "minor"])
async def test_what_is_not_urgent_wakes_nobody(severity: str, tmp_path: Path) -> None:
    """A mild text that is not out yet is told of when its time is over, not before."""
    async with road(tmp_path, facebook_leer=always(TEMPORARY)) as found:
        await found.receive(severity=severity)
        await pass_by(found, 40)
        await watch_of(found).look()
        assert await found.pages() == []


async def test_what_was_stuck_before_a_start_has_its_time(tmp_path: Path) -> None:
    """What a daemon finds waiting when it starts is not stuck before it has had 30 s of its own."""
    async with road(tmp_path, facebook_leer=always(TEMPORARY)) as found:
        await found.receive()
        await pass_by(found, 5)
    found.clock.push(timedelta(minutes=5))
    async with road(tmp_path, facebook_leer=always(TEMPORARY), clock=found.clock) as again:
        await pass_by(again, 20)
        await watch_of(again).look()
        assert await again.pages() == []
