"""Other incidents that are open beside one: what a plan is made on, and whether that is still all there is to know."""

from __future__ import annotations

import json
from collections.abc import Collection
from datetime import datetime, timedelta
from functools import lru_cache

from sqlalchemy import Connection, bindparam, select

from dispatcher.journal import tables as t
from dispatcher.journal.prepared import prepared
from dispatcher.model.delivery import IncidentId
from dispatcher.model.incident import Neighbour
from dispatcher.model.playbook import PlaybookId

LOOK_BACK = timedelta(hours=6)
MOST = 50

_i = t.incidents.c
_NEIGHBOURS = prepared(
    select(_i.id, _i.playbook, _i.place, _i.regions, _i.updated_at)
    .where(
        _i.open.is_(True), _i.playbook.is_not(None), _i.id != bindparam("incident"), _i.updated_at > bindparam("oldest")
    )
    .order_by(_i.updated_at.desc(), _i.id)
    .limit(MOST)
)
_these = _NEIGHBOURS.subquery().c
_UNKNOWN = prepared(
    select(_these.id).where(
        _these.playbook == bindparam("book"), _these.updated_at > bindparam("since"),
        _these.id.not_in(bindparam("known", expanding=True)),
    )
)  # fmt: skip


def neighbours(connection: Connection, incident: IncidentId, now: datetime) -> tuple[Neighbour, ...]:
    """Other open incidents that something was heard of lately, newest first, and no more than `MOST`."""
    rows = connection.execute(_NEIGHBOURS, {"incident": incident, "oldest": now - LOOK_BACK})
    return tuple(
        Neighbour(IncidentId(id_), PlaybookId(playbook), place, _names(regions), at)
        for id_, playbook, place, regions, at in rows
    )


def has_unknown(
    connection: Connection, incident: IncidentId, now: datetime, *, playbook: str, since: datetime,
    known: Collection[str],
) -> bool:  # fmt: skip
    """Whether `neighbours` has one of ``playbook`` that was heard of ``since`` then and is not ``known``.

    It looks no further than `neighbours` does: a plan that is made anew on those knows them all.
    """
    asked = {
        "incident": incident, "oldest": now - LOOK_BACK, "book": playbook, "since": since, "known": list(known),
    }  # fmt: skip
    return connection.execute(_UNKNOWN, asked).first() is not None


@lru_cache(maxsize=1024)
def _names(text: str) -> tuple[str, ...]:
    """Regions as they stand in their column; open incidents have few different ones."""
    return tuple(json.loads(text))
