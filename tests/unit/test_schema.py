"""The journal's file: its schema, its promises to the disk, and who may open it."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from house import NOW, alert
from sqlalchemy import Connection, Engine, text

from dispatcher.journal import queries, store
from dispatcher.journal.base import lock_file, open_journal, sqlite_engine
from dispatcher.journal.schema import HEAD, MIGRATIONS, current, migrate, prepare
from dispatcher.journal.tables import metadata
from dispatcher.model.errors import JournalBroken, JournalLocked


@pytest.fixture
def engine(tmp_path: Path) -> Iterator[Engine]:
    """A new file."""
    found = sqlite_engine(tmp_path / "journal.sqlite")
    yield found
    found.dispose()


def shape(engine: Engine) -> set[tuple[str, str]]:
    """Name and definition of every table and index but alembic's own, white space aside."""
    with engine.connect() as connection:
        rows = connection.execute(text("SELECT name, sql FROM sqlite_master WHERE sql NOT NULL")).all()
    return {(name, " ".join(sql.split())) for name, sql in rows if name != "alembic_version"}


def test_a_new_file_is_made_whole(engine: Engine) -> None:
    """A new file gets every table at once and knows its version."""
    assert current(engine) is None
    prepare(engine)
    assert current(engine) == HEAD
    assert {name for name, sql in shape(engine) if sql.startswith("CREATE TABLE")} >= set(metadata.tables)


def test_preparing_twice_changes_nothing(engine: Engine) -> None:
    """A file that is current stays as it is."""
    prepare(engine)
    before = shape(engine)
    prepare(engine)
    assert (shape(engine), current(engine)) == (before, HEAD)


def test_scripts_lead_to_the_same_schema(engine: Engine, tmp_path: Path) -> None:
    """Alembic's scripts, run from the very first, make exactly the tables that a new file gets at once."""
    migrated = sqlite_engine(tmp_path / "migrated.sqlite")
    migrate(migrated)
    prepare(engine)
    assert shape(migrated) == shape(engine)
    assert current(migrated) == current(engine) == HEAD
    migrated.dispose()


def test_the_scripts_lose_nothing(engine: Engine) -> None:
    """A file that the scripts run over is at this version afterwards and keeps what it holds."""
    prepare(engine)
    with engine.begin() as connection:
        connection.execute(text("INSERT INTO meta VALUES ('realm', 'live')"))
    migrate(engine)
    with engine.connect() as connection:
        assert connection.execute(text("SELECT value FROM meta")).scalar_one() == "live"


def test_deliveries_from_before_standbys_are_kept(engine: Engine) -> None:
    """A journal whose deliveries stood by for nobody opens with them, and they still do not."""
    prepare(engine)
    with engine.begin() as connection:
        written = alert("website")
        store.write_alert(connection, written, released_at=NOW)
        store.write_rows(connection, written, written.plan, NOW)
        connection.execute(text("ALTER TABLE deliveries DROP COLUMN fallback_of"))
        connection.execute(text("UPDATE alembic_version SET version_num = '0002'"))
    prepare(engine)
    with engine.connect() as connection:
        assert [found.fallback_of for found in queries.deliveries(connection)] == [()]
    assert current(engine) == HEAD


def test_a_journal_of_the_last_release_gets_its_indexes(engine: Engine) -> None:
    """A journal from before the indexes over long histories opens with them, and without the one they replace."""
    prepare(engine)
    new = shape(engine)
    with engine.begin() as connection:
        for name in (
            "incidents_by_change",
            "alerts_by_revision",
            "alerts_by_purpose",
            "alerts_by_time",
            "alerts_unwritten",
        ):
            connection.execute(text(f"DROP INDEX {name}"))
        connection.execute(text("CREATE INDEX ix_alerts_incident ON alerts (incident)"))
        connection.execute(text("UPDATE alembic_version SET version_num = '0003'"))
    prepare(engine)
    assert (shape(engine), current(engine)) == (new, HEAD)


def test_the_head_is_the_last_script() -> None:
    """The version that a new file is given is that of the newest script."""
    scripts = sorted(path.name for path in (MIGRATIONS / "versions").glob("[0-9]*.py"))
    assert scripts[-1].startswith(f"{HEAD}_")


def test_a_file_from_a_newer_program_is_refused(engine: Engine) -> None:
    """A file whose schema this program does not know is not touched."""
    prepare(engine)
    with engine.begin() as connection:
        connection.execute(text("UPDATE alembic_version SET version_num = '9999'"))
    with pytest.raises(JournalBroken, match="schema 9999, this program knows"):
        prepare(engine)


async def test_a_second_daemon_is_refused(tmp_path: Path) -> None:
    """While one daemon holds a journal no other opens it; afterwards it is free."""
    path = tmp_path / "deep" / "journal.sqlite"
    async with open_journal(path):
        with pytest.raises(JournalLocked, match="another daemon holds this journal"):
            lock_file(path)
        with pytest.raises(JournalLocked):
            async with open_journal(path):
                pytest.fail("two daemons on one journal")
    async with open_journal(path):
        pass


@pytest.mark.parametrize("inline", [True, False])
async def test_what_is_committed_is_on_the_disk(inline: bool, tmp_path: Path) -> None:
    """The connection that writes really has WAL and synchronous=FULL."""

    def pragmas(connection: Connection) -> tuple[object, ...]:
        names = ("journal_mode", "synchronous")
        return tuple(connection.exec_driver_sql(f"PRAGMA {name}").scalar() for name in names)

    async with open_journal(tmp_path / "journal.sqlite", inline=inline) as journal:
        assert await journal.write(pragmas) == ("wal", 2)


async def test_readers_cannot_write(tmp_path: Path) -> None:
    """A reading connection refuses to change anything, and says it in the journal's own words."""
    async with open_journal(tmp_path / "journal.sqlite") as journal:
        with pytest.raises(JournalBroken, match="readonly"):
            await journal.read(lambda connection: connection.execute(text("DELETE FROM facts")))


async def test_readers_see_one_moment(tmp_path: Path) -> None:
    """What is committed while a reader reads does not change what it sees, nor does the reader hold the writer up."""
    async with open_journal(tmp_path / "journal.sqlite", inline=True) as journal:
        reader = sqlite_engine(tmp_path / "journal.sqlite", readonly=True)
        count = text("SELECT count(*) FROM meta")
        with reader.connect() as connection:
            assert connection.execute(count).scalar_one() == 0
            await journal.write(lambda c: c.execute(text("INSERT INTO meta VALUES ('a', 'b')")).close())
            assert connection.execute(count).scalar_one() == 0
        with reader.connect() as connection:
            assert connection.execute(count).scalar_one() == 1
        reader.dispose()


async def test_closing_leaves_one_file(tmp_path: Path) -> None:
    """After the last close everything is in the one file; no log is left beside it."""
    path = tmp_path / "journal.sqlite"
    async with open_journal(path) as journal:
        await journal.write(lambda c: c.execute(text("INSERT INTO meta VALUES ('a', 'b')")).close())
        await journal.read(lambda c: c.execute(text("SELECT * FROM meta")).all())
    assert sorted(found.name for found in tmp_path.iterdir()) == ["journal.sqlite", "journal.sqlite.lock"]
