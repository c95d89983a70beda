"""One seed, one night: a random schedule of events, decisions and faults, the daemon under it, and what came of it."""

from __future__ import annotations

import asyncio
import random
from collections import Counter
from dataclasses import dataclass
from functools import cache

from simulation.broker import Broker
from simulation.clockwork import VirtualLoop
from simulation.daemon import File, Life, Parts
from simulation.disk import Health
from simulation.people import People
from simulation.promises import judge, unrest
from simulation.providers import PROFILES, STAFF, Provider
from simulation.witness import Witness
from simulation.world import World
from unit.house import deployment, playbook

from dispatcher.model.channel import ChannelProfile
from dispatcher.model.command import BreakGlass, Resume, Scope
from dispatcher.model.deployment import Deployment

EVENING = 20.0  # seconds in which everything begins
ACTS = (1, 2, 3, 4, 5, 6, 8, 12)  # so many on a night: most are short, for their seconds buy more nights
CHANNELS = (1, 2, 3)  # so many public ones on a night
PATIENCE = 240.0  # seconds until all has to be quiet again
REMINDED = 3.0  # seconds after which whatever needs a person was called about
RELEASES = ("automatic", "automatic", "one_person", "two_persons")
WITHIN = ("20m", "20m", "20m", "1m")
FAULTS = {"kill": 6, "restart": 1, "eio": 1, "busy": 2, "full": 1, "stall": 2, "cut": 3, "storm": 3}


@dataclass(frozen=True, slots=True)
class Step:
    """Something that happens at a time; ``draw`` seeds its own chances."""

    at: float
    name: str
    draw: int

    def __str__(self) -> str:
        return f"{self.at:9.4f} {self.name} ({self.draw})"


@dataclass(frozen=True, slots=True)
class Report:
    """What came of a seed."""

    seed: int
    schedule: tuple[Step, ...]
    trace: tuple[str, ...]
    violations: tuple[str, ...]
    faults: Counter[str]

    def __str__(self) -> str:
        lines = [f"seed {self.seed} breaks {len(self.violations)} promises:", *self.violations]
        return "\n".join([*lines, "", "schedule:", *map(str, self.schedule), "", "trace:", *self.trace])


def schedule(rng: random.Random, acts: dict[str, int]) -> tuple[Step, ...]:
    """Acts and faults, crowded around a few moments, in order of time."""
    moments = sorted(rng.uniform(0, EVENING) for _ in range(rng.randint(2, 5)))

    def step(table: dict[str, int]) -> Step:
        at = rng.choice(moments) + rng.expovariate(rng.choice([0.3, 1.0, 5.0]))
        return Step(round(at, 4), rng.choices(list(table), list(table.values()))[0], rng.getrandbits(32))

    steps = [step(acts) for _ in range(rng.choice(ACTS))] + [step(FAULTS) for _ in range(rng.randint(0, 4))]
    return tuple(sorted([Step(round(moments[0], 4), "report", rng.getrandbits(32)), *steps], key=lambda s: s.at))


@cache
def _deployment(release: str, within: str, profiles: tuple[ChannelProfile, ...]) -> Deployment:
    return deployment(playbook(release=release, deliver_within=within), channels=profiles)


class Night:
    """Runs one schedule and keeps the daemon alive through it."""

    def __init__(self, seed: int, file: File, parts: Parts, loop: VirtualLoop) -> None:
        rng = random.Random(seed)
        file.renew()
        self._file, self._parts = file, parts
        self.world = World(random.Random(rng.random()), loop, file.path, Witness(file.path), kill=self._kill)
        self._broker, self._health = Broker(self.world), Health()
        profiles = (*rng.sample(PROFILES, rng.choice(CHANNELS)), STAFF)
        self._providers = [Provider(self.world, profile) for profile in profiles]
        self._where = _deployment(rng.choice(RELEASES), rng.choice(WITHIN), profiles)
        self._life: Life | None = None
        self._over = False
        self._people = People(self.world, self._broker, lambda: self._life)
        self._acts = self._people.acts()
        # Who waits for an answer: a dead daemon forgets them, and the loop holds nobody.
        self._acting: set[asyncio.Task[None]] = set()
        self.schedule = schedule(rng, {name: weight for name, (_, weight) in self._acts.items()})

    async def run(self) -> None:
        """From the first event until all is quiet, then judge."""
        self._weather()
        living = asyncio.create_task(self._keep_alive())
        self._own = {living, asyncio.current_task()}
        for number, step in enumerate(self.schedule):
            await asyncio.sleep(step.at - self.world.loop.time())
            self._begin(step, f"k{number}")
        await asyncio.sleep(2)
        await self._dawn()
        judge(self.world, self._broker.messages)
        self._over = True
        if self._life is not None:
            self._life.stop()
        await living
        self.world.witness.close()

    def _begin(self, step: Step, key: str) -> None:
        rng = random.Random(step.draw)
        self.world.note(f"step: {step.name}")
        if step.name in self._acts:
            act = asyncio.create_task(self._acts[step.name][0](rng, key), name=f"{step.name} {key}")
            self._acting.add(act)
            act.add_done_callback(self._acted)
        else:
            getattr(self, f"_fault_{step.name}")(rng)

    def _acted(self, act: asyncio.Task[None]) -> None:
        """A source or a person met with an error that is none of those it may meet with."""
        self._acting.discard(act)
        if not act.cancelled() and (error := act.exception()) is not None:
            self.world.wrong(f"{act.get_name()} raised {error!r}")

    async def _keep_alive(self) -> None:
        """A supervisor: what has died or ended is started anew."""
        while not self._over:
            self._life = Life(
                self.world, self._file, self._health, self._broker, self._providers, self._where, self._parts
            )
            task = asyncio.create_task(self._life.run(), name="life")
            task.add_done_callback(self._ended)
            await self._life.over.wait()
            await self._bury()
            await self.world.pause(1.0)

    def _ended(self, task: asyncio.Task[None]) -> None:
        """A start or an end that fails of something that nobody foresaw."""
        if not task.cancelled() and (error := task.exception()) is not None:
            self.world.wrong(f"the daemon does not start or end: {error!r}")
            self._over = True
            self._kill()

    async def _bury(self) -> None:
        """Everything in memory is gone."""
        while rest := [task for task in asyncio.all_tasks() if task not in self._own]:
            for task in rest:
                task.cancel()
            await asyncio.wait(rest)
        self._file.drop_connections()

    def _kill(self) -> None:
        if self._life is not None and self._life.alive:
            self._life.kill()

    def _weather(self) -> None:
        for provider in self._providers:
            if self.world.chance(0.6):
                provider.storm(self.world.rng.choice([0.2, 0.5, 0.9]), self.world.rng.randint(1, 4))

    def _fault_kill(self, rng: random.Random) -> None:
        self.world.light(rng.randint(1, 40))

    def _fault_restart(self, rng: random.Random) -> None:
        if self._life is not None and self._life.ready:
            self.world.fault("restart")
            self._life.stop()

    def _fault_eio(self, rng: random.Random) -> None:
        self._health.broken = True

    def _fault_busy(self, rng: random.Random) -> None:
        self._health.refuses = rng.choice([0.3, 1.0])
        self.world.loop.call_later(rng.uniform(0.1, 4), setattr, self._health, "refuses", 0.0)

    def _fault_full(self, rng: random.Random) -> None:
        life = self._life
        if life is not None and life.ready:
            life.disk.fill()
            self.world.loop.call_later(rng.uniform(0.1, 4), self._make_room, life)

    def _make_room(self, life: Life) -> None:
        if life.alive:
            life.disk.empty()

    def _fault_stall(self, rng: random.Random) -> None:
        self.world.fault("stall")
        self._health.stall = rng.choice([0.1, 1.0])
        self.world.loop.call_later(rng.uniform(0.5, 4), setattr, self._health, "stall", 0.0)

    def _fault_cut(self, rng: random.Random) -> None:
        if self._life is not None and self._broker.connected:
            self.world.fault("broker away")
            self._broker.disconnect()
            self.world.loop.call_later(rng.uniform(0.01, 3), self._reconnect, self._life)

    def _reconnect(self, life: Life) -> None:
        if not self._broker.connected:
            life.reconnect()

    def _fault_storm(self, rng: random.Random) -> None:
        provider = rng.choice(self._providers)
        self.world.note(f"storm: {provider.profile.id}")
        provider.storm(rng.choice([0.5, 0.95]), rng.randint(1, 4))
        self.world.loop.call_later(rng.uniform(0.5, 10), provider.heal)

    async def _dawn(self) -> None:
        """The faults heal, people lift what they stopped, and in the end all is quiet."""
        self.world.note("dawn")
        self.world.light(0)
        self._health.broken, self._health.refuses, self._health.stall = False, 0.0, 0.0
        for provider in self._providers:
            provider.heal()
        if self._life is not None and self._life.alive:
            self._life.disk.empty()
        await self._until_quiet()
        await asyncio.sleep(REMINDED)
        await self._until_quiet()

    async def _until_quiet(self) -> None:
        last = self.world.loop.time() + PATIENCE
        while unquiet := await self._unquiet():
            if self.world.loop.time() > last:
                self.world.wrong(f"it does not come to rest: {', '.join(unquiet)}")
                return
            await asyncio.sleep(0.5)

    async def _unquiet(self) -> list[str]:
        if self._life is None or not self._life.ready:
            return ["the daemon is down"]
        await self._lift_stops()
        found = [f"{message.source}/{message.id} waits" for message in self._broker.unacknowledged]
        found += unrest(self.world)
        return found + ([f"the worker holds {self._life.worker.open}"] if self._life.worker.open else [])

    async def _lift_stops(self) -> None:
        for stop in self.world.witness.rows("SELECT scope, ref FROM stops ORDER BY scope, ref"):
            glass = BreakGlass.SYSTEM_FAILURE
            await self._people.command(
                Resume(person="anna", scope=Scope(stop["scope"]), ref=stop["ref"], break_glass=glass)
            )


def spend(seed: int, file: File, parts: Parts | None = None) -> Report:
    """The night of ``seed``; the same seed and parts make the same night."""
    with asyncio.Runner(loop_factory=VirtualLoop) as runner:
        loop = runner.get_loop()
        assert isinstance(loop, VirtualLoop)
        night = Night(seed, file, parts or Parts(), loop)
        runner.run(night.run())
    world = night.world
    return Report(seed, night.schedule, tuple(world.trace), tuple(world.violations), world.faults)
