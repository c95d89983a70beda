"""Where contestants run: one provider for all of them, and a clean start with a broker of its own for each."""

from __future__ import annotations

import asyncio
import contextlib
import dataclasses
import itertools
import sys
import tempfile
import time
from collections.abc import AsyncIterator, Iterable
from dataclasses import dataclass
from pathlib import Path

from benchmarks.contestants import Contestant, Field, Running
from benchmarks.contestants.base import Broker
from benchmarks.ledger import Faulty, Ledger
from benchmarks.machine import TOP, many_files, memory, needed
from benchmarks.publisher import Publisher, publisher
from benchmarks.recorder import Recorder, recorder
from dispatcher.intake.embedded import free_port

sys.path.append(str(TOP / "tests"))

from integration.broker import Mosquitto  # the broker of the tests, with the configuration we ship

QUIET = 0.2  # seconds before the first event: it comes into silence, with no packet unacknowledged
GAP = 0.15  # seconds between one alarm's last answer and the next alarm
SETTLE = 0.5  # seconds after the last answer in which a repeat would show
PATIENCE = 120.0  # seconds after which what has not arrived is lost


@dataclass(frozen=True)
class Case:
    """So many channels, whose provider answers after so many seconds."""

    channels: int
    latency: float = 0.0


@dataclass
class Entry:
    """A contestant at work, and the monotonic second at which each incident was published."""

    contestant: Contestant
    case: Case
    recorder: Recorder
    field: Field
    running: Running
    numbers: Iterable[int]
    begun: float  # the monotonic second of its start
    ready: float  # seconds from then on
    idle: float  # MiB before the first event
    started: dict[str, float] = dataclasses.field(default_factory=dict)
    due: int = 0  # requests that should have been taken by now
    hung: int = 0  # channels that are never answered any more

    def tell(self, count: int = 1) -> list[str]:
        """Publish so many incidents back to back."""
        incidents = [f"bench-{number:012}" for number in itertools.islice(self.numbers, count)]
        self.due += count * (self.case.channels - self.hung)
        self.started |= dict.fromkeys(incidents, self.running.trigger(incidents))
        return incidents

    async def alarm(self, count: int = 1) -> list[str]:
        """Publish so many incidents back to back and wait until all are said; raises `Faulty` when they never are."""
        incidents = self.tell(count)
        if not await self.recorder.reached(self.due, PATIENCE):
            raise Faulty(f"not everything was said within {PATIENCE:.0f} s")
        await asyncio.sleep(self.case.latency + GAP)
        return incidents

    async def finish(self, but: int | None = None) -> Ledger:
        """Everything the provider got, checked; channel ``but`` is left out. Raises `Faulty`."""
        await asyncio.sleep(SETTLE)
        ledger = await self.recorder.ledger()
        counted = Ledger(one for one in ledger.arrivals if one.channel != but)
        counted.check(list(self.started), set(range(self.case.channels)) - {but})
        self.contestant.audit(self.field.directory, self.due)
        return ledger


@dataclass(frozen=True)
class Course:
    """What all contestants share: the provider, and numbers for incidents that no other run has."""

    recorder: Recorder
    numbers: Iterable[int] = dataclasses.field(default_factory=itertools.count)

    @contextlib.asynccontextmanager
    async def enter(self, contestant: Contestant, case: Case, broker: str = "") -> AsyncIterator[Entry]:
        """A fresh process of this contestant, ready and quiet, and a fresh broker; ``broker`` is added to its configuration."""
        self.recorder.reset(case.latency)
        with tempfile.TemporaryDirectory() as name:
            directory = Path(name)
            async with _control_room(directory / "broker", broker) as (where, publishing):
                provider = self.recorder
                given = Field(where, publishing, provider.port, case.channels, directory, provider.authority)
                begun = time.monotonic()
                async with contestant.running(given) as running:
                    ready = time.monotonic() - begun
                    await asyncio.sleep(QUIET)
                    idle = memory(running.pid)
                    yield Entry(contestant, case, provider, given, running, self.numbers, begun, ready, idle)


@contextlib.asynccontextmanager
async def _control_room(directory: Path, extra: str) -> AsyncIterator[tuple[Broker, Publisher]]:
    """A broker with the configuration we ship, and who publishes there."""
    programs = needed("mosquitto"), needed("mosquitto_passwd")
    async with Mosquitto(*programs, directory, free_port(), extra) as broker:
        where = Broker(broker.port, broker.username, broker.password)
        with publisher(where.port, where.username, where.password) as publishing:
            yield where, publishing


@contextlib.asynccontextmanager
async def course() -> AsyncIterator[Course]:
    """A provider that is ready; raises `Missing` where Mosquitto or a C compiler is not installed."""
    many_files()
    needed("mosquitto")
    with tempfile.TemporaryDirectory() as name:
        async with recorder(Path(name)) as provider:
            yield Course(provider)
