"""The journal's disk fails: nothing acknowledged is lost, and what cannot be written is never acknowledged."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import pytest
from acceptance.forks import ForkedDaemon
from acceptance.harness import Receivers, event, one_playbook, publish
from acceptance.tracing import afflicted, first_fault
from integration.broker import Mosquitto

from dispatcher.app import EXIT_BROKEN
from dispatcher.intake.embedded import free_port

CHANNELS = 2


@dataclass
class Bench:
    """A daemon with two channels, and what is done to its disk."""

    strace: str
    world: Receivers
    broker: Mosquitto
    folder: Path

    def daemon(self, **more: object) -> ForkedDaemon:
        """A daemon that is not started yet."""
        one_playbook(self.folder)
        return ForkedDaemon(self.folder, self.broker, self.world.channels(CHANNELS), free_port(), **more)

    def afflicted(self, daemon: ForkedDaemon, call: str, fault: str, *files: Path):
        """Within the block the daemon's disk has that fault."""
        return afflicted(self.strace, daemon, self.log, call, fault, *files)

    @property
    def log(self) -> Path:
        """What strace says."""
        return self.folder / "strace.log"

    async def take_in(self, daemon: ForkedDaemon, *names: str) -> None:
        """Publish events; all that ever were published are in the journal once, and said, on return."""
        await publish(self.broker, [event(name) for name in names])
        await self.all_said(daemon, names)

    async def all_said(self, daemon: ForkedDaemon, names: Sequence[str]) -> None:
        """Wait until these events are in the journal and said; repeats are marked and the file is whole."""
        await daemon.until(lambda: daemon.states()["accepted"] == CHANNELS * len(names))
        reached = {(a.data["incident"], a.channel) for a in self.world.arrivals}
        assert {(f"incident-{name}", f"c{n}") for name in names for n in range(CHANNELS)} <= reached
        assert daemon.rows("SELECT count(*), count(DISTINCT incident) FROM events") == [(len(names), len(names))]
        assert daemon.rows("PRAGMA integrity_check") == [("ok",)]

    def unmarked(self, daemon: ForkedDaemon) -> set[tuple[str, str]]:
        """What reached a channel twice and is not marked as doubtful."""
        sent = [(a.data["incident"], a.channel) for a in self.world.arrivals]
        doubtful = set(daemon.rows("SELECT incident, channel FROM deliveries WHERE doubtful"))
        return {one for one in sent if sent.count(one) > 1} - doubtful


@pytest.fixture
def bench(strace, world, mosquitto, tmp_path) -> Bench:
    """A daemon on this test's broker."""
    return Bench(strace, world, mosquitto, tmp_path)


@pytest.mark.parametrize(("call", "often"), [("fdatasync", ":when=1"), ("fdatasync", ""), ("pwrite64", "")])
async def test_an_io_error_ends_the_daemon_and_loses_nothing(call, often, bench):
    """At the first I/O error, passing or lasting, it exits with 70 within 1 s; the next start knows and says everything."""
    names = [str(number) for number in range(20)]
    daemon = bench.daemon()
    async with daemon:
        await bench.take_in(daemon, "before")
        async with bench.afflicted(daemon, call, f"error=EIO{often}"):
            await publish(bench.broker, [event(name) for name in names])
            async with asyncio.timeout(10):
                code = await daemon.process.wait()
            ended = time.time()
        assert code == EXIT_BROKEN, daemon.log()
        assert ended - first_fault(bench.log) <= 1
        await daemon.start()
        await bench.all_said(daemon, ["before", *names])
        assert bench.unmarked(daemon) == set()
