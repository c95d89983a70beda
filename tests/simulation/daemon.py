"""One life of the daemon: the real road, worker, recovery, decisions and pager, wired as the application wires them."""

from __future__ import annotations

import asyncio
import random
import sqlite3
from collections.abc import Callable, Coroutine
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from simulation.broker import Broker, Message
from simulation.clockwork import LoopClock
from simulation.disk import Disk, Health
from simulation.providers import Line, Provider
from simulation.world import World
from sqlalchemy import event

from dispatcher.feed import Feed
from dispatcher.intake.base import Inbound
from dispatcher.journal import standing
from dispatcher.journal.base import BUSY_PAUSE, SqliteJournal, sqlite_engine
from dispatcher.journal.batch import StepBatch
from dispatcher.journal.disk import Disk as Room
from dispatcher.journal.guard import Guard
from dispatcher.journal.inspection import Inspection
from dispatcher.journal.reader import InlineReaders
from dispatcher.journal.schema import prepare
from dispatcher.journal.writer import InlineExecutor
from dispatcher.launch import Launch
from dispatcher.model.deployment import Deployment
from dispatcher.model.errors import JournalBusy
from dispatcher.model.source import person_of
from dispatcher.pager import Pager
from dispatcher.permits import Fence, Permits
from dispatcher.pipeline import Pipeline
from dispatcher.recovery import Recovery
from dispatcher.setup import Setup
from dispatcher.worker import Worker

DRAIN_SECONDS, CLOSING_SECONDS = 10.0, 2.0


@dataclass(frozen=True, slots=True)
class Parts:
    """What the daemon is made of; a test puts a broken one in, to see whether the simulation notices."""

    pipeline: type[Pipeline] = Pipeline
    permits: type[Permits] = Permits
    fence: type[Fence] = Fence
    recovery: type[Recovery] = Recovery
    pager: type[Pager] = Pager


class File:
    """The journal's file, and the engines over it, which stay warm over many lives; their connections do not."""

    def __init__(self, folder: Path) -> None:
        """``folder`` is nobody else's."""
        self.path = folder / "journal.sqlite"
        self._engines = sqlite_engine(self.path), sqlite_engine(self.path, readonly=True)
        event.listen(self._engines[0], "connect", _do_not_wait)
        self._open: list[Guard | InlineExecutor | InlineReaders] = []
        prepare(self._engines[0])
        self.drop_connections()
        self._new = self.path.read_bytes()

    def drop_connections(self) -> None:
        """A life is over: only what is committed stays."""
        for one in self._open:
            one.close()
        self._open.clear()
        for engine in self._engines:
            engine.dispose()

    def renew(self) -> None:
        """An empty journal."""
        for name in ("", "-wal", "-shm"):
            self.path.with_name(self.path.name + name).unlink(missing_ok=True)
        self.path.write_bytes(self._new)

    def open(self, on_commit: Callable[[], None]) -> SqliteJournal:
        """The journal as `open_journal` makes it with ``inline``."""
        writing, reading = self._engines
        writer, readers, guard = InlineExecutor(writing, on_commit), InlineReaders(reading), Guard(self.path)
        self._open += [readers, writer, guard]
        return SqliteJournal(writer, readers, Room(self.path), guard, Inspection(self.path))


def _do_not_wait(connection: sqlite3.Connection, _: object) -> None:
    """The disk is simulated: nothing is gained by waiting for the real one."""
    connection.execute("PRAGMA synchronous = OFF").close()


class Life:
    """From one start to the next: everything in it is gone when it ends, but what the file and the providers hold."""

    def __init__(
        self, world: World, file: File, health: Health, broker: Broker, providers: list[Provider], where: Deployment,
        parts: Parts,
    ) -> None:  # fmt: skip
        self.world, self.alive, self.ready = world, True, False
        self.over, self._stopping = asyncio.Event(), asyncio.Event()
        self._broker, self._tasks = broker, set[asyncio.Task[Any]]()
        self._taking: set[asyncio.Task[Any]] = set()
        clock, rng = LoopClock(world.loop), random.Random(world.rng.random())
        self.feed = Feed([])
        self.disk = Disk(world, health, file.open(self.feed.wake))
        fence, steps = parts.fence(), StepBatch(self.disk, clock)
        setup = Setup(where, {provider.profile.id: Line(provider, self) for provider in providers})
        permits = parts.permits(stopped=fence.halts, shared=setup.shares, monotonic=world.loop.time, rng=rng)
        self.worker = Worker(journal=self.disk, setup=setup, permits=permits, clock=clock)
        launch = Launch(self.disk, permits, setup, self.worker)
        steps.called = launch.stand_in
        self.road = parts.pipeline(
            journal=self.disk, setup=setup, launch=launch, steps=steps, permits=permits, fence=fence, clock=clock,
            rng=rng,
        )  # fmt: skip
        self.recovery = parts.recovery(self.disk, setup, steps, fence, clock, rng)
        self.pager = parts.pager(self.road, self.disk, clock)

    def kill(self) -> None:
        """Dead from this moment on: nothing it still does has any effect."""
        self.alive = self.disk.alive = self.ready = False
        self._broker.disconnect()
        self.over.set()

    def stop(self) -> None:
        """SIGTERM."""
        self._stopping.set()

    async def run(self) -> None:
        """Start, work until stopped, end cleanly; in the application's order."""
        try:
            await self.road.decisions.means.recall()
            called = await self.disk.write(standing.called_until)
            resumed = self.recovery.run()
            self.worker.enqueue(await anext(resumed))
            self._spawn(self.worker.run(self.road, self.recovery), "worker")
            self.worker.enqueue(await anext(resumed))
        except JournalBusy:
            self.world.note("start refused: the journal is busy")
            self.kill()
            return
        self._spawn(self.worker.resume(resumed), "resumed")
        self.feed.add(self.pager)
        self._spawn(self.feed.run(self.disk, called), "feed")
        self._spawn(self.pager.run(), "pager")
        self.ready = True
        self._broker.connect(self._take)
        self.world.note("daemon is ready")
        await self._stopping.wait()
        await self._end()

    async def _end(self) -> None:
        self.ready = False
        self._broker.disconnect()
        if self._taking:
            await asyncio.wait(set(self._taking), timeout=CLOSING_SECONDS)
        await self.worker.drain(DRAIN_SECONDS)
        self.world.note("daemon has ended")
        self.kill()

    def reconnect(self) -> None:
        """The broker is there again."""
        if self.ready:
            self._broker.connect(self._take)

    def _take(self, message: Message, acknowledge: Callable[[], None]) -> None:
        task = asyncio.create_task(self.take(message, acknowledge))
        self._taking.add(task)
        task.add_done_callback(self._taking.discard)

    async def take(self, message: Message, acknowledge: Callable[[], None]) -> None:
        """As the intake does: what could not be written is tried again."""
        inbound = Inbound(
            source=message.source, payload=message.payload, received_at=self.road.clock.now(),
            person=person_of(message.source) or "", ack=lambda: acknowledge() if self.alive else None,
        )  # fmt: skip
        while True:
            try:
                await self.road.receive(inbound)
            except JournalBusy:
                await asyncio.sleep(BUSY_PAUSE)
            else:
                return

    def _spawn(self, work: Coroutine[Any, Any, None], name: str) -> None:
        task = asyncio.create_task(work, name=name)
        task.add_done_callback(self._ended)
        self._tasks.add(task)

    def _ended(self, task: asyncio.Task[Any]) -> None:
        if self.alive and not task.cancelled() and (error := task.exception()) is not None:
            self.world.wrong(f"task {task.get_name()} died: {error!r}")
            self.kill()
