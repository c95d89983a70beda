"""``dispatcher migrate``: the journal's tables brought to this version."""

from __future__ import annotations

import os
from pathlib import Path

from rich import print as show

from dispatcher.journal.base import lock_file, sqlite_engine
from dispatcher.journal.schema import HEAD, current, prepare
from dispatcher.settings import load


def migrate(config: Path) -> None:
    """Migrate the journal that ``config`` names; raises `JournalLocked` while a daemon has it."""
    path = load(config).journal.path
    path.parent.mkdir(parents=True, exist_ok=True)
    lock = lock_file(path)
    engine = sqlite_engine(path)
    before = current(engine)
    prepare(engine)
    engine.dispose()
    os.close(lock)
    show(f"{path}: schema {before or 'none'} → {HEAD}")
