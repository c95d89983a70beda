"""The fence: raised for an incident before its end is journaled, checked right before a request head is written."""

from __future__ import annotations

from dataclasses import dataclass, field

from dispatcher.model.channel import ChannelId
from dispatcher.model.command import Scope
from dispatcher.model.delivery import PAGE_RANK, Delivery, IncidentId, Lane, Verb
from dispatcher.model.errors import Fenced


@dataclass(slots=True)
class Fence:
    """The highest revision of each incident, or lane, that was ended: no earlier text starts to leave there.

    And the stops that people made: nothing at all leaves there until they are lifted; staff are paged all the same.
    And the accounts whose owners have paused or revoked: nothing leaves on them, not even an end.
    """

    _revisions: dict[IncidentId, int] = field(default_factory=dict)
    _lanes: dict[Lane, int] = field(default_factory=dict)
    _stops: set[tuple[Scope, str]] = field(default_factory=set)
    _withdrawn: set[ChannelId] = field(default_factory=set)

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
        if self.stands(scope, ref):
            return False
        self._stops.add((scope, ref))
        return True

    def stands(self, scope: Scope, ref: str) -> bool:
        """Whether exactly that was stopped."""
        return (scope, ref) in self._stops

    def resume(self, scope: Scope, ref: str) -> None:
        """Lift that stop."""
        self._stops.discard((scope, ref))

    def withdraw(self, account: ChannelId) -> None:
        """Its owner wants nothing to leave on it."""
        self._withdrawn.add(account)

    def readmit(self, account: ChannelId) -> None:
        """Its owner has agreed again."""
        self._withdrawn.discard(account)

    def stops(self, delivery: Delivery) -> bool:
        """Whether an end, or the owner of its account, forbids this delivery; changes of earlier posts leave after any end."""
        if delivery.channel in self._withdrawn:
            return True
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
