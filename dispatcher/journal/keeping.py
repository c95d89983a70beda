"""Configurations that worked, kept as they were read, so that a broken file cannot keep the daemon from starting."""

from __future__ import annotations

import json
from collections.abc import Mapping
from datetime import datetime

from sqlalchemy import Connection, delete, select

from dispatcher.journal import tables as t
from dispatcher.journal.log import add_fact, upsert

KEPT = 20


def keep_configuration(connection: Connection, digest: str, main: str, files: Mapping[str, str], at: datetime) -> None:
    """Keep the set of ``files`` (name to text) that ``main`` names, as the last good one; the newest 20 stay."""
    c = t.configurations.c
    values = {"main": main, "files": json.dumps(dict(files), ensure_ascii=False), "at": at}
    again = upsert(connection, t.configurations).on_conflict_do_update(index_elements=["digest"], set_={"at": at})
    connection.execute(again, {"digest": digest, **values})
    newest = select(c.digest).order_by(c.at.desc()).limit(KEPT)
    connection.execute(delete(t.configurations).where(c.digest.not_in(newest)))
    add_fact(connection, at, "configuration.kept", digest[:16], files=len(files))


def last_good(connection: Connection, main: str) -> dict[str, str] | None:
    """The files of the newest set that worked with this main file; None where there is none."""
    c = t.configurations.c
    statement = select(c.files).where(c.main == main).order_by(c.at.desc()).limit(1)
    found = connection.execute(statement).scalar()
    return None if found is None else dict(json.loads(found))
