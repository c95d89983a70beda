"""The conditions of channels across restarts, so that what was told is not told again and what was proven stays proven.

They are values beside the other small ones of the journal, and each change of state is a fact in the log.
"""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime
from typing import Any

from pydantic import TypeAdapter
from sqlalchemy import ColumnElement, Connection, select

from dispatcher.journal import tables as t
from dispatcher.journal.log import add_facts, upsert
from dispatcher.model.channel import ChannelId
from dispatcher.model.readiness import Condition

_PREFIX = "channel/"
_ADAPTER: TypeAdapter[Condition] = TypeAdapter(Condition)


def conditions(connection: Connection) -> dict[ChannelId, Condition]:
    """Every condition that was kept, also of channels that are not configured any more."""
    return _read(connection, t.meta.c.key.startswith(_PREFIX, autoescape=True))


def keep_conditions(connection: Connection, kept: Iterable[Condition], at: datetime) -> None:
    """Keep each condition; one whose state or canary is another than before is a fact as well."""
    rows = {f"{_PREFIX}{condition.channel}": condition for condition in kept}
    before = _read(connection, t.meta.c.key.in_(rows))
    again = upsert(connection, t.meta)
    again = again.on_conflict_do_update(index_elements=["key"], set_={"value": again.excluded.value})
    for key, condition in rows.items():
        connection.execute(again, {"key": key, "value": _ADAPTER.dump_json(condition).decode()})
    known = ((before.get(c.channel, Condition(channel=c.channel)), c) for c in rows.values())
    add_facts(connection, at, (fact for pair in known for fact in _facts(*pair)))


def _read(connection: Connection, which: ColumnElement[bool]) -> dict[ChannelId, Condition]:
    rows = connection.execute(select(t.meta.c.value).where(which)).scalars()
    return {condition.channel: condition for condition in map(_ADAPTER.validate_json, rows)}


def _facts(before: Condition, now: Condition) -> Iterable[tuple[str, str, dict[str, Any]]]:
    if (before.state, before.reason) != (now.state, now.reason):
        body = {"reason": now.reason, "detail": now.detail, "since": now.since.isoformat() if now.since else None}
        yield f"channel.{now.state}", now.channel, body
    if now.canary and before.canary != now.canary:
        kind = "channel.proven" if now.proven else "channel.unproven"
        yield kind, now.channel, {"detail": now.canary}
