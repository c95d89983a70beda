"""People confirm what they posted by hand, and have tried again what failed."""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import partial

from dispatcher.decisions.means import Means
from dispatcher.journal import queries, steps
from dispatcher.journal.steps import Step
from dispatcher.launch import Outgoing
from dispatcher.model.alert import Purpose
from dispatcher.model.command import Confirm, Resend
from dispatcher.model.delivery import Delivery, DeliveryId, DeliveryState, Verb
from dispatcher.model.errors import Conflict, NotFound


@dataclass(frozen=True, slots=True)
class Posting:
    """Carries out what people decide about single deliveries."""

    means: Means

    async def delivery(self, wanted: DeliveryId) -> Delivery:
        """One delivery; raises `NotFound`."""
        found = await self.means.journal.read(partial(queries.delivery, wanted=wanted))
        if found is None:
            raise NotFound(f"no delivery {wanted}")
        return found

    async def move(self, command: Confirm | Resend) -> DeliveryId:
        """Confirm what a person posted by hand, or try again what failed or nobody knows of."""
        means, delivery = self.means, await self.delivery(command.delivery)
        after = _confirmed(delivery, command) if isinstance(command, Confirm) else await self._requeued(delivery)
        note, alert = f"by {command.person}", (await means.record(delivery.alert)).alert
        changed = delivery.verb is not Verb.POST and after.state is DeliveryState.ACCEPTED
        original = DeliveryId(f"{alert.about}:{delivery.channel}") if changed else None
        step = Step(after, (after.state,), delivery.state, None, note, retracts=original)
        written = await means.journal.write(partial(steps.record_steps, steps=[step], at=means.clock.now()))
        if not written.held:
            raise Conflict("the delivery changed meanwhile: look again")
        means.launch.stand_in(written.called)
        if after.state is DeliveryState.QUEUED:
            means.launch.queue([Outgoing(after, alert)])
        return after.id

    async def _requeued(self, delivery: Delivery) -> Delivery:
        """A failed delivery due now, with its alert's time counted anew; an ended incident takes no earlier text."""
        means = self.means
        if delivery.state not in (DeliveryState.FAILED, DeliveryState.IN_DOUBT):
            raise Conflict(f"delivery {delivery.id} is {delivery.state}: only what failed or is in doubt is sent again")
        alert, deployment = (await means.record(delivery.alert)).alert, means.deployment
        last_words = alert.purpose.ends or alert.purpose is Purpose.FAREWELL or delivery.verb is not Verb.POST
        profile = deployment.channel(delivery.channel) if last_words else deployment.channels.get(delivery.channel)
        if profile is None:
            raise Conflict(f"channel {delivery.channel} is not configured any more")
        if means.fence.stops(delivery):
            raise Conflict(f"the incident of {delivery.id} has ended: its text may not leave any more")
        waiting = frozenset({DeliveryState.QUEUED})
        if await means.journal.read(partial(steps.overtaken, ids=[delivery.id], by=waiting)):
            raise Conflict(f"a later word went out on {delivery.channel}, or is about to: say an update instead")
        now = means.clock.now()
        again = replace(delivery, released_at=now, due_at=now, deadline_at=alert.deadline(now))
        return again.move(DeliveryState.QUEUED)


def _confirmed(delivery: Delivery, command: Confirm) -> Delivery:
    if delivery.state is not DeliveryState.BY_HAND:
        raise Conflict(f"delivery {delivery.id} is {delivery.state}: nothing to confirm")
    return delivery.move(DeliveryState.ACCEPTED, url=command.url, detail=f"posted by {command.person}")
