"""The journal's readers: what is committed is seen, one question holds up no other, and who asks always hears."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest
from house import deadly
from sqlalchemy import Connection, text

from dispatcher.journal.base import sqlite_engine
from dispatcher.journal.prepared import SqliteEngine
from dispatcher.journal.reader import THREADS, InlineReaders, Readers, ThreadReaders
from dispatcher.model.errors import JournalBroken, JournalDamaged, JournalError

KINDS = pytest.mark.parametrize("kind", ["inline", "thread"])


@pytest.fixture
def path(tmp_path: Path) -> Path:
    """A file with one number."""
    made = tmp_path / "numbers.sqlite"
    engine = sqlite_engine(made)
    with engine.begin() as connection:
        connection.execute(text("CREATE TABLE numbers (n INTEGER)"))
        connection.execute(text("INSERT INTO numbers VALUES (1)"))
    engine.dispose()
    return made


@pytest.fixture
def engine(path: Path) -> Iterator[SqliteEngine]:
    """For reading."""
    found = sqlite_engine(path, readonly=True)
    yield found
    found.dispose()


def readers(kind: str, engine: SqliteEngine, told: list[JournalError] | None = None) -> Readers:
    """Readers of either kind, and whom they tell of errors."""
    tell = (lambda _: None) if told is None else told.append
    return InlineReaders(engine, tell) if kind == "inline" else ThreadReaders(engine, asyncio.get_running_loop(), tell)


def total(connection: Connection) -> int:
    """The sum of the numbers, in SQLAlchemy's way."""
    return int(connection.execute(text("SELECT sum(n) FROM numbers")).scalar_one())


@KINDS
async def test_a_question_sees_all_that_is_committed(kind: str, engine: SqliteEngine, path: Path) -> None:
    """Each question sees what was committed before it, though its connection was open already."""
    reading, writing = readers(kind, engine), sqlite_engine(path)
    for expected in (1, 3, 5):
        assert await reading.submit(total) == expected
        with writing.begin() as connection:
            connection.execute(text("INSERT INTO numbers VALUES (2)"))
    reading.close()
    writing.dispose()


@KINDS
async def test_a_question_that_fails_fails_alone(kind: str, engine: SqliteEngine) -> None:
    """A question's own error reaches who asked; staff are not told of it, and the next question is answered."""
    told: list[JournalError] = []
    reading = readers(kind, engine, told)

    def bad(connection: Connection) -> None:
        total(connection)
        raise LookupError("bad question")

    for _ in range(2 * THREADS):
        with pytest.raises(LookupError, match="bad question"):
            await reading.submit(bad)
        assert await reading.submit(total) == 1
    reading.close()
    assert told == []


@KINDS
async def test_what_the_database_fails_of_is_told(kind: str, engine: SqliteEngine) -> None:
    """An error of the database is the journal's for who asked and for who has to know; the next question is answered."""
    told: list[JournalError] = []
    reading = readers(kind, engine, told)
    with pytest.raises(JournalBroken, match="no such table"):
        await reading.submit(lambda connection: connection.execute(text("SELECT * FROM missing")))
    assert await reading.submit(total) == 1
    reading.close()
    assert [str(error) for error in told] == ["no such table: missing"]


@KINDS
async def test_a_file_that_is_no_database_is_told(kind: str, engine: SqliteEngine, path: Path) -> None:
    """Where not even a question can begin, who asks hears it instead of waiting for ever."""
    path.write_bytes(b"this is no database at all, " * 200)
    told: list[JournalError] = []
    reading = readers(kind, engine, told)
    with pytest.raises(JournalDamaged):
        await asyncio.wait_for(reading.submit(total), 5)
    reading.close()
    assert len(told) == 1


async def test_a_long_question_holds_up_no_other(engine: SqliteEngine) -> None:
    """While one question takes its time, another is asked and answered."""
    reading, gate = ThreadReaders(engine, asyncio.get_running_loop()), threading.Event()
    long = reading.submit(lambda _: gate.wait(5))
    assert await asyncio.wait_for(reading.submit(total), 4) == 1
    assert not long.done()
    gate.set()
    assert await long
    reading.close()


async def test_closing_answers_what_waits(engine: SqliteEngine) -> None:
    """What was asked before the close is answered."""
    reading = ThreadReaders(engine, asyncio.get_running_loop())
    asked = [reading.submit(total) for _ in range(20)]
    reading.close()
    assert await asyncio.gather(*asked) == [1] * 20


@pytest.mark.filterwarnings("ignore::pytest.PytestUnhandledThreadExceptionWarning")
async def test_a_reader_that_dies_is_told(engine: SqliteEngine) -> None:
    """A mistake that ends a reader is told to who has to end the process; until then the other one answers."""
    broken: asyncio.Queue[JournalBroken] = asyncio.Queue()
    reading = ThreadReaders(engine, asyncio.get_running_loop(), on_broken=broken.put_nowait)
    reading.submit(deadly)
    assert "journal-reader-" in str(await asyncio.wait_for(broken.get(), 5))
    assert await asyncio.wait_for(reading.submit(total), 5) == 1
    reading.close()
    assert broken.empty()
