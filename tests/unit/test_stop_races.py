"""An end, a retraction or a stop races a fan-out: nothing starts to leave once it is in the journal."""

from __future__ import annotations

import asyncio
import random
import sqlite3
from collections import Counter
from contextlib import closing
from dataclasses import dataclass, field
from pathlib import Path

import pytest
from house import TEMPORARY, Road, channel, deployment, road, speak, until

from dispatcher.channels.departure import leave
from dispatcher.model.alert import Post, Purpose
from dispatcher.model.command import Assign, BreakGlass, Command, Resume, Retract, Scope, Stop
from dispatcher.model.delivery import AlertId, IncidentId, Outcome, Result
from dispatcher.model.errors import JournalBusy
from dispatcher.permits import Permits
from dispatcher.testing import FakeChannel, FakeClock

CHANNELS = tuple(channel(f"c{n}", "leer", origin=f"https://host{n % 4}.test") for n in range(20))
SLOTS = 3  # for each of four hosts: eight channels queue behind the first twelve
COMMANDS = ("all_clear", "false_alarm", "retract", "stop incident", "stop channel", "stop all")
ENDED = "SELECT 1 FROM alerts WHERE incident = ? AND purpose IN ('all_clear', 'false_alarm') AND state = 'released'"
STOPPED = "SELECT 1 FROM stops WHERE (scope, ref) IN (('incident', ?), ('channel', ?), ('all', ''))"


async def turns(count: int) -> None:
    """Let everything else go on so many times."""
    for _ in range(count):
        await asyncio.sleep(0)


@dataclass
class Witness:
    """What left, and what the journal's file said at that very moment."""

    journal: sqlite3.Connection
    rng: random.Random
    left: Counter[str] = field(default_factory=Counter)
    too_late: list[Post] = field(default_factory=list)

    def saw(self, post: Post, name: str) -> None:
        """A request head of ``post`` is being written."""
        ended = self.journal.execute(ENDED, (post.incident,)).fetchone() and post.purpose is Purpose.ALERT
        if ended or self.journal.execute(STOPPED, (post.incident, name)).fetchone():
            self.too_late.append(post)
        self.left[post.purpose] += 1


@dataclass(slots=True)
class Racer(FakeChannel):
    """A channel that takes its time before its head and before its answer, and refuses for now one time in five."""

    name: str = ""
    witness: Witness | None = None

    async def send(self, post: Post) -> Outcome:
        """Connect, leave, wait for the answer."""
        assert self.witness is not None
        await turns(self.witness.rng.randrange(60))
        leave()
        self.witness.saw(post, self.name)
        await turns(self.witness.rng.randrange(60))
        refused = self.witness.rng.random() < 0.2
        return TEMPORARY if refused else Outcome(result=Result.ACCEPTED, provider_id="1")


def _command(which: str, incident: IncidentId, alert: AlertId, name: str) -> Command:
    match which.split():
        case ["retract"]:
            return Retract(person="anna", alert=alert, key=f"retract-{incident}")
        case ["stop", scope]:
            ref = {"incident": incident, "channel": name, "all": ""}[scope]
            return Stop(person="anna", scope=Scope(scope), ref=ref, reason="wrong place")
    return speak(Purpose(which), key=f"end-{incident}", incident=incident)


async def _race(found: Road, witness: Witness, number: int) -> Command:
    """One fan-out and one command somewhere in it; at the end nothing is held any more."""
    incident, rng = IncidentId(f"i{number}"), witness.rng
    await found.receive(id=str(number), incident=incident, sent=found.clock.now().isoformat())
    alert = (await found.alerts(incident))[0].alert.id
    await turns(rng.choice((0, rng.randrange(30), rng.randrange(600))))
    command = _command(rng.choice(COMMANDS), incident, alert, f"c{rng.randrange(20)}")
    await found.pipeline.command(command)
    await turns(rng.randrange(300))
    if isinstance(command, Stop):
        lift = Resume(person="ben", scope=command.scope, ref=command.ref, break_glass=BreakGlass.DANGER_TO_LIFE)
        await found.pipeline.command(lift)
    await found.push_until_quiet(20)
    return command


async def _races(count: int, path: Path) -> None:
    rng, clock = random.Random(20_261_123), FakeClock()
    permits = Permits(origin_slots=SLOTS, monotonic=lambda: clock.now().timestamp())
    where = deployment(channels=CHANNELS)
    async with road(path, where, clock=clock, permits=permits, inline=False) as found:
        with closing(sqlite3.connect(f"file:{path}/journal.sqlite?mode=ro", uri=True, isolation_level=None)) as journal:
            witness = Witness(journal, rng)
            for profile in CHANNELS:
                found.replace_channel(profile.id, Racer(name=profile.id, witness=witness))
            commands = [await _race(found, witness, number) for number in range(count)]
        stops = sum(isinstance(command, Stop) for command in commands)
        caught = await found.journal.read(_caught)
    assert witness.too_late == []
    assert witness.left[Purpose.ALERT] >= 20 * stops  # what was stopped went on when the stop was lifted
    assert caught > count - stops  # and ends did come in mid fan-out


def _caught(connection) -> int:
    """Texts that an end kept from ever leaving."""
    query = "SELECT count(*) FROM deliveries WHERE state IN ('superseded', 'cancelled')"
    return connection.exec_driver_sql(query).scalar_one()


async def test_nothing_leaves_after_a_hundred_raced_ends_and_stops(tmp_path):
    """A hundred times at a random moment of a fan-out: no request starts once the end or stop is journaled."""
    await _races(100, tmp_path)


@pytest.mark.long
async def test_nothing_leaves_after_a_thousand_raced_ends_and_stops(tmp_path):
    """A thousand times at a random moment of a fan-out: no request starts once the end or stop is journaled."""
    await _races(1_000, tmp_path)


async def test_an_assignment_holds_before_it_is_written(tmp_path: Path) -> None:
    """While it is being written nothing starts on the officer's account; one that was not written is as if it never was."""
    own = channel("own", group="officers", officer="4711")
    async with road(tmp_path, deployment(channels=(own,)), working=False) as found:
        await found.receive()
        [waiting] = await found.deliveries()
        for refusals, stops in ((1, False), (0, True)):
            found.journal.opened.clear()
            command = Assign(person="anna", incident=waiting.incident, officers=("4711",))
            naming = asyncio.create_task(found.pipeline.command(command))
            await until(lambda: found.journal.waiting == 1)
            assert found.fence.stops(waiting)
            found.journal.open(refusals)
            [said] = await asyncio.gather(naming, return_exceptions=True)
            assert (isinstance(said, JournalBusy), found.fence.stops(waiting)) == (refusals == 1, stops)
