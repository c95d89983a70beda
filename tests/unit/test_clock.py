"""A machine's clock that is set while deliveries wait moves none of them."""

from __future__ import annotations

import asyncio
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from unit.house import NOW, TEMPORARY, in_turn, road, speak

from dispatcher.clock import SystemClock
from dispatcher.model.alert import Purpose
from dispatcher.model.delivery import Outcome, Result
from dispatcher.permits import Permits
from dispatcher.plan.damping import MOST, SPAN, Damper
from dispatcher.plan.pages import Cause, Page
from dispatcher.watch import TICK_SECONDS, keep_time

HOUR_BACK, DAY_AHEAD = timedelta(hours=-1), timedelta(days=1)


class Machine:
    """A clock that can be set, and the seconds that really pass."""

    def __init__(self) -> None:
        """Right, at first."""
        self.wall, self.passed = NOW, 0.0
        self.clock = SystemClock(lambda: self.wall, lambda: self.passed)

    def run(self, seconds: float) -> None:
        """Let time pass."""
        self.wall, self.passed = self.wall + timedelta(seconds=seconds), self.passed + seconds


async def run_until(found: Any, machine: Machine, said: int) -> None:
    """Let real time pass, a tenth of a second at a time, until the website was asked so often."""
    async with asyncio.timeout(20):
        while len(found.said("website")) < said:
            machine.run(0.1)
            found.worker.enqueue([])
            await asyncio.sleep(0.002)


@pytest.mark.parametrize("jump", [HOUR_BACK, DAY_AHEAD])
async def test_a_clock_that_is_set_moves_no_retry(jump: timedelta, tmp_path: Path) -> None:
    """What waits to be tried again is tried when its time has really passed, and does not expire before it has."""
    machine = Machine()
    permits = Permits(monotonic=lambda: machine.passed)
    answers = in_turn(TEMPORARY, TEMPORARY, Outcome(result=Result.ACCEPTED, provider_id="1"))
    async with road(tmp_path, clock=machine.clock, permits=permits, website=answers) as found:
        await found.receive()
        await run_until(found, machine, 1)
        machine.wall += jump
        await run_until(found, machine, 3)
        assert machine.passed < 3
        await found.quiet()
        assert (await found.states())["website"] == "accepted"


@pytest.mark.parametrize("jump", [HOUR_BACK, DAY_AHEAD])
def test_a_clock_is_followed_where_nothing_waits(jump: timedelta) -> None:
    """Time goes on as it was until it is asked to settle; then it is the machine's."""
    machine = Machine()
    machine.run(5)
    machine.wall += jump
    assert machine.clock.now() == NOW + timedelta(seconds=5)
    machine.clock.settle()
    assert machine.clock.now() == NOW + timedelta(seconds=5) + jump


async def test_a_clock_is_not_followed_while_anything_waits() -> None:
    """A daemon takes its machine's time over as soon as nothing is on its way."""
    machine, waits = Machine(), True
    machine.wall += HOUR_BACK
    keeping = asyncio.create_task(keep_time(machine.clock, lambda: waits))
    await asyncio.sleep(0)
    async with asyncio.timeout(10):
        await asyncio.sleep(TICK_SECONDS)
        assert machine.clock.now() == NOW
        waits = False
        while machine.clock.now() == NOW:
            await asyncio.sleep(0.01)
    keeping.cancel()
    assert machine.clock.now() == NOW + HOUR_BACK


async def test_an_end_is_one_though_the_clock_went_back_before_it(tmp_path: Path) -> None:
    """What was said last is known by its order, not by its time: a channel that got its end gets no other one."""
    async with road(tmp_path) as found:
        await found.receive()
        await found.quiet()
        found.push(HOUR_BACK)
        await found.pipeline.command(speak(Purpose.ALL_CLEAR))
        await found.push_until_quiet()
        history = await found.pipeline.decisions.means.history(speak().incident)
        assert history.carriers == frozenset()


def test_pages_are_not_kept_back_for_an_hour() -> None:
    """Where the clock goes back while a flood is damped, what was kept back is told and pages begin anew."""
    damper, page = Damper(), Page(Cause.UNREADABLE, ("x",))
    for number in range(MOST + 1):
        damper.admits(page, "els", str(number), NOW)
    told = [line for one, _ in damper.summaries(NOW + HOUR_BACK) for line in one.lines]
    assert (len(told), damper.admits(page, "els", "later", NOW + HOUR_BACK + SPAN)) == (1, True)
