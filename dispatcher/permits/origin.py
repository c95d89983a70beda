"""One origin as its answers show it: how many may be on their way there, whether it answers at all, what retries may cost.

A breaker after failures in a row; it is tried with real deliveries, never with dummies. Times are monotonic seconds.
"""

from __future__ import annotations

import random
from collections import Counter, deque
from dataclasses import dataclass, field

from dispatcher.model.channel import ChannelId
from dispatcher.model.delivery import TOP_RANK, AlertId, Delivery

IN_A_ROW = 5  # failures that open the breaker, on more than one channel where the origin serves several
LOOKS_BACK = 20  # as do half of so many
MOST_SLOTS = 512
PROBE_FIRST, PROBE_PHASE, PROBE_MOST = 0.75, 30.0, 15.0
BYPASSES = 30  # first attempts that may try an open breaker, one for each alert
RETRIES = 50.0  # that a crowded origin may see in a row
RETRY_RETURNS, RETRY_EARNS, RETRY_PER_SECOND = 1.0, 0.1, 0.2


@dataclass(slots=True)
class Origin:
    """Slots grow with every answer and fall back to ``first`` when nothing is on its way or the breaker opens.

    A quarter of them is kept for the top ranks, and where several channels share the origin no one has more than a quarter.
    """

    first: int
    rng: random.Random
    slots: int = 0
    busy: Counter[ChannelId] = field(default_factory=Counter)
    under_way: int = 0
    _latest: deque[ChannelId | None] = field(default_factory=lambda: deque(maxlen=LOOKS_BACK))  # whose attempts failed
    _opened_at: float | None = None
    _probe_at: float = 0.0
    _probe_wait: float = PROBE_FIRST
    _bypassed: set[AlertId] = field(default_factory=set)
    _budget: float = RETRIES
    _budget_at: float = 0.0

    def __post_init__(self) -> None:
        """Begin with the first slots."""
        self.slots = self.first

    @property
    def down(self) -> bool:
        """Whether the breaker is open: it has stopped answering."""
        return self._opened_at is not None

    def has_room(self, rank: int, channel: ChannelId | None = None) -> bool:
        """Whether a slot is free for ``rank``: of all, or of the quarter that one ``channel`` may have."""
        slots = self.slots if channel is None else max(1, self.slots // 4)
        busy = self.under_way if channel is None else self.busy[channel]
        return busy < (slots if rank <= TOP_RANK else slots - slots // 4)

    def answers(self, delivery: Delivery, now: float) -> bool:
        """Whether an attempt makes sense: the breaker is closed, its next probe is due, or an alert is new to it."""
        if not self.down:
            return True
        if now >= self._probe_at:
            return True
        return not delivery.attempts and delivery.alert not in self._bypassed and len(self._bypassed) < BYPASSES

    def affords(self, delivery: Delivery, now: float) -> bool:
        """Whether the budget allows this retry; ends and first attempts cost nothing, nor does the probe of a breaker."""
        if not delivery.attempts or delivery.rank == 0 or self.down:
            return True
        self._budget = min(RETRIES, self._budget + (now - self._budget_at) * RETRY_PER_SECOND)
        self._budget_at = now
        return self._budget >= 1

    def take(self, delivery: Delivery, now: float) -> None:
        """Count ``delivery`` as on its way."""
        self.busy[delivery.channel] += 1
        self.under_way += 1
        self._budget += -1 if delivery.attempts else RETRY_EARNS
        if self.down and now >= self._probe_at:
            self._next_probe(now)
        elif self.down:
            self._bypassed.add(delivery.alert)

    def give_back(self, channel: ChannelId) -> None:
        """It is not on its way any more."""
        self.busy[channel] -= 1
        self.under_way -= 1
        if self.under_way == 0:
            self.slots = self.first

    def answered(self) -> bool:
        """An attempt got an answer, whatever it said; True where that closes the breaker."""
        was_down = self.down
        if was_down:
            self._opened_at = None
            self._latest.clear()
        self._latest.append(None)
        self.slots = min(MOST_SLOTS, self.slots + 1)
        self._budget = min(RETRIES, self._budget + RETRY_RETURNS)
        return was_down

    def failed(self, channel: ChannelId, now: float, *, shared: bool) -> bool:
        """An attempt got no answer, or one that says the service is broken; True where that opens the breaker."""
        self._latest.append(channel)
        if self.down or not self._hopeless(shared=shared):
            return False
        self._opened_at, self._probe_wait, self.slots = now, PROBE_FIRST, self.first
        self._bypassed.clear()
        self._next_probe(now)
        return True

    def _hopeless(self, *, shared: bool) -> bool:
        """One broken account says nothing about the others that share its origin."""
        row = list(self._latest)[-IN_A_ROW:]
        failed = [channel for channel in self._latest if channel is not None]
        in_a_row = len(row) == IN_A_ROW and None not in row
        half = len(self._latest) == LOOKS_BACK and 2 * len(failed) >= LOOKS_BACK
        return (in_a_row or half) and (not shared or len(set(row if in_a_row else failed)) > 1)

    def wait(self, now: float) -> float:
        """Seconds until the next probe of an open breaker."""
        return max(0.0, self._probe_at - now)

    def _next_probe(self, now: float) -> None:
        if self._opened_at is not None and now - self._opened_at >= PROBE_PHASE:
            self._probe_wait = min(PROBE_MOST, 2 * self._probe_wait)
        self._probe_at = now + self._probe_wait * self.rng.uniform(0.8, 1.0)
