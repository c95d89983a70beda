"""Killed at the Nth flush, write or send of a fan-out, for every N: nothing is lost, no repeat goes unmarked."""

from __future__ import annotations

import asyncio
import itertools
import os
import random
import shutil
import signal
import sqlite3
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import pytest
from acceptance.forks import ForkedDaemon
from acceptance.harness import Arrival, Receivers, event, one_playbook, publish, waiting_session
from acceptance.tracing import CALLS, count_calls, kill_at, start_traced
from integration.broker import Mosquitto

from dispatcher.intake.embedded import free_port

CHANNELS = 20
SIDE_BY_SIDE = 2
Point = tuple[str, int]


@dataclass
class Sweep:
    """One broker and one set of receivers for all points; each point has a daemon, a journal and a session of its own."""

    strace: str
    world: Receivers
    broker: Mosquitto
    folder: Path
    journal: Path | None = None  # what every daemon begins with; without it each makes its own

    async def measure(self) -> dict[str, int]:
        """The calls of a run that nobody kills, from start through fan-out to a clean end."""
        daemon = await self._prepared("measured")
        code = await self._run(daemon, "measured", "-e", f"trace={','.join(CALLS)}")
        assert code == 0, daemon.log()
        return count_calls(daemon.folder / "strace.log")

    async def at(self, name: str, call: str, nth: int) -> bool:
        """Kill at one point, start again, check everything; whether the run came as far as that point."""
        daemon = await self._prepared(name)
        code = await self._run(daemon, name, *kill_at(call, nth))
        assert code in (0, -signal.SIGKILL), daemon.log()
        async with daemon:
            await daemon.until(lambda: _all_accepted(daemon))
            self._check(daemon, name)
        self.world.arrivals[:] = [a for a in self.world.arrivals if a.data["incident"] != _incident(name)]
        shutil.rmtree(daemon.folder)
        return code != 0

    async def _prepared(self, name: str) -> ForkedDaemon:
        """A daemon that is not started, and its event, which waits for it at the broker."""
        folder = self.folder / name
        one_playbook(folder)
        if self.journal is not None:
            shutil.copy(self.journal, folder / "journal.sqlite")
        await waiting_session(self.broker, name, prefix=name)
        await publish(self.broker, [event(name)], prefix=name)
        link = {"node": name, "prefix_in": name}
        return ForkedDaemon(folder, self.broker, self.world.channels(CHANNELS), free_port(), link=link)

    async def _run(self, daemon: ForkedDaemon, name: str, *options: str) -> int:
        """From start through fan-out to a clean end, or to the kill; the exit code."""
        strace = await start_traced(self.strace, daemon, daemon.folder / "strace.log", *options)
        process, told = daemon.process, False
        assert process is not None
        async with asyncio.timeout(60):
            while process.returncode is None:
                if not told and len(self.world.reached(_incident(name))) == CHANNELS and _all_accepted(daemon):
                    process.send_signal(signal.SIGTERM)
                    told = True
                await asyncio.sleep(0.005)
            await strace.wait()
        return process.returncode

    def _check(self, daemon: ForkedDaemon, name: str) -> None:
        reached = self.world.reached(_incident(name))
        doubtful = {channel for (channel,) in daemon.rows("SELECT channel FROM deliveries WHERE doubtful")}
        keys = {(a.channel, a.key) for a in self.world.arrivals if a.data["incident"] == _incident(name)}
        assert set(reached) == {f"c{n}" for n in range(CHANNELS)}, name
        assert {channel for channel, count in reached.items() if count > 1} <= doubtful, name
        assert max(reached.values()) <= 2, name
        assert len(keys) == CHANNELS, name
        assert daemon.rows("SELECT count(*) FROM events") == [(1,)], name
        assert daemon.rows("PRAGMA integrity_check") == [("ok",)], name


def _incident(name: str) -> str:
    return f"incident-{name}"


def _all_accepted(daemon: ForkedDaemon) -> bool:
    try:
        return daemon.states()["accepted"] == CHANNELS
    except sqlite3.OperationalError:  # no journal yet
        return False


async def _answer_in_turn(arrival: Arrival) -> int:
    """Each channel a little later than the one before, so that results are journaled one by one."""
    await asyncio.sleep(int(arrival.channel[1:]) * 0.005)
    return 200


def spread(counts: dict[str, int], points: int) -> list[Point]:
    """Evenly spread points: where there are more calls than points some are left out, else all come round again."""
    every = [(call, nth) for call, count in counts.items() for nth in range(1, count + 1)]
    if len(every) <= points:
        return list(itertools.islice(itertools.cycle(every), points))
    return [every[n * len(every) // points] for n in range(points)]


async def kill_everywhere(sweep: Sweep, points: Sequence[Point]) -> None:
    """Kill a daemon at each point, two daemons at a time; where a run has fewer calls, at an earlier one."""
    waiting = list(enumerate(points))
    random.Random(4).shuffle(waiting)

    async def one_after_another() -> None:
        while waiting:
            number, (call, nth) = waiting.pop()
            if not await sweep.at(f"{number}-{call}-{nth}", call, nth):
                assert nth > 1, f"no call of {call}"
                waiting.append((number, (call, nth * 4 // 5)))

    async with asyncio.TaskGroup() as group:
        for _ in range(SIDE_BY_SIDE):
            group.create_task(one_after_another())


@pytest.fixture
def sweep(strace, world: Receivers, mosquitto, tmp_path) -> Sweep:
    """Daemons whose twenty receivers answer one after the other."""
    world.answers = {f"c{n}": _answer_in_turn for n in range(CHANNELS)}
    return Sweep(strace, world, mosquitto, tmp_path)


async def _journal_of_yesterday(sweep: Sweep) -> Path:
    """A journal whose tables are there: a daemon ran on it and ended."""
    folder = sweep.folder / "yesterday"
    one_playbook(folder)
    link = {"node": "yesterday", "prefix_in": "yesterday"}
    daemon = ForkedDaemon(folder, sweep.broker, sweep.world.channels(CHANNELS), free_port(), link=link)
    await daemon.start()
    assert await daemon.end(signal.SIGTERM) == 0
    return daemon.journal_path


async def test_killed_at_sixty_calls_of_a_fan_out(sweep):
    """Killed at 60 flushes, writes and sends from start to end: 0 of 20 lost, every repeat marked, no page torn."""
    sweep.journal = await _journal_of_yesterday(sweep)
    points = spread(await sweep.measure(), 60)
    assert len(points) == 60
    await kill_everywhere(sweep, points)


async def test_killed_while_the_journal_is_made(sweep):
    """Killed at six calls of the very first start: the next start makes the journal and says everything."""
    counts = await sweep.measure()
    await kill_everywhere(sweep, spread({"fdatasync": counts["fdatasync"], "pwrite64": counts["pwrite64"]}, 6))


@pytest.mark.long
@pytest.mark.parametrize(("first_start", "share"), [(True, 0.2), (False, 0.8)])
async def test_killed_at_every_call_again_and_again(first_start, share, sweep):
    """Killed at 2,000 calls (SWEEP_POINTS says how many), every one of a run several times: 0 lost, 0 unmarked."""
    if not first_start:
        sweep.journal = await _journal_of_yesterday(sweep)
    points = spread(await sweep.measure(), round(int(os.environ.get("SWEEP_POINTS", "2000")) * share))
    await kill_everywhere(sweep, points)
