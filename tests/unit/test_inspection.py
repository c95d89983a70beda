"""A journal with a flipped bit: it is found at the start, by the hour and by whoever runs into it, and nothing new comes in."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest
from damage import INDEX, flip, half_made, letters, swell, whole_journal, write_letter

from dispatcher.journal.base import open_journal
from dispatcher.journal.inspection import Inspection, mark
from dispatcher.model.errors import JournalBroken, JournalBusy, JournalDamaged


@pytest.fixture
def path(tmp_path: Path) -> Path:
    """A whole journal."""
    return whole_journal(tmp_path / "journal.sqlite")


async def test_a_start_on_a_damaged_journal_is_refused(path: Path) -> None:
    """The error names the file, what is wrong and the command that helps; nothing in the file is changed."""
    flip(path)
    before = path.read_bytes()
    with pytest.raises(
        JournalDamaged, match=r"journal\.sqlite: the journal is damaged: .*`dispatcher journal restore FILE`"
    ):
        async with open_journal(path):
            pass
    assert path.read_bytes() == before


async def test_a_file_that_is_no_database_is_refused(path: Path) -> None:
    """So is what is no database at all."""
    path.write_bytes(b"this is no database at all, " * 200)
    with pytest.raises(JournalDamaged, match="file is not a database"):
        async with open_journal(path):
            pass


async def test_a_file_that_was_being_made_is_made(tmp_path: Path) -> None:
    """Killed while its file was made: what was half done is undone before the look, and the start goes on."""
    async with open_journal(half_made(tmp_path)) as journal:
        await journal.write(write_letter)


async def test_a_start_is_not_held_up(path: Path) -> None:
    """What cannot be looked through in time is looked through while the daemon works; then nothing new comes in."""
    swell(path)
    flip(path)
    found = Inspection(path, patience=0.0)
    found.begin()
    found.admit()
    async with asyncio.timeout(10):
        await found.run()
    with pytest.raises(JournalBusy, match="damaged"):
        found.admit()
    found.close()
    assert mark(path).exists()


async def test_what_was_damaged_once_is_looked_through_before_a_start(path: Path) -> None:
    """After damage was seen the next start takes all the time it needs, and goes on where the file is whole again."""
    swell(path)
    mark(path).touch()
    sound = path.read_bytes()
    flip(path, INDEX, -1)
    with pytest.raises(JournalDamaged):
        Inspection(path, patience=0.0).begin()
    path.write_bytes(sound)
    async with open_journal(path) as journal:
        assert journal.takes_in
    assert not mark(path).exists()


async def test_the_hourly_look_compares_indexes(path: Path) -> None:
    """What the quick look at the start cannot see, an index that names another row, the look at all of it finds."""
    flip(path, INDEX, -1)
    found = Inspection(path, every=0.0)
    found.begin()
    assert not found.trouble
    async with asyncio.timeout(10):
        await found.run()
    found.close()
    assert INDEX in found.trouble


async def test_who_reads_damage_tells_of_it(path: Path) -> None:
    """A read that SQLite answers with damage is enough: nothing new comes in."""
    async with open_journal(path) as journal:
        flip(path)
        with pytest.raises(JournalDamaged):
            await journal.read(letters)
        assert "malformed" in journal.damage
        assert not journal.takes_in


async def test_who_writes_damage_is_the_last_to_write(path: Path) -> None:
    """A write that SQLite answers with damage is undone, and no other follows."""
    broken: list[JournalBroken] = []
    async with open_journal(path, on_broken=broken.append) as journal:
        flip(path)
        for unit in (write_letter, lambda _: None):
            with pytest.raises(JournalDamaged):
                await journal.write(unit)
        assert "malformed" in journal.damage
    assert [type(error) for error in broken] == [JournalDamaged]


def test_a_look_at_a_whole_file_finds_nothing(path: Path) -> None:
    """Nobody is called for a file that is whole, nor for one that is not there yet."""
    for one in (path, path.with_name("new.sqlite")):
        found = Inspection(one)
        found.begin()
        found.close()
        assert found.trouble == ""
        assert not mark(one).exists()
