"""How ready a channel is to post, as far as one can know without posting."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date, datetime, timedelta
from enum import StrEnum

from dispatcher.model.channel import ChannelId
from dispatcher.model.delivery import Reason

WARN_BEFORE = timedelta(days=14)  # a credential's end is told so long ahead


class Readiness(StrEnum):
    """What a witness could say about a channel's next post."""

    READY = "ready"  # the provider would take it
    DEGRADED = "degraded"  # it would, but not for long, or not at once
    DOWN = "down"  # it would not
    UNKNOWN = "unknown"  # it cannot be asked without posting, or was not asked yet


@dataclass(frozen=True, slots=True, kw_only=True)
class Condition:
    """One channel on the board: what its last probe came to, and what staff were told of it.

    ``since`` is when the state began; ``failures`` counts probes in a row that found it down. ``proven_at`` is when a
    canary was last read back, ``tried_at`` when one was last sent, and ``canary`` says what became of that one.
    """

    channel: ChannelId
    state: Readiness = Readiness.UNKNOWN
    reason: Reason | None = None
    detail: str = "not asked yet"
    since: datetime | None = None
    checked_at: datetime | None = None
    valid_until: datetime | None = None
    left: int | None = None  # posts, of the provider's quota
    failures: int = 0
    told_at: datetime | None = None  # staff were paged that it is down
    announced: date | None = None  # the day of the latest page about the credential's end
    proven_at: datetime | None = None
    tried_at: datetime | None = None
    canary: str = ""

    @property
    def poor(self) -> bool:
        """Whether somebody should look at it."""
        return self.state in (Readiness.DEGRADED, Readiness.DOWN)

    @property
    def proven(self) -> bool:
        """Whether its latest canary was read back."""
        return self.proven_at is not None and self.proven_at == self.tried_at

    @property
    def told(self) -> bool:
        """Whether staff know of the state it is in now."""
        return self.told_at is not None and self.since is not None and self.told_at >= self.since


def ends_soon(until: datetime | None, now: datetime) -> bool:
    """Whether a credential that is good ``until`` then has to be renewed by now; None never has."""
    return until is not None and until - now <= WARN_BEFORE
