"""`dispatcher journal`: a whole copy of the journal while the daemon works, and the way back from one."""

from __future__ import annotations

import sqlite3
from contextlib import closing
from datetime import timedelta
from pathlib import Path

import pytest
from damage import flip, whole_journal
from house import NOW

from dispatcher.cli import main
from dispatcher.journal.backup import backup, restore
from dispatcher.journal.base import open_journal
from dispatcher.journal.inspection import mark
from dispatcher.journal.store import add_fact
from dispatcher.model.errors import JournalBroken, JournalDamaged, JournalLocked


@pytest.fixture
def path(tmp_path: Path) -> Path:
    """A whole journal."""
    return whole_journal(tmp_path / "journal.sqlite")


@pytest.fixture
def copy(tmp_path: Path) -> Path:
    """Where the copy shall be."""
    return tmp_path / "copy.sqlite"


def facts(path: Path) -> list[str]:
    """What happened, by this file alone."""
    with closing(sqlite3.connect(f"file:{path}?mode=ro&immutable=1", uri=True)) as connection:
        return [ref for (ref,) in connection.execute("SELECT ref FROM facts ORDER BY seq")]


async def test_a_copy_has_all_that_is_committed(path: Path, copy: Path) -> None:
    """While a daemon writes, the copy holds everything committed before, in one file, and replaces an older one."""
    copy.write_bytes(b"an older copy")
    async with open_journal(path) as journal:
        await journal.write(lambda connection: add_fact(connection, NOW, "event.journaled", "leitstelle/2"))
        backup(path, copy)
        await journal.write(lambda connection: add_fact(connection, NOW, "event.journaled", "leitstelle/3"))
    assert facts(copy)[0::2] == ["leitstelle/1", "leitstelle/2"]
    assert list(copy.parent.glob("copy.sqlite*")) == [copy]


def test_a_damaged_journal_is_no_copy(path: Path, copy: Path) -> None:
    """It is refused, and the older copy stays as it was."""
    backup(path, copy)
    flip(path)
    with pytest.raises(JournalDamaged, match="damaged"):
        backup(path, copy)
    assert facts(copy)[0] == "leitstelle/1"


async def test_a_copy_takes_the_place_of_a_damaged_journal(path: Path, copy: Path) -> None:
    """The daemon starts on it, what lay there is kept beside with its log, and it is said when the copy ends."""
    backup(path, copy)
    sound = path.read_bytes()
    flip(path)
    damaged, log = path.read_bytes(), path.with_name("journal.sqlite-wal")
    log.write_bytes(b"what was not copied into the file yet")
    mark(path).touch()
    aside, until = restore(path, copy)
    assert aside is not None
    assert aside.read_bytes() == damaged != sound
    assert aside.with_name(f"{aside.name}-wal").read_bytes() == b"what was not copied into the file yet"
    assert until is not None
    assert abs(until - NOW) < timedelta(milliseconds=1)
    assert facts(path)[0] == "leitstelle/1"
    async with open_journal(path) as journal:
        assert journal.takes_in
    assert not mark(path).exists()


async def test_a_long_look_keeps_no_start_from_a_copy(path: Path, copy: Path) -> None:
    """What was restored is opened while somebody still reads it, as a look at a large file does for minutes."""
    backup(path, copy)
    restore(path, copy)
    with closing(sqlite3.connect(path)) as look:
        look.execute("BEGIN")
        look.execute("SELECT count(*) FROM facts").fetchone()
        async with open_journal(path) as journal:
            await journal.write(lambda connection: add_fact(connection, NOW, "event.journaled", "leitstelle/2"))


async def test_nothing_is_restored_under_a_daemon(path: Path, copy: Path) -> None:
    """As long as a daemon has the journal it stays where it is."""
    backup(path, copy)
    async with open_journal(path):
        with pytest.raises(JournalLocked):
            restore(path, copy)


@pytest.mark.parametrize("content", [b"", b"this is no database at all, " * 200, None])
def test_what_is_no_copy_replaces_nothing(content: bytes | None, path: Path, copy: Path) -> None:
    """An empty, foreign or damaged file is refused, and the journal lies where it lay."""
    if content is None:
        backup(path, copy)
        flip(copy)
    else:
        copy.write_bytes(content)
    before = sorted(found.name for found in path.parent.iterdir()), path.read_bytes()
    with pytest.raises(JournalBroken, match=r"copy\.sqlite"):
        restore(path, copy)
    path.with_name("journal.sqlite.lock").unlink()
    assert (sorted(found.name for found in path.parent.iterdir()), path.read_bytes()) == before


def test_the_commands_name_what_they_did(tmp_path: Path, copy: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Both find the journal by the configuration; restoring says where the old one is and until when the copy knows."""
    config = tmp_path / "dispatcher.yaml"
    config.write_text("realm: live\nsender: {name: Leer}\njournal: {path: journal.sqlite}\nchannels: {}\n")
    path = whole_journal(tmp_path / "journal.sqlite")
    for command in ("backup", "restore"):
        with pytest.raises(SystemExit) as ended:
            main(["journal", command, str(copy), "-c", str(config)])
        assert not ended.value.code
    said = capsys.readouterr().out
    assert f"{path} is in {copy}" in said
    assert f"{path}.before-" in said
    assert f"ends at {NOW:%Y-%m-%d %H:%M:%S} UTC" in said
