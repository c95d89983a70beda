"""What is asked of the journal costs what it is about, whatever else waits or was told before: counted in SQLite's own steps."""

from __future__ import annotations

import asyncio
import itertools
from collections.abc import Callable
from pathlib import Path

import pytest
from house import NOW, Sluice, alert, moment
from sqlalchemy import Connection

from dispatcher.console import lookups
from dispatcher.console.shared import Shared
from dispatcher.journal import moves, queries, store, superseding
from dispatcher.journal.base import open_journal, sqlite_engine
from dispatcher.journal.prepared import SqliteConnection
from dispatcher.journal.schema import prepare
from dispatcher.journal.units import T, Unit
from dispatcher.model.alert import Planned, Purpose
from dispatcher.model.channel import ChannelId
from dispatcher.model.delivery import AlertId, DeliveryState, IncidentId

FEW, MANY = 20, 200  # other incidents, pages and letters

Question = Callable[[Connection], object]
UPDATE = alert(name="b", revision=3, purpose=Purpose.UPDATE, created_at=moment(1))
END = alert(name="b", revision=3, purpose=Purpose.ALL_CLEAR, created_at=moment(1))
QUESTIONS: dict[str, Question] = {
    "who stands by for an alert": lambda connection: moves.settle_standbys(connection, NOW, {AlertId("a1")}),
    "what an update replaces": lambda connection: superseding.supersede(connection, UPDATE, NOW),
    "what an end replaces": lambda connection: superseding.supersede(connection, END, NOW),
    "the latest pages": lambda connection: lookups.pages(connection, 5),
    "the latest letters": lambda connection: queries.letters(connection, limit=5),
}


def wait(connection: Connection, number: int) -> None:
    """Hold an alert of an incident of its own, one channel behind the other; and keep a page and a letter."""
    name, incident = f"a{number}", IncidentId(f"i{number}")
    held = alert("website", "sms", state=DeliveryState.HELD, name=name, incident=incident)
    behind = Planned(ChannelId("sms"), held.plan[1].text, DeliveryState.STANDBY, fallback_of=(ChannelId("website"),))
    held = alert(name=name, incident=incident, plan=(held.plan[0], behind))
    store.write_alert(connection, held, released_at=None)
    store.write_rows(connection, held, held.plan, None)
    page = alert("phone", name=f"p{number}", incident=IncidentId(f"p{number}"), purpose=Purpose.PAGE)
    letter = store.Letter(source="s", payload=str(number).encode(), reason="?", received_at=NOW, pages=(page,))
    store.record_letter(connection, letter)


def steps(connection: Connection, question: Question) -> int:
    """How many of its own steps SQLite takes to answer."""
    assert isinstance(connection, SqliteConnection)
    taken = itertools.count()
    connection.driver.set_progress_handler(lambda: bool(next(taken) < 0), 1)
    question(connection)
    connection.driver.set_progress_handler(None, 1)
    return next(taken)


def steps_of(path: Path, others: int, question: Question) -> int:
    """The same over a journal in which so many others wait."""
    engine = sqlite_engine(path)
    prepare(engine)
    with engine.begin() as connection:
        for number in range(others):
            wait(connection, number)
    with engine.connect() as connection:
        found = steps(connection, question)
        connection.rollback()
    engine.dispose()
    return found


@pytest.mark.parametrize("question", QUESTIONS.values(), ids=QUESTIONS)
def test_questions_do_not_grow_with_what_else_there_is(question: Question, tmp_path: Path) -> None:
    """Ten times as many other incidents, pages and letters are no more work."""
    few, many = (steps_of(tmp_path / f"{number}.sqlite", number, question) for number in (FEW, MANY))
    assert many < 1.3 * few


class Desk(Sluice):
    """A journal that knows how many read in it at once."""

    readers = most = 0

    async def read(self, unit: Unit[T]) -> T:
        """Read, and be counted."""
        self.readers += 1
        self.most = max(self.most, self.readers)
        try:
            return await super().read(unit)
        finally:
            self.readers -= 1


async def test_one_long_look_at_a_time(tmp_path: Path) -> None:
    """However many ask for all of history, one of the journal's readers is there for everybody else."""
    async with open_journal(tmp_path / "journal.sqlite", inline=True) as opened:
        desk = Desk(opened)
        shared = Shared(desk)
        assert await asyncio.gather(*(shared.long(queries.last_seq) for _ in range(5))) == [0] * 5
        assert desk.most == 1
