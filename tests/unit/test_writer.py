"""The journal's writer: what waits together is committed together, and each unit stands or falls alone."""

from __future__ import annotations

import asyncio
import sqlite3
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from house import deadly, full, roomy, until
from sqlalchemy import Connection, Engine, event, text
from sqlalchemy.exc import IntegrityError

from dispatcher.journal.base import open_journal, sqlite_engine
from dispatcher.journal.writer import GROUP_UNITS, Executor, InlineExecutor, ThreadExecutor
from dispatcher.model.errors import JournalBroken, JournalBusy


@pytest.fixture
def engine(tmp_path: Path) -> Iterator[Engine]:
    """A file with one table of numbers; a busy file is not waited for."""
    found = sqlite_engine(tmp_path / "numbers.sqlite")
    event.listen(found, "connect", lambda connection, _: connection.execute("PRAGMA busy_timeout = 0"))
    with found.begin() as connection:
        connection.execute(text("CREATE TABLE numbers (n INTEGER PRIMARY KEY, filler TEXT)"))
    yield found
    found.dispose()


@contextmanager
def commits(engine: Engine) -> Iterator[list[int]]:
    """A list that grows by one with every commit of a connection that is opened meanwhile."""
    counted: list[int] = []

    def count(statement: str) -> None:
        counted.extend([1] * (statement == "COMMIT"))

    def watch(connection: sqlite3.Connection, _: object) -> None:
        connection.set_trace_callback(count)

    engine.dispose()
    event.listen(engine, "connect", watch)
    yield counted
    event.remove(engine, "connect", watch)


@contextmanager
def threaded(engine: Engine, **calls: Callable[..., None]) -> Iterator[ThreadExecutor]:
    """A writer thread over the engine, closed at the end."""
    executor = ThreadExecutor(engine, asyncio.get_running_loop(), **calls)
    yield executor
    executor.close()


def number(n: int, filler: str = "") -> Callable[[Connection], int]:
    """A unit that writes ``n`` and answers with it."""

    def unit(connection: Connection) -> int:
        connection.execute(text("INSERT INTO numbers VALUES (:n, :filler)"), {"n": n, "filler": filler})
        return n

    return unit


def written(engine: Engine) -> list[int]:
    """The numbers on disk, as another connection sees them."""
    with engine.connect() as connection:
        return list(connection.execute(text("SELECT n FROM numbers ORDER BY n")).scalars())


def held_up(gate: threading.Event) -> Callable[[Connection], None]:
    """A unit that keeps the writer busy until ``gate`` opens."""
    return lambda _: gate.wait(5) or None


async def test_what_waits_together_is_one_commit(engine: Engine) -> None:
    """Units that came while the writer was busy share one transaction and one flush."""
    gate = threading.Event()
    with threaded(engine) as executor, commits(engine) as counted:
        first = executor.submit(held_up(gate))
        futures = [executor.submit(number(n)) for n in range(50)]
        gate.set()
        await first
        assert await asyncio.gather(*futures) == list(range(50))
        assert len(counted) <= 2
    assert written(engine) == list(range(50))


async def test_a_group_has_a_limit(engine: Engine) -> None:
    """However many wait, no transaction holds more than the limit."""
    gate = threading.Event()
    with threaded(engine) as executor, commits(engine) as counted:
        futures = [executor.submit(held_up(gate)), *(executor.submit(lambda _: None) for _ in range(3 * GROUP_UNITS))]
        gate.set()
        await asyncio.gather(*futures)
        assert len(counted) >= 3


def executors(kind: str, engine: Engine) -> Executor:
    """A writer of either kind."""
    return InlineExecutor(engine) if kind == "inline" else ThreadExecutor(engine, asyncio.get_running_loop())


@pytest.mark.parametrize("kind", ["inline", "thread"])
async def test_a_unit_that_fails_fails_alone(kind: str, engine: Engine) -> None:
    """A unit's own error undoes that unit and reaches its caller; its neighbours are written."""
    executor = executors(kind, engine)

    def bad(connection: Connection) -> None:
        number(7)(connection)
        raise LookupError("bad unit")

    futures = [executor.submit(unit) for unit in (number(1), bad, number(1), number(2))]
    results: list[Any] = await asyncio.gather(*futures, return_exceptions=True)
    executor.close()
    assert [type(result) for result in results] == [int, LookupError, IntegrityError, int]
    assert written(engine) == [1, 2]


@pytest.mark.parametrize("kind", ["inline", "thread"])
async def test_units_run_in_order(kind: str, engine: Engine) -> None:
    """Units run in the order they came, and each sees what those before it wrote."""
    executor = executors(kind, engine)
    futures = [executor.submit(unit) for n in range(20) for unit in (number(n), written_in)]
    results = await asyncio.gather(*futures)
    executor.close()
    assert [results[at] for at in range(1, 40, 2)] == list(range(1, 21))


def written_in(connection: Connection) -> int:
    """How many numbers there are inside the transaction."""
    return int(connection.execute(text("SELECT count(*) FROM numbers")).scalar_one())


@pytest.mark.parametrize("kind", ["inline", "thread"])
async def test_the_answer_comes_after_the_commit(kind: str, engine: Engine) -> None:
    """Who has an answer can be sure that another connection sees what was written."""
    executor = executors(kind, engine)
    for n in range(5):
        await executor.submit(number(n))
        assert written(engine) == list(range(n + 1))
    executor.close()


async def test_closing_writes_what_waits(engine: Engine) -> None:
    """What was handed in before the close is on disk after it."""
    gate = threading.Event()
    executor = ThreadExecutor(engine, asyncio.get_running_loop())
    executor.submit(held_up(gate))
    futures = [executor.submit(number(n)) for n in range(3)]
    gate.set()
    executor.close()
    assert written(engine) == [0, 1, 2]
    assert await asyncio.gather(*futures) == [0, 1, 2]


@pytest.mark.parametrize("kind", ["inline", "thread"])
async def test_a_busy_file_is_not_the_end(kind: str, engine: Engine) -> None:
    """Where another process holds the file the answer is `JournalBusy`, and the next try works."""
    executor = executors(kind, engine)
    with engine.connect() as other, other.begin(), pytest.raises(JournalBusy, match="locked"):
        await executor.submit(number(1))
    assert await executor.submit(number(1)) == 1
    executor.close()


@pytest.mark.parametrize("kind", ["inline", "thread"])
async def test_a_full_disk_is_not_the_end(kind: str, engine: Engine) -> None:
    """Where the disk is full the answer is `JournalBusy`, and with room again the next try works."""
    executor = executors(kind, engine)
    await executor.submit(full)
    with pytest.raises(JournalBusy, match="full"):
        await executor.submit(number(1, "x" * 100_000))
    await executor.submit(roomy)
    assert await executor.submit(number(1, "x" * 100_000)) == 1
    executor.close()


@pytest.mark.parametrize("kind", ["inline", "thread"])
async def test_a_damaged_file_is_the_end(kind: str, tmp_path: Path) -> None:
    """Where the file is no database any more the answer is `JournalBroken`, whichever statement notices it."""
    path = tmp_path / "damaged.sqlite"
    path.write_bytes(b"this is no database at all, " * 200)
    damaged = sqlite_engine(path)
    executor = executors(kind, damaged)
    with pytest.raises(JournalBroken):
        await executor.submit(number(1))
    executor.close()
    damaged.dispose()


@pytest.mark.parametrize("kind", ["inline", "thread"])
async def test_a_page_torn_out_is_the_end(kind: str, engine: Engine, tmp_path: Path) -> None:
    """Where a unit meets damage in the middle of the file, the answer is `JournalBroken` and no error of that unit."""
    with engine.begin() as connection:
        number(1)(connection)
    engine.dispose()
    path = tmp_path / "numbers.sqlite"
    data = path.read_bytes()
    path.write_bytes(data[:4096] + b"\xff" * (len(data) - 4096))
    executor = executors(kind, engine)
    with pytest.raises(JournalBroken, match="malformed"):
        await executor.submit(number(2))
    executor.close()


async def test_the_service_hears_that_the_journal_broke(engine: Engine) -> None:
    """A broken journal is told once to who has to end the process; a busy one is not."""
    broken: list[JournalBroken] = []
    with threaded(engine, on_broken=broken.append) as executor:
        await executor.submit(full)
        with pytest.raises(JournalBusy):
            await executor.submit(number(1, "x" * 100_000))
        assert broken == []
        with pytest.raises(JournalBroken, match="no such table"):
            await executor.submit(lambda connection: connection.execute(text("DELETE FROM missing")))
        assert [str(error) for error in broken] == ["no such table: missing"]


async def test_nothing_is_written_after_the_journal_broke(engine: Engine) -> None:
    """After the first I/O error no later unit is written or answered as written, though the file may work again."""
    with threaded(engine) as executor:
        with pytest.raises(JournalBroken):
            await executor.submit(lambda connection: connection.execute(text("DELETE FROM missing")))
        with pytest.raises(JournalBroken, match="no such table"):
            await executor.submit(number(1))
    assert written(engine) == []


@pytest.mark.filterwarnings("ignore::pytest.PytestUnhandledThreadExceptionWarning")
async def test_a_writer_that_dies_is_told(engine: Engine) -> None:
    """A mistake that ends the writer is told to who has to end the process."""
    broken: asyncio.Queue[JournalBroken] = asyncio.Queue()
    with threaded(engine, on_broken=broken.put_nowait) as executor:
        executor.submit(deadly)
        assert "journal-writer" in str(await asyncio.wait_for(broken.get(), 5))


@pytest.mark.parametrize("inline", [True, False])
async def test_every_commit_is_told(inline: bool, tmp_path: Path) -> None:
    """After every commit the feed is woken, on the event loop's own thread."""
    told: list[int] = []
    journal_path = tmp_path / "journal.sqlite"
    async with open_journal(journal_path, inline=inline, on_commit=lambda: told.append(threading.get_ident())) as found:
        await found.write(lambda _: None)
        await until(lambda: bool(told))
    assert told == [threading.get_ident()]


async def test_who_stopped_waiting_does_not_disturb(engine: Engine) -> None:
    """A caller that was cancelled harms neither its unit nor its neighbours."""
    gate = threading.Event()
    with threaded(engine) as executor:
        first = executor.submit(held_up(gate))
        gone, stays = executor.submit(number(1)), executor.submit(number(2))
        gone.cancel()
        gate.set()
        await first
        assert await stays == 2
    assert written(engine) == [1, 2]
