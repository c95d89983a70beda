"""The journal's disk: room on it that is kept for what is under way, and whether anything new may come in."""

from __future__ import annotations

import os
import shutil
import tempfile
from contextlib import suppress
from pathlib import Path
from typing import IO

from dispatcher.model.errors import JournalFull
from dispatcher.telemetry import logger

log = logger("journal")

RESERVE = 16 * 2**20  # bytes; the results of some ten thousand deliveries
# SQLite copies its log into the file from 4 MB on. One that grows to this cannot be copied, or has a reader that does not end.
MOST_LOG = 256 * 2**20
MUCH_LOG = MOST_LOG * 4 // 5


class Disk:
    """Keeps a reserve. When the disk is full it gives way: what is under way is still written, nothing new comes in."""

    def __init__(self, path: Path) -> None:
        """``path`` is the journal's; nothing is reserved before `keep_room`."""
        self._folder, self._log_file = path.parent, path.with_name(f"{path.name}-wal")
        self._reserve: IO[bytes] | None = None
        self._full = False
        self._log = 0

    @property
    def full(self) -> bool:
        """Whether only what is under way may still be written."""
        return self._full or self._log >= MOST_LOG

    @property
    def crowded(self) -> bool:
        """Whether the journal's log has grown so far that it must be copied into the file."""
        return self._log >= MUCH_LOG

    @property
    def trouble(self) -> str:
        """What is wrong, in words; empty where nothing is."""
        if self._full:
            return (
                f"the disk of {self._folder} is full: new events are not taken in until {2 * RESERVE >> 20} MB are free"
            )
        if self.crowded:
            stands = "new events are not taken in" if self.full else f"at {MOST_LOG >> 20} MB no new event is taken in"
            return f"the journal's log {self._log_file} grows and cannot be copied into its file: {stands}; make room"
        return "" if self._reserve else f"the disk of {self._folder} is nearly full: make room"

    def admit(self) -> None:
        """Raise `JournalFull` where nothing new may come in."""
        if self.full:
            raise JournalFull("the disk is full" if self._full else "the journal's log is full")

    def measure(self) -> None:
        """See how long the log is."""
        with suppress(FileNotFoundError):
            self._log = self._log_file.stat().st_size

    def keep_room(self) -> None:
        """Set the reserve aside where as much again stays free; then a disk that was full has room."""
        if self._reserve is None and shutil.disk_usage(self._folder).free >= 2 * RESERVE:
            self._reserve = _room(self._folder)
        if self._reserve is not None and self._full:
            self._full = False
            log.info("disk_has_room", folder=str(self._folder))

    def give_way(self) -> None:
        """The disk is full: free the reserve."""
        if not self._full:
            log.error("disk_full", folder=str(self._folder))
        self.close()
        self._full = True

    def close(self) -> None:
        """Free the reserve."""
        reserve, self._reserve = self._reserve, None
        if reserve is not None:
            reserve.close()


def _room(folder: Path) -> IO[bytes] | None:
    """A file without a name, which goes when the process goes; None where the disk does not have it."""
    file = tempfile.TemporaryFile(dir=folder)  # noqa: SIM115 - open as long as it is a reserve
    try:
        os.posix_fallocate(file.fileno(), 0, RESERVE)
    except OSError as error:
        log.warning("no_reserve", folder=str(folder), error=str(error))
        file.close()
        return None
    return file
