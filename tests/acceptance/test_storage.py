"""The journal's disk fails: nothing acknowledged is lost, and what cannot be written is never acknowledged."""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import signal
import subprocess
import time
from collections.abc import AsyncIterator, Iterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

import aiohttp
import aiomqtt
import pytest
from acceptance.forks import ForkedDaemon
from acceptance.harness import Arrival, Daemon, Receivers, event, one_playbook, publish
from acceptance.tracing import afflicted, first_fault, start_traced
from integration.broker import Mosquitto

from dispatcher.app import EXIT_BROKEN
from dispatcher.intake.embedded import free_port
from dispatcher.journal.base import LOG_KEPT
from dispatcher.journal.disk import MOST_LOG, MUCH_LOG
from dispatcher.plan.pages import Cause
from dispatcher.wall.app import running_wall

CHANNELS = 2


@dataclass
class Bench:
    """A daemon with two channels, and what is done to its disk."""

    strace: str
    world: Receivers
    broker: Mosquitto
    folder: Path

    def daemon(self, journal: Path | None = None, **channels: object) -> ForkedDaemon:
        """A daemon that is not started yet, with ``channels`` more, its ``journal`` in the folder or elsewhere."""
        one_playbook(self.folder)
        path = journal or self.folder / "journal.sqlite"
        channels |= self.world.channels(CHANNELS)
        daemon = ForkedDaemon(self.folder, self.broker, channels, free_port(), journal={"path": str(path)})
        daemon.journal_path = path
        return daemon

    def afflicted(self, daemon: ForkedDaemon, call: str, fault: str, *files: Path):
        """Within the block the daemon's disk has that fault."""
        return afflicted(self.strace, daemon, self.log, call, fault, *files)

    async def ended(self, daemon: ForkedDaemon) -> float:
        """Wait until the daemon has given up its journal; how long after the first fault, in seconds."""
        async with asyncio.timeout(10):
            assert await daemon.process.wait() == EXIT_BROKEN, daemon.log()
        return time.time() - first_fault(self.log)

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
            took = await bench.ended(daemon)
        await daemon.start()
        await bench.all_said(daemon, ["before", *names])
        assert bench.unmarked(daemon) == set()
    assert took <= 1
    print(f"\nended {took * 1000:.0f} ms after the first error")


@pytest.fixture
def small_disk(tmp_path, lack) -> Iterator[Path]:
    """A disk of 48 MB that is this test's alone."""
    folder = tmp_path / "disk"
    folder.mkdir()
    mounting = ["mount", "-t", "tmpfs", "-o", "size=48m", "none", str(folder)]
    tried = subprocess.run(mounting, capture_output=True, text=True, check=False)
    if tried.returncode:
        lack(f"no disk may be mounted here (a container needs SYS_ADMIN): {tried.stderr.strip()}", rights=True)
    yield folder
    subprocess.run(["umount", "--lazy", str(folder)], check=True)


@contextlib.contextmanager
def filled(folder: Path) -> Iterator[None]:
    """Within the block there is not a byte left on the disk that ``folder`` is on."""
    filler = folder / "filler"
    with filler.open("wb", buffering=0) as file, contextlib.suppress(OSError):
        for size in (2**20, 2**12, 1):
            with contextlib.suppress(OSError):
                while file.write(b"x" * size):
                    pass
    try:
        yield
    finally:
        filler.unlink()


@asynccontextmanager
async def receipts(broker: Mosquitto) -> AsyncIterator[list[str]]:
    """The ids of events that the daemon gave a receipt for, as they come."""
    heard: list[str] = []

    async def listen() -> None:
        with contextlib.suppress(aiomqtt.MqttError):  # at the end
            async for message in client.messages:
                heard.append(json.loads(message.payload)["id"])

    async with broker.client() as client:
        await client.subscribe("dispatcher/exercise/receipts/#", qos=1)
        listening = asyncio.create_task(listen())
        yield heard
        listening.cancel()


async def until_readiness(daemon: ForkedDaemon, seconds: float, **wanted: bool) -> float:
    """Wait until `/readyz` says so; how long it took, in seconds."""
    began = time.monotonic()
    async with asyncio.timeout(seconds), aiohttp.ClientSession() as session:
        while True:
            async with session.get(f"{daemon.url}/readyz") as response:
                if wanted.items() <= (await response.json())["ready"].items():
                    return time.monotonic() - began
            await asyncio.sleep(0.01)


async def test_a_full_disk_stops_what_is_new_and_nothing_else(bench, small_disk, mosquitto) -> None:
    """Not a byte left: no new event is acknowledged, what is under way and what people say ends well, staff are paged.

    With room again it goes on by itself within 5 s.
    """
    answered = asyncio.Event()

    async def when_told(_: Arrival) -> int:
        await answered.wait()
        return 200

    names = [str(number) for number in range(20)]
    bench.folder = small_disk
    async with running_wall() as wall, receipts(mosquitto) as heard:
        duty = {"kind": "ntfy", "realm": "exercise", "audience": "staff", "url": f"{wall.url}/ntfy/duty"}
        daemon = bench.daemon(duty=duty)
        async with daemon:
            await bench.take_in(daemon, "before")
            bench.world.answers["c0"] = when_told
            await publish(mosquitto, [event("under-way")])
            await daemon.until(lambda: daemon.states()["accepted"] == 3)
            with filled(small_disk):
                await publish(mosquitto, [event("straw")])
                await until_readiness(daemon, 5, journal=False)
                await publish(mosquitto, [event(name) for name in names])
                answered.set()
                await daemon.until(lambda: daemon.states()["accepted"] >= 4)
                await bench.world.until(lambda: any(Cause.JOURNAL.headline in p["text"] for p in wall.board.posts()), 5)
                status, _ = await daemon.api("POST", "playbooks/amok/trigger", {"place": "Hafen", "regions": ["leer"]})
                assert status == 201
                known = {name for (name,) in daemon.rows("SELECT id FROM events")}
                assert known & {*names} == set()
                assert heard[:2] == ["before", "under-way"]
                assert {*heard} <= known
            took = await until_readiness(daemon, 5, journal=True)
            await daemon.until(lambda: daemon.rows("SELECT count(*) FROM events") == [(24,)], 5)
    print(f"\nready again {took:.2f} s after there was room")


async def test_a_disk_that_says_it_is_full_is_asked_again(bench, mosquitto) -> None:
    """While every write answers ENOSPC nothing is acknowledged and nothing ends; then all of it is taken in, once."""
    names = [str(number) for number in range(20)]
    daemon = bench.daemon()
    async with daemon, receipts(mosquitto) as heard:
        await bench.take_in(daemon, "before")
        async with bench.afflicted(daemon, "pwrite64", "error=ENOSPC"):
            await publish(mosquitto, [event(name) for name in names])
            await until_readiness(daemon, 5, journal=False)
            assert heard == ["before"]
        began = time.monotonic()
        await bench.all_said(daemon, ["before", *names])
        took = time.monotonic() - began
        await bench.world.until(lambda: {*heard} == {"before", *names})
        assert bench.unmarked(daemon) == set()
    assert took <= 5
    print(f"\nall said {took:.2f} s after there was room")


@pytest.mark.long
async def test_a_disk_too_full_to_tidy_up_loses_nothing(bench) -> None:
    """Where the log cannot be copied into the journal's file for want of room, it grows, and events go on."""
    daemon, names = bench.daemon(), []
    log = daemon.journal_path.with_name("journal.sqlite-wal")
    async with daemon:
        async with bench.afflicted(daemon, "pwrite64", "error=ENOSPC", daemon.journal_path):
            while not names or log.stat().st_size < 6 * 2**20:  # SQLite copies it from 4 MB on
                burst = [str(len(names) + n) for n in range(40)]
                names += burst
                await publish(bench.broker, [event(name) for name in burst])
                await bench.all_said(daemon, names)
        assert daemon.journal_path.stat().st_size < 10_000
        assert first_fault(bench.log)
        await bench.take_in(daemon, *names, "after")
    assert daemon.journal_path.stat().st_size > 100_000


async def test_a_log_that_cannot_be_copied_has_an_end(bench, mosquitto) -> None:
    """At 80 % of what the log may take staff are paged, at all of it nothing new is acknowledged; with room it goes on."""
    async with running_wall() as wall, receipts(mosquitto) as heard:
        duty = {"kind": "ntfy", "realm": "exercise", "audience": "staff", "url": f"{wall.url}/ntfy/duty"}
        daemon = bench.daemon(duty=duty)
        log = daemon.journal_path.with_name("journal.sqlite-wal")

        def paged(words: str) -> bool:
            return any(Cause.JOURNAL.headline in p["text"] and words in p["text"] for p in wall.board.posts())

        async with daemon:
            async with bench.afflicted(daemon, "pwrite64", "error=ENOSPC", daemon.journal_path):
                await publish(mosquitto, [b"x" * 100_000 + bytes([n]) for n in range(60)])
                await daemon.until(lambda: log.stat().st_size > 5 * 2**20)  # SQLite copies it from 4 MB on
                os.truncate(log, MUCH_LOG)  # as if much more had come: what lies behind its end does not concern SQLite
                await bench.world.until(lambda: paged("256 MB no new event"), 10)
                await until_readiness(daemon, 1, journal=True)
                os.truncate(log, MOST_LOG)
                await until_readiness(daemon, 5, journal=False)
                await publish(mosquitto, [event("straw")])
                await bench.world.until(lambda: paged("not taken in"), 10)
                assert daemon.rows("SELECT id FROM events") == []
            await until_readiness(daemon, 10, journal=True)
            await bench.world.until(lambda: "straw" in heard)
            assert log.stat().st_size <= LOG_KEPT
            assert daemon.rows("SELECT count(*) FROM letters") == [(60,)]
            assert daemon.rows("PRAGMA integrity_check") == [("ok",)]


async def test_a_disk_that_hangs_holds_up_nothing_but_writing(bench, mosquitto) -> None:
    """Each flush takes 3 s: the interface answers at once, readiness says so within 1 s; then all is said, once."""
    names, delays = [str(number) for number in range(20)], []

    async def look(session: aiohttp.ClientSession) -> None:
        while True:
            began = time.monotonic()
            async with session.get(f"{daemon.url}/healthz"):
                delays.append(time.monotonic() - began)
            await asyncio.sleep(0.01)

    daemon = bench.daemon()
    async with daemon, receipts(mosquitto) as heard, aiohttp.ClientSession() as session:
        await bench.take_in(daemon, "before")
        async with bench.afflicted(daemon, "fdatasync", "delay_enter=3000000:when=1"):
            looking = asyncio.create_task(look(session))
            await publish(mosquitto, [event(name) for name in names])
            degraded = await until_readiness(daemon, 2, journal=False)
            assert heard == ["before"]
            again = await until_readiness(daemon, 10, journal=True)
            looking.cancel()
        await bench.all_said(daemon, ["before", *names])
        assert bench.unmarked(daemon) == set()
    assert degraded <= 1
    assert again >= 2
    assert sorted(delays)[int(len(delays) * 0.99)] <= 0.05, max(delays)
    print(f"\ndegraded after {degraded:.2f} s; answers p99 {sorted(delays)[int(len(delays) * 0.99)] * 1000:.0f} ms")


async def test_a_disk_that_turns_read_only_ends_the_daemon_and_loses_nothing(bench) -> None:
    """When the file system refuses writes it exits with 70 within 1 s; what was not acknowledged comes again."""
    names = [str(number) for number in range(20)]
    daemon = bench.daemon()
    async with daemon:
        await bench.take_in(daemon, "before")
        async with bench.afflicted(daemon, "pwrite64", "error=EROFS"):
            await publish(bench.broker, [event(name) for name in names])
            assert await bench.ended(daemon) <= 1
        await daemon.start()
        await bench.all_said(daemon, ["before", *names])


@contextlib.contextmanager
def read_only(folder: Path) -> Iterator[None]:
    """Within the block nothing on this disk can be changed."""
    subprocess.run(["mount", "-o", "remount,ro", str(folder)], check=True)
    try:
        yield
    finally:
        subprocess.run(["mount", "-o", "remount,rw", str(folder)], check=True)


async def test_a_start_without_a_disk_says_so(bench, small_disk) -> None:
    """On a read-only disk a start ends with 70 and one line that names the file; a later one finds everything."""
    daemon = bench.daemon(journal=small_disk / "journal.sqlite")
    async with daemon:
        await bench.take_in(daemon, "before")
    with read_only(small_disk):
        before = len(daemon.log())
        await daemon.spawn()
        async with asyncio.timeout(10):
            assert await daemon.process.wait() == EXIT_BROKEN
        said = daemon.log()[before:]
        assert "Traceback" not in said
        assert f"{daemon.journal_path}: no journal can be here: Read-only file system" in said
    async with daemon:
        await bench.take_in(daemon, "before", "after")


@pytest.mark.parametrize("known", [False, True], ids=["new", "known"])
@pytest.mark.parametrize("call", ["pread64", "pwrite64", "fdatasync"])
async def test_a_start_on_a_disk_that_fails_says_so(call, known, bench) -> None:
    """Where every read, write or flush of the journal fails a start ends with 70 and says so; a later one finds everything."""
    daemon, names = bench.daemon(), ["before"] if known else []
    if known:
        async with daemon:
            await bench.take_in(daemon, *names)
    before = len(daemon.log()) if known else 0
    fault = ("-e", f"trace={call}", "-e", f"inject={call}:error=EIO")
    tracing = await start_traced(bench.strace, daemon, bench.log, *fault)
    async with asyncio.timeout(20):
        assert await daemon.process.wait() == EXIT_BROKEN, daemon.log()
        await tracing.wait()
    said = daemon.log()[before:]
    assert "disk I/O error" in said
    assert "Traceback" not in said
    assert len(bench.log.read_text().splitlines()) < 100
    async with daemon:
        await publish(bench.broker, [event("after")])
        await bench.all_said(daemon, [*names, "after"])


async def test_a_start_on_a_full_disk_waits_for_room(bench, small_disk) -> None:
    """It comes up, takes nothing in and ends nothing; with room again all that waits is said."""
    daemon = bench.daemon(journal=small_disk / "journal.sqlite")
    async with daemon:
        await bench.take_in(daemon, "before")
    with filled(small_disk):
        await publish(bench.broker, [event("meanwhile")])
        await daemon.spawn()
        await daemon.until(lambda: "disk_full" in daemon.log())
        await until_readiness(daemon, 10, journal=False, broker=True)
        assert daemon.rows("SELECT id FROM events") == [("before",)]
    await bench.all_said(daemon, ["before", "meanwhile"])
    assert await daemon.end(signal.SIGTERM) == 0


async def test_a_second_daemon_on_the_journal_is_refused(bench, tmp_path) -> None:
    """It ends with 1 and says which file is held and what to do; the first one goes on undisturbed."""
    first = bench.daemon()
    async with first:
        await bench.take_in(first, "before")
        (tmp_path / "second").mkdir()
        second = Daemon(
            tmp_path / "second", bench.broker, bench.world.channels(1), free_port(), link={"node": "second"},
            journal={"path": str(first.journal_path)},
        )  # fmt: skip
        await second.spawn()
        assert await second.process.wait() == 1
        assert "Traceback" not in second.log()
        assert f"{first.journal_path}: another daemon holds this journal" in second.log()
        assert "journal.path" in second.log()
        await bench.take_in(first, "before", "after")


def _gone(path: Path) -> None:
    path.unlink()


def _replaced(path: Path) -> None:
    """As `mv` does it: another file takes the name."""
    other = path.with_name("other")
    other.write_bytes(b"")
    other.replace(path)


@pytest.mark.parametrize("name", ["journal.sqlite", pytest.param("journal.sqlite-wal", marks=pytest.mark.long)])
@pytest.mark.parametrize("taken", [_gone, _replaced])
async def test_a_journal_that_is_taken_away_is_noticed_and_saved(taken, name, bench) -> None:
    """When a file of the journal is deleted or replaced the daemon ends with 70 within 5 s and saves what it held.

    The saved copy takes the journal's place, unless somebody put another file there: then it lies beside.
    """
    names = ["before", *(str(number) for number in range(20))]
    daemon = bench.daemon()
    async with daemon:
        await bench.take_in(daemon, *names)
        taken(bench.folder / name)
        began = time.monotonic()
        async with asyncio.timeout(10):
            assert await daemon.process.wait() == EXIT_BROKEN, daemon.log()
        took = time.monotonic() - began
        if taken is _replaced and name == "journal.sqlite":
            assert daemon.journal_path.read_bytes() == b""
            (bench.folder / f"{name}.rescued").replace(daemon.journal_path)
        await daemon.start()
        await publish(bench.broker, [event("after")])
        await bench.all_said(daemon, [*names, "after"])
        assert bench.unmarked(daemon) == set()
    assert took <= 5
    print(f"\nnoticed, saved and ended after {took:.2f} s")


async def test_one_connection_alone_may_write(bench) -> None:
    """Under load and with screens open one descriptor of the journal's file may write: older SQLite needs that, and says so."""
    daemon = bench.daemon()
    names = [str(number) for number in range(20)]
    async with daemon:
        await publish(bench.broker, [event(name) for name in names])
        await asyncio.gather(*(daemon.api("GET", path) for path in ("snapshot", "deliveries", "incidents") * 3))
        await bench.all_said(daemon, names)
        opened = [
            int(
                next(line for line in (fd.parents[1] / "fdinfo" / fd.name).read_text().splitlines() if "flags" in line)[
                    6:
                ],
                8,
            )
            for fd in Path(f"/proc/{daemon.process.pid}/fd").iterdir()
            if fd.readlink() == daemon.journal_path
        ]
    assert len(opened) > 1
    assert [flags & os.O_ACCMODE for flags in opened].count(os.O_RDWR) == 1
    assert '"needs_single_writer"' in daemon.log()
