"""Who has signed up for push messages, out of the journal, as channels and the sign-up page see them."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from functools import partial

from dispatcher.channels._subscribers import Subscription
from dispatcher.clock import Clock
from dispatcher.journal import subscribers
from dispatcher.journal.base import Journal
from dispatcher.journal.subscribers import Subscriber
from dispatcher.model.channel import ChannelId
from dispatcher.model.errors import JournalError
from dispatcher.telemetry import logger

log = logger("subscribers")

_AT_ONCE = 500  # that one statement forgets


class JournalSubscribers:
    """`Subscribers` over the journal's own table."""

    def __init__(self, journal: Journal, clock: Clock) -> None:
        """Over ``journal``, whose writer all of this shares with alerts."""
        self._journal, self._clock = journal, clock

    async def of(self, channel: ChannelId, regions: Collection[str]) -> Sequence[Subscription]:
        """Whoever wants to hear of any of ``regions``; raises `JournalError`."""
        found = await self._journal.read(partial(subscribers.subscribed, channel=channel, regions=regions))
        return [Subscription(one.endpoint, one.p256dh, one.auth) for one in found]

    async def add(
        self, channel: ChannelId, one: Subscription, regions: Sequence[str], most: int, *, replaces: str = ""
    ) -> bool:
        """Write one down, in the place of the endpoint it ``replaces``; False where there are ``most`` already.

        Raises `JournalError`.
        """
        row = Subscriber(one.endpoint, one.p256dh, one.auth, tuple(regions))
        unit = partial(
            subscribers.subscribe, channel=channel, one=row, at=self._clock.now(), most=most, replaces=replaces
        )
        return await self._journal.write(unit)

    async def remove(self, channel: ChannelId, endpoint: str) -> None:
        """Forget one who wants to be forgotten, known or not. Raises `JournalError`."""
        await self._journal.write(partial(subscribers.unsubscribe, channel=channel, endpoints=[endpoint]))

    async def drop(self, channel: ChannelId, endpoints: Sequence[str]) -> None:
        """Forget these; where the journal cannot be written they are met again, and dropped then."""
        for at in range(0, len(endpoints), _AT_ONCE):
            some = endpoints[at : at + _AT_ONCE]
            try:
                await self._journal.write(partial(subscribers.unsubscribe, channel=channel, endpoints=some))
            except JournalError as error:
                log.warning("subscribers_kept", channel=channel, count=len(endpoints) - at, error=str(error))
                return
        log.info("subscribers_gone", channel=channel, count=len(endpoints))
