"""Daemons with one mistake each, which the simulation has to find: parts of their own in the place of the right ones."""

from __future__ import annotations

from simulation.daemon import Parts

from dispatcher.intake.base import Inbound, Receipt
from dispatcher.model.channel import ChannelProfile
from dispatcher.model.delivery import Delivery
from dispatcher.model.errors import Fenced
from dispatcher.permits import Fence, Grant, Permits
from dispatcher.pipeline import Pipeline


class _Hasty(Pipeline):
    """Acknowledges what is not on disk yet."""

    async def receive(self, inbound: Inbound) -> Receipt:
        """The source forgets first."""
        inbound.ack()
        return await super().receive(inbound)


class _Crowded(Permits):
    """Does not look whether an earlier text of the lane is on its way."""

    def take(self, delivery: Delivery, profile: ChannelProfile) -> Grant:
        """Any number on one lane."""
        taken = self._lanes.pop(delivery.lane, None)
        grant = Permits.take(self, delivery, profile)
        if taken is not None:
            self._lanes[delivery.lane] = taken
        return grant


class _Early(Fence):
    """Looks for stops before an attempt is written down, and not once more when it leaves."""

    def check(self, delivery: Delivery) -> None:
        """Only an end is seen here."""
        if self.stops(delivery):
            raise Fenced(delivery.id)


# By name: the parts, and how the promise that they break is told.
MISTAKES = {
    "acknowledges before the commit": (Parts(pipeline=_Hasty), "is not in the journal"),
    "does not check the lane": (Parts(permits=_Crowded), "order: "),
    "checks stops outside the transaction": (Parts(fence=_Early), "stop: "),
}
