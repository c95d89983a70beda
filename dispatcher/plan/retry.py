"""What happens after an attempt: outcome, policy, deadline and now in; next states and time out. Never a loop.

The window grows as tenacity's ``wait_exponential`` says; full jitter is drawn from the random that is handed in.
"""

from __future__ import annotations

import random
from dataclasses import dataclass
from datetime import datetime, timedelta

from tenacity import RetryCallState, Retrying, wait_exponential

from dispatcher.model.channel import ChannelProfile, InDoubt, Power
from dispatcher.model.delivery import Delivery, DeliveryState, Outcome, Reason, Result

_S = DeliveryState

URGENT_RANK = 3  # ends, pages, extreme and severe
BASE = 0.2
FIRST_PHASE = timedelta(seconds=30)
FIRST_CAP, URGENT_CAP, CAP = 0.9, 15.0, 60.0

BEYOND = "refused beyond the deadline"

_AT_ONCE = frozenset({Reason.NETWORK, Reason.DNS})


@dataclass(frozen=True, slots=True)
class Decision:
    """The states a delivery passes through now, the last one to stay in; ``due_at`` where it will be tried again."""

    path: tuple[DeliveryState, ...]
    reason: Reason | None = None
    due_at: datetime | None = None
    doubtful: bool = False
    note: str = ""

    @property
    def state(self) -> DeliveryState:
        """Where it ends up."""
        return self.path[-1]


def window(attempt: int, *, rank: int, age: timedelta) -> float:
    """Longest wait in seconds before the next try: grows with ``attempt``, capped by rank and age since release."""
    cap = CAP if rank > URGENT_RANK else FIRST_CAP if age < FIRST_PHASE else URGENT_CAP
    state = RetryCallState(Retrying(), None, (), {})
    state.attempt_number = max(1, attempt)
    return wait_exponential(multiplier=BASE, max=cap)(state)


def decide(
    delivery: Delivery, outcome: Outcome, profile: ChannelProfile, *, now: datetime, rng: random.Random, ended: bool
) -> Decision:
    """What becomes of a delivery in ``sending`` after ``outcome``; ``ended`` says that a later end forbids its text."""
    result, reason = outcome.result, outcome.reason
    if result is Result.NEVER_LEFT and not ended:  # the end that stopped it did not come to be
        return _due(now, delivery, outcome, (_S.QUEUED,))
    if result is Result.NEVER_LEFT:
        note = "caught by the fence, nothing left"
        return Decision((_S.SUPERSEDED,), Reason.CANCELLED, doubtful=delivery.doubtful, note=note)
    if result in (Result.ACCEPTED, Result.VISIBLE, Result.BY_HAND):
        return Decision((_S(result.value),), doubtful=delivery.doubtful and result is not Result.VISIBLE)
    if result is Result.IN_DOUBT:
        return _in_doubt(delivery, outcome, profile, now=now, rng=rng, ended=ended)
    if reason is Reason.DUPLICATE and delivery.doubtful:
        return Decision((_S.ACCEPTED,), note="the provider has this text already: the earlier attempt arrived")
    if result is Result.PERMANENT and reason is Reason.CANCELLED:
        return Decision((_S.QUEUED, _S.CANCELLED), reason, note=outcome.detail)
    if result is Result.PERMANENT:
        return Decision((_S.FAILED,), reason, doubtful=delivery.doubtful)
    if ended:
        return Decision((_S.QUEUED, _S.SUPERSEDED), reason, doubtful=delivery.doubtful, note="its incident has ended")
    return _again(delivery, outcome, now=now, rng=rng, path=(_S.QUEUED,))


def _in_doubt(
    delivery: Delivery, outcome: Outcome, profile: ChannelProfile, *, now: datetime, rng: random.Random, ended: bool
) -> Decision:
    """A doubt is decided at once and the decision has a reason; ends are resent until confirmed."""
    if ended:
        return Decision((_S.IN_DOUBT, _S.SUPERSEDED), outcome.reason, doubtful=True, note="its incident has ended")
    if profile.in_doubt is InDoubt.HOLD and delivery.rank > 0:
        return Decision((_S.IN_DOUBT,), outcome.reason, doubtful=True, note="held: the channel's policy asks a person")
    decision = _again(delivery, outcome, now=now, rng=rng, path=(_S.IN_DOUBT, _S.QUEUED))
    how = "the same key" if Power.KEY in profile.powers else "a look-up first" if Power.FIND in profile.powers else (
        "the repetition text")  # fmt: skip
    note = f"resend with {how}" if decision.state is _S.QUEUED else decision.note
    return Decision(decision.path, decision.reason, decision.due_at, doubtful=True, note=note)


def _again(
    delivery: Delivery, outcome: Outcome, *, now: datetime, rng: random.Random, path: tuple[DeliveryState, ...]
) -> Decision:
    """The next try, or the end where none is left before the deadline."""
    due = now + (outcome.retry_after if outcome.retry_after is not None else _wait(delivery, outcome, now, rng))
    return _due(due, delivery, outcome, path)


def _due(due: datetime, delivery: Delivery, outcome: Outcome, path: tuple[DeliveryState, ...]) -> Decision:
    deadline, doubtful = delivery.deadline_at, delivery.doubtful
    if deadline is None or due < deadline:
        return Decision(path, outcome.reason, due, doubtful=doubtful)
    if outcome.retry_after is not None:
        return Decision((*path, _S.FAILED), outcome.reason, doubtful=doubtful, note=BEYOND)
    return Decision((*path, _S.EXPIRED), Reason.EXPIRED, doubtful=doubtful, note=f"last: {outcome.reason}")


def _wait(delivery: Delivery, outcome: Outcome, now: datetime, rng: random.Random) -> timedelta:
    if delivery.attempts == 1 and outcome.reason in _AT_ONCE and outcome.result is Result.TEMPORARY:
        return timedelta(0)
    age = now - (delivery.released_at or now)
    return timedelta(seconds=rng.uniform(0, window(delivery.attempts, rank=delivery.rank, age=age)))
