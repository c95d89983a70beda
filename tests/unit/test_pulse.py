"""A loop that stands still is measured, named and remembered."""

from __future__ import annotations

import asyncio
import re
import time

import pytest
from structlog.testing import capture_logs
from unit.house import delivery, until

from dispatcher.pulse import LATE_SECONDS, TICK_SECONDS, Pulse
from dispatcher.telemetry import REGISTRY
from dispatcher.testing import FakeChannel


def _slow_ticks() -> float:
    """How many ticks so far came at least a quarter of a second late."""
    name = "dispatcher_loop_lag_seconds"
    return REGISTRY.get_sample_value(f"{name}_count") - REGISTRY.get_sample_value(f"{name}_bucket", {"le": "0.25"})


def _beating(*lags: float) -> tuple[Pulse, list[float]]:
    """A pulse after ticks that were late by so many seconds, and the time that it goes by."""
    now = [100.0]
    pulse = Pulse(lambda: now[0])
    for lag in lags:
        now[0] += TICK_SECONDS + lag
        pulse.tick()
    return pulse, now


async def test_what_blocks_the_loop_is_named_while_it_does() -> None:
    """Where a channel blocks the loop, the log says so before it lets go: the line of the program, and how it came there."""
    pulse = Pulse()
    with capture_logs() as logs:

        def block_until_told(_: object) -> None:
            deadline = time.monotonic() + 5
            while not any(line["event"] == "loop_blocked" for line in logs) and time.monotonic() < deadline:
                time.sleep(0.005)

        async def careless(post: object) -> None:
            block_until_told(post)

        task = asyncio.create_task(pulse.run())
        before = _slow_ticks()
        await asyncio.sleep(0)
        await FakeChannel(careless).send(delivery())
        await until(lambda: len(logs) > 1)
        task.cancel()
    blocked, over = logs
    assert re.search(r"dispatcher/testing\.py:\d+ send$", blocked["held_by"])
    assert [place.rpartition(" ")[2] for place in blocked["frames"]][:3] == ["block_until_told", "careless", "send"]
    assert (over["event"], over["held_by"]) == ("loop_stood_still", blocked["held_by"])
    assert over["seconds"] >= blocked["seconds"] >= LATE_SECONDS
    assert _slow_ticks() == before + 1
    assert pulse.stood_still(10) >= LATE_SECONDS


@pytest.mark.parametrize(
    ("lags", "seconds"), [([0.0, 0.01, 0.2], 0), ([0.3], 0.3), ([0.4, 0.0, 0.4], 0.8), ([0.9, 0.9, 0.9], 2.7)]
)
def test_stalls_add_up(lags: list[float], seconds: float) -> None:
    """Ordinary work is no stall; stalls of ten seconds are added, and two seconds of them are too much to be relied on."""
    pulse, _ = _beating(*lags)
    assert pulse.stood_still(10) == pytest.approx(seconds)
    assert pulse.steady is (seconds < 2)


def test_a_stall_is_forgotten_in_time() -> None:
    """One long stall makes the daemon unready for ten seconds, and worth a page for a minute."""
    pulse, now = _beating(6.0)
    assert not pulse.steady
    assert pulse.trouble.startswith("stood still for 6 s of the last minute")
    now[0] += 10.5
    assert pulse.steady
    assert pulse.trouble
    now[0] += 50
    assert not pulse.trouble


@pytest.mark.parametrize(("lags", "paged"), [([4.5, 4.5], False), ([4.5, 4.5, 1.5], True), ([5.5], True)])
def test_only_what_lasts_wakes_somebody(lags: list[float], paged: bool) -> None:
    """Five seconds at once or ten in a minute are paged; less, such as a burst of posts, is in the log."""
    pulse, _ = _beating(*lags)
    assert bool(pulse.trouble) is paged
