"""The one ordered log: facts are only ever appended, in the transaction of what they tell about."""

from __future__ import annotations

import json
from collections.abc import Iterable
from datetime import datetime
from typing import Any

from sqlalchemy import Connection, insert
from sqlalchemy.dialects.postgresql import insert as postgresql_insert
from sqlalchemy.dialects.sqlite import insert as sqlite_insert

from dispatcher.journal import tables as t


def upsert(connection: Connection, table: Any) -> Any:
    """An insert of ``table`` that knows ``on_conflict_do_nothing`` on this database."""
    return (postgresql_insert if connection.dialect.name == "postgresql" else sqlite_insert)(table)


def add_fact(connection: Connection, at: datetime, kind: str, ref: str, /, **body: Any) -> int:
    """Append one fact; its number orders everything that ever happened."""
    values = {"at": at, "kind": kind, "ref": ref, "body": json.dumps(body, ensure_ascii=False)}
    return int(connection.execute(insert(t.facts).returning(t.facts.c.seq), values).scalar_one())


def add_facts(connection: Connection, at: datetime, rows: Iterable[tuple[str, str, dict[str, Any]]]) -> None:
    """Append many facts of (kind, ref, body) at once, in order."""
    values = [{"at": at, "kind": k, "ref": r, "body": json.dumps(b, ensure_ascii=False)} for k, r, b in rows]
    if values:
        connection.execute(insert(t.facts), values)
