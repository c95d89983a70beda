"""What a delivery needs before it may leave, held in memory: a free lane, a slot of its origin, its credential's consent."""

from __future__ import annotations

import random
import time
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, field
from enum import StrEnum

from dispatcher.model.channel import ChannelId, ChannelProfile
from dispatcher.model.delivery import TOP_RANK, Delivery, Lane, Outcome, Reason, Result
from dispatcher.permits.fence import Fence
from dispatcher.permits.origin import Origin
from dispatcher.telemetry import ORIGINS_DOWN, logger

__all__ = ["Fence", "Grant", "Permits"]

log = logger("permits")

ORIGIN_SLOTS = 64
ALL_SLOTS = 2_000
CROWD = 50  # open deliveries from which on retries at an origin have a budget

_UNANSWERED = frozenset({Reason.TIMEOUT, Reason.NETWORK, Reason.DNS, Reason.TLS, Reason.SERVER_ERROR})
_TELLS_NOTHING = frozenset({Result.NEVER_LEFT, Result.BY_HAND})
_OUR_OWN = frozenset({Reason.EXPIRED, Reason.CANCELLED, Reason.INTERNAL})


class Grant(StrEnum):
    """The answer to a delivery that wants to leave."""

    YES = "yes"
    LANE = "lane"  # an earlier text of its lane is on its way
    CHANNEL = "channel"  # it has its share of its origin on its way
    ORIGIN = "origin"  # its origin is busy
    DOWN = "down"  # its origin does not answer
    CREDENTIAL = "credential"  # the provider told its credential to wait
    RATE = "rate"  # its credential has posted all that it may for now
    BUDGET = "budget"  # a retry, and there have been too many
    STOPPED = "stopped"  # a person stopped it


@dataclass(slots=True)
class Permits:
    """Counts what is on its way. All methods are synchronous and called on the event loop."""

    origin_slots: int = ORIGIN_SLOTS
    all_slots: int = ALL_SLOTS
    monotonic: Callable[[], float] = time.monotonic
    rng: random.Random = field(default_factory=random.Random)
    closed: bool = False
    stopped: Callable[[Delivery], bool] = lambda _: False
    shared: Callable[[str], bool] = lambda _: False  # whether several channels speak through an origin
    crowded: frozenset[str] = frozenset()  # origins with more than `CROWD` open deliveries
    _lanes: dict[Lane, str] = field(default_factory=dict)  # with the origin that each took its slot from
    _origins: dict[str, Origin] = field(default_factory=dict)
    _wait_until: dict[str, float] = field(default_factory=dict)
    _posted: dict[str, deque[float]] = field(default_factory=dict)  # when each credential posted lately
    _healed: set[str] = field(default_factory=set)

    def close(self) -> None:
        """Grant nothing any more: the daemon is stopping."""
        self.closed = True

    def take(self, delivery: Delivery, profile: ChannelProfile) -> Grant:
        """Take every permit at once, or none."""
        grant = self._grant(delivery, profile)
        if grant is Grant.YES:
            now = self.monotonic()
            self._lanes[delivery.lane] = profile.origin
            self._origin(profile.origin).take(delivery, now)
            if profile.rate is not None:
                self._posted.setdefault(profile.credential, deque()).append(now)
        return grant

    def _grant(self, delivery: Delivery, profile: ChannelProfile) -> Grant:
        now, origin = self.monotonic(), self._origin(profile.origin)
        grant = Grant.YES
        if self.stopped(delivery):
            grant = Grant.STOPPED
        elif delivery.lane in self._lanes:
            grant = Grant.LANE
        elif self.waits_for(profile) > 0:
            grant = Grant.CREDENTIAL
        elif self.closed or len(self._lanes) >= self.all_slots or not origin.has_room(delivery.rank):
            grant = Grant.ORIGIN
        elif self.shared(profile.origin) and not origin.has_room(delivery.rank, delivery.channel):
            grant = Grant.CHANNEL
        elif not origin.answers(delivery, now):
            grant = Grant.DOWN
        elif profile.rate is not None and self.rate_in(profile, delivery.rank) > 0:
            grant = Grant.RATE
        elif profile.origin in self.crowded and not origin.affords(delivery, now):
            grant = Grant.BUDGET
        return grant

    def give_back(self, delivery: Delivery) -> None:
        """Return what `take` granted, to the origin that gave it: a reload may have moved the channel since."""
        if (origin := self._lanes.pop(delivery.lane, None)) is not None:
            self._origin(origin).give_back(delivery.channel)

    def learn(self, channel: ChannelId, profile: ChannelProfile, outcome: Outcome) -> None:
        """What an attempt says about its origin and its credential."""
        if outcome.retry_after is not None:
            self.hold(profile, outcome.retry_after.total_seconds())
        if outcome.result in _TELLS_NOTHING or outcome.reason in _OUR_OWN:
            return
        origin = self._origin(profile.origin)
        if outcome.reason not in _UNANSWERED:
            if origin.answered():
                ORIGINS_DOWN.dec()
                log.info("origin_answers_again", channel=channel)
                self._healed.add(profile.origin)
        elif origin.failed(channel, self.monotonic(), shared=self.shared(profile.origin)):
            ORIGINS_DOWN.inc()
            log.warning("origin_down", channel=channel, reason=outcome.reason)

    def healed(self) -> set[str]:
        """Origins that answer again since this was asked last."""
        healed, self._healed = self._healed, set()
        return healed

    def hold(self, profile: ChannelProfile, seconds: float) -> None:
        """A provider's Retry-After: no delivery on that credential before it is over."""
        until = self.monotonic() + seconds
        self._wait_until[profile.credential] = max(until, self._wait_until.get(profile.credential, 0.0))

    def waits_for(self, profile: ChannelProfile) -> float:
        """Seconds until the credential of ``profile`` may be used again; 0 where it may now."""
        return max(0.0, self._wait_until.get(profile.credential, 0.0) - self.monotonic())

    def rate_in(self, profile: ChannelProfile, rank: int) -> float:
        """Seconds until its rate allows a delivery of ``rank``; a fifth of every rate is kept for the top ranks."""
        if profile.rate is None:
            return 0.0
        now, posts, seconds = self.monotonic(), profile.rate.posts, profile.rate.seconds
        posted = self._posted.get(profile.credential, deque())
        while posted and posted[0] <= now - seconds:
            posted.popleft()
        most = posts if rank <= TOP_RANK else max(1, posts - max(1, posts // 5))
        return posted[len(posted) - most] + seconds - now if len(posted) >= most else 0.0

    def spares(self, profile: ChannelProfile) -> bool:
        """Whether what can wait may call its origin now: nothing is on its way there, and nobody told us to hold back."""
        idle = not self.closed and self._origin(profile.origin).under_way == 0
        return idle and self.waits_for(profile) <= 0

    def probe_in(self, profile: ChannelProfile) -> float:
        """Seconds until its origin, which does not answer, is tried again."""
        return self._origin(profile.origin).wait(self.monotonic())

    def _origin(self, name: str) -> Origin:
        origin = self._origins.get(name)
        if origin is None:
            origin = self._origins[name] = Origin(self.origin_slots, self.rng)
        return origin
