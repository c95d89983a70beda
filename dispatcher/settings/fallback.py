"""When the files are broken: the last set that worked, out of the journal, so that a typing error silences nobody."""

from __future__ import annotations

import re
from dataclasses import replace
from functools import partial
from pathlib import Path

from sqlalchemy import Connection
from sqlalchemy.exc import DBAPIError

from dispatcher.journal import queries
from dispatcher.journal.base import JournalSettings, sqlite_engine
from dispatcher.journal.keeping import last_good
from dispatcher.model.errors import ConfigurationError
from dispatcher.settings import Loaded, load
from dispatcher.settings.sources import absolute

_JOURNAL = re.compile(r"(?m)^journal:[ \t]*(?:\{[ \t]*|\n[ \t]+)path:[ \t]*[\"']?([^\"'},\n#]+)")


def load_or_last_good(path: Path, journal: Path | None = None) -> Loaded:
    """The configuration in ``path``, else the last good one of its journal, with what is wrong in ``broken``.

    ``journal`` says where that lies when the broken file does not. Raises `ConfigurationError` where there is none.
    """
    try:
        return load(path)
    except ConfigurationError as error:
        files = _kept(path, journal or _salvaged(path))
        if files is None:
            raise
        return replace(load(path, kept=files), broken=tuple(error.problems))


def _salvaged(path: Path) -> Path:
    """Where the journal lies, as far as a broken file still says so."""
    try:
        found = _JOURNAL.search(path.read_text(errors="replace"))
    except OSError:
        found = None
    return path.parent / (found[1].strip() if found else JournalSettings().path)


def _kept(path: Path, journal: Path) -> dict[str, str] | None:
    if not journal.is_file():
        return None
    engine = sqlite_engine(journal, readonly=True)
    try:
        with engine.connect() as connection:
            return partial(_newest, path)(connection)
    except DBAPIError:  # no journal, or one of an older program
        return None
    finally:
        engine.dispose()


def _newest(path: Path, connection: Connection) -> dict[str, str] | None:
    return last_good(connection, absolute(path)) if queries.meta(connection, "realm") else None
