"""The one ordered log: facts are only ever appended, in the transaction of what they tell about."""

from __future__ import annotations

import json
from collections.abc import Iterable
from datetime import datetime
from functools import cache
from typing import Any

from sqlalchemy import Connection, Table, insert
from sqlalchemy.dialects.sqlite import insert as sqlite_insert

from dispatcher.journal import tables as t
from dispatcher.journal.prepared import prepared

_to_json = json.JSONEncoder(ensure_ascii=False).encode  # made once: `json.dumps` makes one for each text
_FACT = prepared(insert(t.facts))
_NUMBERED_FACT = prepared(_FACT.returning(t.facts.c.seq))


def upsert(connection: Connection, table: Table) -> Any:
    """An insert of ``table`` that knows ``on_conflict_do_nothing`` on this database."""
    return _insert(connection.dialect.name, table)


def add_missing(connection: Connection, table: Table, rows: list[dict[str, Any]]) -> None:
    """Write those of ``rows`` whose key ``table`` does not have yet."""
    connection.execute(_insert_missing(connection.dialect.name, table), rows)


def _insert(database: str, table: Table) -> Any:
    if database != "postgresql":
        return sqlite_insert(table)
    from sqlalchemy.dialects.postgresql import insert as postgresql_insert  # noqa: PLC0415 - slow to import

    return postgresql_insert(table)


@cache
def _insert_missing(database: str, table: Table) -> Any:
    return prepared(_insert(database, table).on_conflict_do_nothing())


def add_fact(connection: Connection, at: datetime, kind: str, ref: str, /, **body: Any) -> int:
    """Append one fact; its number orders everything that ever happened."""
    values = {"at": at, "kind": kind, "ref": ref, "body": _to_json(body)}
    return int(connection.execute(_NUMBERED_FACT, values).scalar_one())


def add_facts(connection: Connection, at: datetime, rows: Iterable[tuple[str, str, dict[str, Any]]]) -> None:
    """Append many facts of (kind, ref, body) at once, in order."""
    values = [{"at": at, "kind": k, "ref": r, "body": _to_json(b) if b else "{}"} for k, r, b in rows]
    if values:
        connection.execute(_FACT, values)
