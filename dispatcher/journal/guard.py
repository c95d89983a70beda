"""Whether the files that bear the journal's names are still the journal; if not, what it holds is saved before the end."""

from __future__ import annotations

import sqlite3
from contextlib import closing
from pathlib import Path

from dispatcher.journal.units import translated
from dispatcher.model.errors import JournalBroken
from dispatcher.telemetry import logger

log = logger("journal")


class Guard:
    """Remembers the files as they were opened, and keeps a connection that still reads them when they have lost their names."""

    def __init__(self, path: Path) -> None:
        """``path`` is the journal's; the writer has opened it already and holds it longer. Raises `JournalError`."""
        self._path, self._wal = path, path.with_name(f"{path.name}-wal")
        try:
            self._witness = sqlite3.connect(f"file:{path}?mode=ro", uri=True, check_same_thread=False)
            self._witness.execute("SELECT count(*) FROM sqlite_schema").close()
        except sqlite3.Error as error:
            raise translated(error) from error
        self._known = {name: _identity(name) for name in (self._path, self._wal)}

    def missing(self) -> JournalBroken | None:
        """What is wrong where a file is gone, or another one bears its name."""
        gone = [name for name, known in self._known.items() if _identity(name) != known]
        return JournalBroken(f"{gone[0]} was deleted or replaced under the running daemon") if gone else None

    def rescue(self) -> None:
        """Save what the journal holds, when nobody writes to it any more.

        The copy takes the journal's name, unless another file bears it: that one is not ours to touch, and gets no log of ours.
        """
        copy = self._path.with_name(f"{self._path.name}.rescued")
        copy.unlink(missing_ok=True)
        with closing(sqlite3.connect(copy)) as target:
            self._witness.backup(target)
        if _identity(self._wal) == self._known[self._wal]:
            self._wal.unlink(missing_ok=True)
            self._wal.with_name(f"{self._path.name}-shm").unlink(missing_ok=True)
        if _identity(self._path) in (None, self._known[self._path]):
            copy = copy.rename(self._path)
        log.critical("journal_rescued", copy=str(copy))

    def close(self) -> None:
        """Let the files go."""
        self._witness.close()


def _identity(path: Path) -> tuple[int, int] | None:
    try:
        found = path.stat()
    except FileNotFoundError:
        return None
    return found.st_dev, found.st_ino
