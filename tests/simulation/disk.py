"""The journal on a simulated disk: commits take their time, are refused, fail of I/O, or find no room."""

from __future__ import annotations

import asyncio
from collections.abc import Hashable
from dataclasses import dataclass
from functools import partial
from typing import Any

from simulation.world import World, never
from unit.house import full, roomy

from dispatcher.journal.base import SqliteJournal
from dispatcher.journal.units import T, Unit
from dispatcher.model.errors import JournalBusy

QUICK, READING, ANSWER = 0.004, 0.001, 0.001  # seconds


@dataclass(slots=True)
class Health:
    """What ails the disk; it outlives the daemon."""

    stall: float = 0.0  # most seconds of one commit, 0 where it is well
    refuses: float = 0.0  # how often a commit finds the file locked
    broken: bool = False  # the next commit fails of I/O, and nobody knows what it wrote


class Disk:
    """A journal for one life of the daemon. Commits happen in the order they came; the answer follows a moment later."""

    def __init__(self, world: World, health: Health, journal: SqliteJournal) -> None:
        self._world, self._health, self._journal = world, health, journal
        self.alive = True
        self._last = 0.0
        self._known: dict[Hashable, Any] = {}  # what was read since the last commit

    def write(self, unit: Unit[T]) -> asyncio.Future[T]:
        """Commit ``unit`` when its turn comes."""
        future: asyncio.Future[T] = self._world.loop.create_future()
        if self.alive:
            self._world.point("write")
        if not self.alive:
            return future
        most = self._health.stall or QUICK
        self._last = max(self._world.loop.time(), self._last) + self._world.rng.uniform(1e-5, most)
        self._world.loop.call_at(self._last, self._commit, unit, future)
        return future

    async def read(self, unit: Unit[T]) -> T:
        """Read what is committed; what nothing was committed since is not read again, for quiet hours are long."""
        if not self.alive:
            await never()
        await self._world.pause(READING)
        key = _key(unit)
        if key not in self._known:
            self._known[key] = await self._journal.read(unit)
        result: T = self._known[key]
        await self._world.pause(READING)
        return result

    def fill(self) -> None:
        """No room for anything new until `empty`, or the next start."""
        self._journal.write(full)

    def empty(self) -> None:
        """Room again."""
        self._journal.write(roomy)

    def _commit(self, unit: Unit[Any], future: asyncio.Future[Any]) -> None:
        if not self.alive:
            return
        self._world.point("commit")
        if not self.alive:
            return
        if self._health.broken:
            self._break(unit)
            return
        if self._world.chance(self._health.refuses):
            self._world.fault("busy")
            self._world.loop.call_later(ANSWER, _settle, self, future, None, JournalBusy("database is locked"))
            return
        result, error = self._run(unit)
        self._world.loop.call_later(ANSWER, _settle, self, future, result, error)

    def _run(self, unit: Unit[Any]) -> tuple[Any, BaseException | None]:
        self._known.clear()
        done = self._journal.write(unit)
        error = done.exception()
        if isinstance(error, JournalBusy):
            self._world.fault("full")
        self._world.committed()
        return (None if error else done.result()), error

    def _break(self, unit: Unit[Any]) -> None:
        """The daemon ends itself: what is on disk is unknown."""
        self._health.broken = False
        self._world.fault("eio")
        if self._world.chance(0.5):
            self._run(unit)
        self._world.kill()


def _key(unit: Unit[Any]) -> Hashable:
    """The same question has the same key; one that cannot be compared is no other's equal."""
    if not isinstance(unit, partial):
        return unit
    try:
        return unit.func, hash((unit.args, values := tuple(sorted(unit.keywords.items())))), unit.args, values
    except TypeError:
        return unit


def _settle(disk: Disk, future: asyncio.Future[Any], result: Any, error: BaseException | None) -> None:
    if disk.alive:
        disk._world.point("commit's answer")
    if not disk.alive or future.done():
        return
    if error is not None:
        future.set_exception(error)
    else:
        future.set_result(result)
