"""Who has signed up for push messages, as units of work. No fact is written about them: who they are concerns nobody."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass, replace
from datetime import datetime

from sqlalchemy import Connection, delete, func, select

from dispatcher.journal import tables as t
from dispatcher.journal.log import upsert


@dataclass(frozen=True, slots=True)
class Subscriber:
    """One browser with its keys, and the regions that its owner wants to hear of; none means all."""

    endpoint: str
    p256dh: bytes
    auth: bytes
    regions: tuple[str, ...] = ()


def subscribe(
    connection: Connection, channel: str, one: Subscriber, at: datetime, *, most: int, replaces: str = ""
) -> bool:
    """Write ``one`` down, or what it wants now; False where ``most`` others have signed up already.

    Where ``replaces`` is known, ``one`` takes its place and its regions.
    """
    s = t.subscribers.c
    before = (s.channel == channel, s.endpoint == replaces)
    regions = connection.execute(select(s.regions).where(*before)).scalar() if replaces else None
    if regions is not None:
        connection.execute(delete(t.subscribers).where(*before))
        one = replace(one, regions=regions)
    others = select(func.count()).where(s.channel == channel, s.endpoint != one.endpoint)
    if connection.execute(others).scalar_one() >= most:
        return False
    changes = {"p256dh": one.p256dh, "auth": one.auth, "regions": one.regions, "at": at}
    row = {"channel": channel, "endpoint": one.endpoint, **changes}
    keys = ["channel", "endpoint"]
    connection.execute(upsert(connection, t.subscribers).on_conflict_do_update(index_elements=keys, set_=changes), row)
    return True


def unsubscribe(connection: Connection, channel: str, endpoints: Sequence[str]) -> int:
    """Forget these; how many of them were known."""
    s = t.subscribers.c
    return connection.execute(delete(t.subscribers).where(s.channel == channel, s.endpoint.in_(endpoints))).rowcount


def subscribed(connection: Connection, channel: str, regions: Collection[str]) -> list[Subscriber]:
    """Whoever wants to hear of any of ``regions``; everybody where none is named. In the order in which they came."""
    s = t.subscribers.c
    rows = connection.execute(
        select(s.endpoint, s.p256dh, s.auth, s.regions).where(s.channel == channel).order_by(s.at)
    )
    wanted = set(regions)
    found = (Subscriber(row.endpoint, row.p256dh, row.auth, row.regions) for row in rows)
    return [one for one in found if not (wanted and one.regions) or wanted.intersection(one.regions)]
