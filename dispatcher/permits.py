"""What a delivery needs before it may leave, held in memory: a free lane, a slot of its origin, its credential's consent.

And the fence: raised for an incident before its end is journaled, checked right before a request head is written.
"""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from enum import StrEnum

from dispatcher.model.channel import ChannelProfile
from dispatcher.model.command import Scope
from dispatcher.model.delivery import Delivery, IncidentId, Lane, Verb
from dispatcher.model.errors import Fenced

ORIGIN_SLOTS = 64
ALL_SLOTS = 2_000
PAGE_RANK = 1


class Grant(StrEnum):
    """The answer to a delivery that wants to leave."""

    YES = "yes"
    LANE = "lane"  # an earlier text of its lane is on its way
    ORIGIN = "origin"  # its origin is busy
    CREDENTIAL = "credential"  # the provider told its credential to wait
    STOPPED = "stopped"  # a person stopped it


@dataclass(slots=True)
class Permits:
    """Counts what is on its way. All methods are synchronous and called on the event loop."""

    origin_slots: int = ORIGIN_SLOTS
    all_slots: int = ALL_SLOTS
    monotonic: Callable[[], float] = time.monotonic
    closed: bool = False
    stopped: Callable[[Delivery], bool] = lambda _: False
    _lanes: dict[Lane, str] = field(default_factory=dict)  # with the origin that each took its slot from
    _origins: Counter[str] = field(default_factory=Counter)
    _wait_until: dict[str, float] = field(default_factory=dict)

    def close(self) -> None:
        """Grant nothing any more: the daemon is stopping."""
        self.closed = True

    def take(self, delivery: Delivery, profile: ChannelProfile) -> Grant:
        """Take every permit at once, or none."""
        if self.stopped(delivery):
            return Grant.STOPPED
        if delivery.lane in self._lanes:
            return Grant.LANE
        if self.waits_for(profile) > 0:
            return Grant.CREDENTIAL
        if self.closed or self._origins[profile.origin] >= self.origin_slots or len(self._lanes) >= self.all_slots:
            return Grant.ORIGIN
        self._lanes[delivery.lane] = profile.origin
        self._origins[profile.origin] += 1
        return Grant.YES

    def give_back(self, delivery: Delivery) -> None:
        """Return what `take` granted, to the origin that gave it: a reload may have moved the channel since."""
        if origin := self._lanes.pop(delivery.lane, None):
            self._origins[origin] -= 1

    def hold(self, profile: ChannelProfile, seconds: float) -> None:
        """A provider's Retry-After: no delivery on that credential before it is over."""
        until = self.monotonic() + seconds
        self._wait_until[profile.credential] = max(until, self._wait_until.get(profile.credential, 0.0))

    def waits_for(self, profile: ChannelProfile) -> float:
        """Seconds until the credential of ``profile`` may be used again; 0 where it may now."""
        return max(0.0, self._wait_until.get(profile.credential, 0.0) - self.monotonic())


@dataclass(slots=True)
class Fence:
    """The highest revision of each incident, or lane, that was ended: no earlier text starts to leave there.

    And the stops that people made: nothing at all leaves there until they are lifted; staff are paged all the same.
    """

    _revisions: dict[IncidentId, int] = field(default_factory=dict)
    _lanes: dict[Lane, int] = field(default_factory=dict)
    _stops: set[tuple[Scope, str]] = field(default_factory=set)

    def put_up(self, incident: IncidentId, revision: int) -> int | None:
        """Stop every text before ``revision``; what stood there before, for `put_back`."""
        before = self._revisions.get(incident)
        self._revisions[incident] = max(revision, before or 0)
        return before

    def put_back(self, incident: IncidentId, before: int | None) -> None:
        """Undo `put_up`: the end did not come to be."""
        if before is None:
            self._revisions.pop(incident, None)
        else:
            self._revisions[incident] = before

    def put_up_lane(self, lane: Lane, revision: int) -> int | None:
        """The same for one channel of an incident that goes on elsewhere."""
        before = self._lanes.get(lane)
        self._lanes[lane] = max(revision, before or 0)
        return before

    def put_back_lane(self, lane: Lane, before: int | None) -> None:
        """Undo `put_up_lane`."""
        if before is None:
            self._lanes.pop(lane, None)
        else:
            self._lanes[lane] = before

    def stop(self, scope: Scope, ref: str) -> bool:
        """Let nothing leave in ``scope``; False where that held already."""
        if (scope, ref) in self._stops:
            return False
        self._stops.add((scope, ref))
        return True

    def resume(self, scope: Scope, ref: str) -> None:
        """Lift that stop."""
        self._stops.discard((scope, ref))

    def stops(self, delivery: Delivery) -> bool:
        """Whether an end forbids this delivery's text; changes of earlier posts leave after any end."""
        ended = max(self._revisions.get(delivery.incident, 0), self._lanes.get(delivery.lane, 0))
        return delivery.verb is Verb.POST and delivery.revision < ended

    def halts(self, delivery: Delivery) -> bool:
        """Whether a person has stopped it for now; only a stop of its own channel stops a page."""
        if not self._stops:
            return False
        if (Scope.CHANNEL, delivery.channel) in self._stops:
            return True
        stopped = (Scope.ALL, "") in self._stops or (Scope.INCIDENT, delivery.incident) in self._stops
        return stopped and delivery.rank != PAGE_RANK

    def check(self, delivery: Delivery) -> None:
        """Raise `Fenced` where `stops` or `halts` says so."""
        if self.stops(delivery) or self.halts(delivery):
            raise Fenced(delivery.id)
