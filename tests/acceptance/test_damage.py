"""The journal's file is damaged: nothing is acknowledged on top of it, staff are called, and a backup brings it back."""

from __future__ import annotations

import asyncio
import signal
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest
from acceptance.forks import ForkedDaemon
from acceptance.harness import Receivers, event, one_playbook, publish
from acceptance.test_storage import receipts, until_readiness
from acceptance.tracing import start_traced
from integration.broker import Mosquitto
from unit.damage import INDEX, flip, whole_journal

from dispatcher.app import EXIT_BROKEN
from dispatcher.cli import main
from dispatcher.intake.embedded import free_port
from dispatcher.journal.inspection import mark
from dispatcher.plan.pages import Cause
from dispatcher.wall.app import Wall, running_wall

UNREADABLE = b'{"what": "Anruf 112"'  # goes to the table that `flip` damages


@asynccontextmanager
async def duty(broker: Mosquitto, folder: Path, world: Receivers) -> AsyncIterator[tuple[ForkedDaemon, Wall]]:
    """A daemon that is not started yet, with one channel and a duty team."""
    one_playbook(folder)
    async with running_wall() as wall:
        team = {"kind": "ntfy", "realm": "exercise", "audience": "staff", "url": f"{wall.url}/ntfy/duty"}
        daemon = ForkedDaemon(folder, broker, {"duty": team, **world.channels(1)}, free_port())
        whole_journal(daemon.journal_path)  # its tables lie in the file and not in the log, where a disk may hurt them
        yield daemon, wall


async def said(daemon: ForkedDaemon, texts: int) -> None:
    """Wait until so many are out."""
    await daemon.until(lambda: daemon.states()["accepted"] == texts)


async def test_a_damaged_journal_is_refused_and_a_backup_brings_it_back(world, mosquitto, tmp_path) -> None:
    """A start on it ends with 70 and one line with file, fault and remedy; after the remedy all that waits is said."""
    async with duty(mosquitto, tmp_path, world) as (daemon, _):
        copy = tmp_path / "copy.sqlite"
        await daemon.start()
        await publish(mosquitto, [event("before")])
        await said(daemon, 1)
        with pytest.raises(SystemExit) as ended:
            main(["journal", "backup", str(copy), "-c", str(daemon.config)])
        assert not ended.value.code
        assert await daemon.end(signal.SIGTERM) == 0
        flip(daemon.journal_path)
        await publish(mosquitto, [event("after")])
        before = len(daemon.log())
        await daemon.spawn()
        assert await daemon.process.wait() == EXIT_BROKEN
        line = next(one for one in daemon.log()[before:].splitlines() if "no_journal" in one)
        assert f"{daemon.journal_path}: the journal is damaged: " in line
        assert "dispatcher journal restore FILE" in line
        assert "Traceback" not in daemon.log()
        with pytest.raises(SystemExit) as ended:
            main(["journal", "restore", str(copy), "-c", str(daemon.config)])
        assert not ended.value.code
        async with daemon:
            await said(daemon, 2)
            assert daemon.rows("SELECT id FROM events ORDER BY number") == [("before",), ("after",)]


async def test_damage_that_is_read_stops_what_is_new(world, mosquitto, tmp_path) -> None:
    """Who looks at a damaged table gets no answer; from then on nothing is acknowledged and staff are paged, once."""
    async with duty(mosquitto, tmp_path, world) as (daemon, wall), receipts(mosquitto) as heard:
        async with daemon:
            await publish(mosquitto, [event("before")])
            await said(daemon, 1)
            flip(daemon.journal_path)
            assert (await daemon.api("GET", "letters"))[0] == 500
            await until_readiness(daemon, 5, journal=False)
            await publish(mosquitto, [event("after")])
            await world.until(lambda: any(Cause.JOURNAL.headline in post["text"] for post in wall.board.posts()), 10)
            assert daemon.rows("SELECT id FROM events") == [("before",)]
            assert heard == ["before"]
            assert daemon.process.returncode is None
        assert mark(daemon.journal_path).exists()


async def test_damage_that_is_written_on_calls_staff_and_ends_it(world, mosquitto, tmp_path) -> None:
    """It ends with 70, acknowledges nothing more, and calls staff without the journal, with the remedy."""
    async with duty(mosquitto, tmp_path, world) as (daemon, wall), receipts(mosquitto) as heard, daemon:
        await publish(mosquitto, [event("before")])
        await said(daemon, 1)
        flip(daemon.journal_path)
        await publish(mosquitto, [UNREADABLE, event("after")])
        async with asyncio.timeout(10):
            assert await daemon.process.wait() == EXIT_BROKEN
        (page,) = [post["text"] for post in wall.board.posts() if Cause.JOURNAL.headline in post["text"]]
        assert "dispatcher journal restore FILE" in page
        assert heard == ["before"]


async def test_a_slow_look_holds_up_no_start(strace, world, mosquitto, tmp_path) -> None:
    """Where looking through the file takes seconds it is ready before; what is found then is told as ever."""
    one_playbook(tmp_path)
    daemon = ForkedDaemon(tmp_path, mosquitto, world.channels(1), free_port())
    flip(whole_journal(daemon.journal_path), INDEX, -1)
    slowly = ("-P", str(daemon.journal_path), "-e", "trace=pread64", "-e", "inject=pread64:delay_enter=60000")
    tracing = await start_traced(strace, daemon, tmp_path / "strace.log", *slowly)
    try:
        await daemon.until_ready()
        assert "journal_damaged" not in daemon.log()
        await until_readiness(daemon, 20, journal=False)
        await daemon.until(lambda: INDEX in daemon.log())
    finally:
        await daemon.kill()
        await tracing.wait()
