"""The power goes at any moment: whatever was acknowledged is on the drive, and the next start says it."""

from __future__ import annotations

import random
import sqlite3
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest
from acceptance.careless import acknowledge_at_once, never_flush
from acceptance.forks import ForkedDaemon
from acceptance.harness import Receivers, event, one_playbook, publish
from acceptance.power import LOGGED, Night
from acceptance.tracing import start_traced
from integration.broker import Mosquitto

from dispatcher.intake.embedded import free_port

EVENTS = 40
CHANNELS = 2


@dataclass
class Cuts:
    """Nights with a broker, two channels and forty events, logged; and power cuts in them."""

    strace: str
    world: Receivers
    broker: Mosquitto
    folder: Path

    async def night(self, name: str, fault: Callable[[], None] | None = None) -> Path:
        """The log of a daemon that took in forty events and said them all; ``fault`` is planted in it."""
        daemon, log = self._daemon(name), self.folder / f"{name}.log"
        strace = await start_traced(self.strace, daemon, log, *LOGGED, fault=fault)
        await daemon.until_ready()
        await publish(self.broker, [event(f"{name}-{n}") for n in range(EVENTS)], prefix=name)
        await daemon.until(lambda: daemon.states()["accepted"] == EVENTS * CHANNELS)
        await daemon.kill()
        await strace.wait()
        return log

    def promises(self, name: str, log: Path) -> Iterator[Night]:
        """The night at each of its promises."""
        return Night(self.broker.port, self.folder / name).promises(log)

    def lost(self, name: str, log: Path) -> int:
        """Acknowledged events that a power cut would lose, at the worst of all promises."""
        worst, rng = 0, random.Random(name)
        for n, night in enumerate(self.promises(name, log)):
            folder = self.folder / f"{name}-cut"
            night.drive.cut(folder, rng if n % 2 else None)
            worst = max(worst, len(night.acknowledged - _events(folder / "journal.sqlite")))
        return worst

    async def start_after(self, name: str, night: Night, rng: random.Random | None) -> None:
        """Cut the power here, start again: all that was acknowledged is said, repeats are marked."""
        daemon, before = self._daemon(name), len(self.world.arrivals)
        night.drive.cut(daemon.folder, rng)
        async with daemon:
            await daemon.until(lambda: daemon.states().total() == daemon.states()["accepted"])
            known = {number for (number,) in daemon.rows("SELECT id FROM events")}
            doubtful = set(daemon.rows("SELECT incident, channel FROM deliveries WHERE doubtful"))
            again = [a for a in self.world.arrivals[before:] if a.key in night.requested]
            assert daemon.rows("PRAGMA integrity_check") == [("ok",)]
            assert daemon.states() == Counter(accepted=CHANNELS * len(known))
        assert night.acknowledged <= known
        assert {(a.data["incident"], a.channel) for a in again} <= doubtful
        assert night.requested <= {arrival.key for arrival in self.world.arrivals}

    def _daemon(self, name: str) -> ForkedDaemon:
        one_playbook(self.folder / name)
        link = {"node": name, "prefix_in": name}
        return ForkedDaemon(self.folder / name, self.broker, self.world.channels(CHANNELS), free_port(), link=link)


def _events(journal: Path) -> set[str]:
    """The events in a journal whose drive lost its power; none where it is not whole."""
    for log in journal.parent.glob("*-shm"):
        log.unlink()
    connection = sqlite3.connect(journal)
    try:
        whole = connection.execute("PRAGMA integrity_check").fetchall() == [("ok",)]
        return {number for (number,) in connection.execute("SELECT id FROM events")} if whole else set()
    except sqlite3.DatabaseError:
        return set()
    finally:
        connection.close()


@pytest.fixture
def cuts(strace, world, mosquitto, tmp_path) -> Cuts:
    """Power cuts on this machine."""
    return Cuts(strace, world, mosquitto, tmp_path)


async def _cut(cuts: Cuts, nights: int, each: int) -> None:
    rng = random.Random(20_261_121)
    for number in range(nights):
        log = await cuts.night(f"night-{number}")
        total = sum(1 for _ in cuts.promises(f"night-{number}", log))
        chosen = set(rng.sample(range(total), each))
        for n, night in enumerate(cuts.promises(f"night-{number}", log)):
            if n in chosen:
                await cuts.start_after(f"night-{number}-{n}", night, rng if n % 2 else None)


async def test_five_power_cuts_lose_no_acknowledged_event(cuts):
    """The power goes right after five of a night's promises: the next start knows all that was acknowledged."""
    await _cut(cuts, nights=1, each=5)


async def test_a_power_cut_after_any_promise_loses_no_acknowledged_event(cuts):
    """After every single acknowledgement and request of a night, every acknowledged event is on the drive."""
    log = await cuts.night("night")
    *_, end = cuts.promises("night", log)
    assert (len(end.acknowledged), len(end.requested)) == (EVENTS, EVENTS * CHANNELS)
    assert cuts.lost("night", log) == 0


@pytest.mark.parametrize("fault", [never_flush, acknowledge_at_once])
async def test_a_careless_daemon_is_found_out(cuts, fault):
    """The same cuts show the loss where the journal is not flushed, or where the client acknowledges before the commit."""
    assert cuts.lost("careless", await cuts.night("careless", fault)) > 0


@pytest.mark.long
async def test_two_hundred_power_cuts_lose_no_acknowledged_event(cuts):
    """The power goes after 200 promises of five nights: 0 acknowledged events lost, every repeat marked."""
    await _cut(cuts, nights=5, each=40)
