"""What happens after an attempt: when it is tried again, when it ends, and what is done in doubt."""

from __future__ import annotations

import random
from datetime import timedelta
from typing import Any

import pytest
from house import DOUBT, NOW, PERMANENT, TEMPORARY, channel, delivery, moment
from hypothesis import given
from hypothesis import strategies as st

from dispatcher.model.channel import InDoubt, Power
from dispatcher.model.delivery import DeliveryState, Outcome, Reason, Result, may_move
from dispatcher.plan.retry import Decision, decide, window

S = DeliveryState
CAUGHT = Outcome(result=Result.NEVER_LEFT, reason=Reason.CANCELLED)


class Loaded(random.Random):
    """A random that is not: it draws the given fraction of every range and notes the ranges."""

    def __init__(self, fraction: float = 1.0) -> None:
        """``fraction`` 0 draws the beginning, 1 the end."""
        super().__init__(0)
        self.fraction, self.ranges = fraction, list[tuple[float, float]]()

    def uniform(self, a: float, b: float) -> float:
        """The given fraction of the way from ``a`` to ``b``."""
        self.ranges.append((a, b))
        return a + (b - a) * self.fraction


def decided(
    outcome: Outcome = TEMPORARY, *, after: float = 0, rng: random.Random | None = None, ended: bool = False,
    powers: frozenset[Power] = frozenset(), in_doubt: InDoubt = InDoubt.RESEND, **changes: Any,
) -> Decision:  # fmt: skip
    """What becomes of the usual delivery, ``after`` so many minutes."""
    profile = channel("website", powers=powers, in_doubt=in_doubt)
    return decide(delivery(**changes), outcome, profile, now=moment(after), rng=rng or Loaded(), ended=ended)


def wait(decision: Decision, after: float = 0) -> float:
    """Seconds until it is tried again."""
    assert decision.due_at is not None
    return (decision.due_at - moment(after)).total_seconds()


@pytest.mark.parametrize(
    ("rank", "age", "expected"),
    [
        (0, 0, [0.2, 0.4, 0.8, 0.9, 0.9]),
        (2, 29.9, [0.2, 0.4, 0.8, 0.9, 0.9]),
        (3, 30, [0.2, 0.4, 0.8, 1.6, 3.2, 6.4, 12.8, 15, 15]),
        (4, 0, [0.2, 0.4, 0.8, 1.6, 3.2, 6.4, 12.8, 25.6, 51.2, 60, 60]),
        (6, 3_600, [0.2, 0.4, 0.8, 1.6, 3.2, 6.4, 12.8, 25.6, 51.2, 60, 60]),
    ],
)
def test_the_window_doubles_up_to_its_cap(rank: int, age: float, expected: list[float]) -> None:
    """From 0.2 s it doubles: to 0.9 s in an urgent text's first half minute, then to 15 s; otherwise to 60 s."""
    found = [window(n, rank=rank, age=timedelta(seconds=age)) for n in range(1, len(expected) + 1)]
    assert found == pytest.approx(expected)


@given(st.integers(0, 10**6), st.integers(0, 6), st.integers(0, 10**5))
def test_the_window_has_bounds(attempt: int, rank: int, age: int) -> None:
    """However often it was tried, the window stays between 0.2 s and its cap."""
    assert 0.2 <= window(attempt, rank=rank, age=timedelta(seconds=age)) <= (60 if rank > 3 else 15)


@pytest.mark.parametrize("fraction", [0.0, 0.25, 1.0])
def test_jitter_is_full(fraction: float) -> None:
    """The wait is drawn from the whole window by the random that was handed in."""
    rng = Loaded(fraction)
    decision = decided(attempts=3, rng=rng)
    assert rng.ranges == [(0, pytest.approx(0.8))]
    assert (decision.path, wait(decision)) == ((S.QUEUED,), pytest.approx(0.8 * fraction))


def test_the_first_half_minute_is_counted_from_the_release() -> None:
    """Retries become rarer by the time since release, not by the age of the alert."""
    early, late = decided(attempts=9, after=0.4), decided(attempts=9, after=0.6)
    assert (wait(early, 0.4), wait(late, 0.6)) == (pytest.approx(0.9), pytest.approx(15))


@pytest.mark.parametrize("reason", Reason)
def test_a_refused_connection_is_tried_again_at_once_and_once(reason: Reason) -> None:
    """The first retry where no connection came about does not wait; the second does, and all others always do."""
    failed = Outcome(result=Result.TEMPORARY, reason=reason)
    first, second = decided(failed, attempts=1), decided(failed, attempts=2)
    assert (wait(first) == 0) is (reason in {Reason.NETWORK, Reason.DNS})
    assert wait(second) == pytest.approx(0.4)


def test_a_connection_lost_in_doubt_is_not_tried_at_once() -> None:
    """A connection that broke after bytes had left is a doubt and waits as others do."""
    lost = Outcome(result=Result.IN_DOUBT, reason=Reason.NETWORK)
    assert wait(decided(lost)) == pytest.approx(0.2)


@pytest.mark.parametrize("seconds", [0, 7, 1_199])
def test_a_providers_demand_is_obeyed(seconds: int) -> None:
    """Retry-After before the deadline is waited for exactly, whatever the window says."""
    held = Outcome(result=Result.TEMPORARY, reason=Reason.RATE_LIMITED, retry_after=timedelta(seconds=seconds))
    assert wait(decided(held, attempts=4)) == seconds


@pytest.mark.parametrize("seconds", [1_200, 86_400])
def test_a_demand_beyond_the_deadline_fails_at_once(seconds: int) -> None:
    """Where the provider wants it later than is of use, it fails now, with the reason."""
    held = Outcome(result=Result.TEMPORARY, reason=Reason.RATE_LIMITED, retry_after=timedelta(seconds=seconds))
    decision = decided(held)
    assert (decision.path, decision.reason) == ((S.QUEUED, S.FAILED), Reason.RATE_LIMITED)
    assert decision.due_at is None
    assert "deadline" in decision.note


def test_the_deadline_ends_it() -> None:
    """A next try that would not come before the deadline is none: it expires and says what it failed of last."""
    decision = decided(after=20)
    assert (decision.path, decision.reason) == ((S.QUEUED, S.EXPIRED), Reason.EXPIRED)
    assert decision.note == "last: server_error"
    assert decided(after=19.99, rng=Loaded(0)).state is S.QUEUED
    assert decided(after=20, deadline_at=None).state is S.QUEUED


@pytest.mark.parametrize(
    ("result", "state"), [(Result.ACCEPTED, S.ACCEPTED), (Result.VISIBLE, S.VISIBLE), (Result.BY_HAND, S.BY_HAND)]
)
@pytest.mark.parametrize("ended", [False, True])
def test_what_succeeded_stays_so(result: Result, state: DeliveryState, *, ended: bool) -> None:
    """What a provider took is what it is, even where its incident has ended meanwhile or its time is over."""
    decision = decided(Outcome(result=result), ended=ended, after=60)
    assert (decision.path, decision.reason, decision.doubtful) == ((state,), None, False)


@pytest.mark.parametrize(("result", "kept"), [(Result.ACCEPTED, True), (Result.VISIBLE, False), (Result.BY_HAND, True)])
def test_the_mark_of_doubt_stays_until_it_is_read_back(result: Result, *, kept: bool) -> None:
    """After a doubt even an accepted repetition keeps the mark; only what was read back loses it."""
    assert decided(Outcome(result=result), doubtful=True).doubtful is kept


def test_what_is_useless_fails() -> None:
    """What no other try would change fails with its reason and keeps its mark of doubt."""
    assert decided(PERMANENT).path == (S.FAILED,)
    assert decided(PERMANENT).reason is Reason.REJECTED
    assert decided(PERMANENT, doubtful=True).doubtful


@pytest.mark.parametrize("result", [Result.PERMANENT, Result.TEMPORARY])
def test_a_duplicate_after_a_doubt_is_success(result: Result) -> None:
    """After a doubt, a provider that says it has this text already took the earlier attempt."""
    double = Outcome(result=result, reason=Reason.DUPLICATE)
    assert decided(double, doubtful=True).path == (S.ACCEPTED,)
    assert decided(double, doubtful=False).path == ((S.FAILED,) if result is Result.PERMANENT else (S.QUEUED,))


@pytest.mark.parametrize(
    ("powers", "note"),
    [
        (set(), "resend with the repetition text"),
        ({Power.FIND}, "resend with a look-up first"),
        ({Power.KEY}, "resend with the same key"),
        ({Power.KEY, Power.FIND}, "resend with the same key"),
    ],
)
def test_a_doubt_is_decided_by_what_the_channel_can_do(powers: set[Power], note: str) -> None:
    """In doubt it is sent again: with its key where that is safe, after a look-up, or saying that it repeats."""
    decision = decided(DOUBT, powers=frozenset(powers))
    assert (decision.path, decision.reason, decision.note) == ((S.IN_DOUBT, S.QUEUED), Reason.TIMEOUT, note)
    assert decision.doubtful


def test_a_doubt_is_held_where_the_channel_says_so() -> None:
    """A channel that must not repeat by itself waits for a person."""
    decision = decided(DOUBT, in_doubt=InDoubt.HOLD)
    assert (decision.path, decision.due_at, decision.doubtful) == ((S.IN_DOUBT,), None, True)
    assert "person" in decision.note


def test_ends_are_sent_again_until_confirmed() -> None:
    """An end in doubt goes out again even where the channel's policy is to hold."""
    assert decided(DOUBT, in_doubt=InDoubt.HOLD, rank=0).path == (S.IN_DOUBT, S.QUEUED)


def test_a_doubt_at_the_deadline_expires_marked() -> None:
    """Where no time is left to resolve a doubt it expires and keeps the mark that it may have been sent."""
    decision = decided(DOUBT, after=20)
    assert (decision.path, decision.doubtful) == ((S.IN_DOUBT, S.QUEUED, S.EXPIRED), True)


def test_nothing_is_tried_again_after_the_end() -> None:
    """Once its incident has ended an earlier text is superseded instead of tried again, in doubt or not."""
    assert decided(TEMPORARY, ended=True).path == (S.QUEUED, S.SUPERSEDED)
    doubtful = decided(DOUBT, ended=True)
    assert (doubtful.path, doubtful.doubtful) == ((S.IN_DOUBT, S.SUPERSEDED), True)


def test_what_the_fence_caught_is_superseded() -> None:
    """An attempt that never left because of an end is superseded and was not sent."""
    decision = decided(CAUGHT, ended=True)
    assert (decision.path, decision.reason, decision.doubtful) == ((S.SUPERSEDED,), Reason.CANCELLED, False)


def test_without_an_end_the_fence_costs_nothing() -> None:
    """An attempt that never left because of an end that did not come to be is made again at once."""
    decision = decided(CAUGHT)
    assert (decision.path, wait(decision), decision.doubtful) == ((S.QUEUED,), 0, False)


def test_the_fence_does_not_forget_an_earlier_doubt() -> None:
    """A repetition that never left does not undo the doubt about the attempt before it, whatever became of the end."""
    assert all(decided(CAUGHT, ended=ended, doubtful=True).doubtful for ended in (False, True))


OUTCOMES = st.builds(
    Outcome, result=st.sampled_from(Result), reason=st.sampled_from([None, *Reason]),
    retry_after=st.none() | st.timedeltas(timedelta(0), timedelta(hours=2)),
)  # fmt: skip
DELIVERIES = st.builds(
    delivery, attempts=st.integers(1, 200), rank=st.integers(0, 6), doubtful=st.booleans(),
    deadline_at=st.none() | st.integers(-5, 40).map(moment), released_at=st.none() | st.integers(-20, 1).map(moment),
)  # fmt: skip
PROFILES = st.builds(
    channel, st.just("website"), powers=st.frozensets(st.sampled_from(Power)), in_doubt=st.sampled_from(InDoubt)
)


@given(DELIVERIES, OUTCOMES, PROFILES, st.randoms(use_true_random=False), st.booleans())
def test_every_decision_is_legal(found: Any, outcome: Outcome, profile: Any, rng: random.Random, ended: bool) -> None:
    """Every decision walks the table of states, and a next try is never in the past nor after the deadline."""
    decision = decide(found, outcome, profile, now=NOW, rng=rng, ended=ended)
    states = (S.SENDING, *decision.path)
    never_left = outcome.result is Result.NEVER_LEFT
    assert all(may_move(a, b, never_left=never_left) for a, b in zip(states, decision.path, strict=False))
    assert (decision.due_at is not None) is (decision.state is S.QUEUED)
    if decision.due_at is not None:
        assert decision.due_at >= NOW
        assert found.deadline_at is None or decision.due_at < found.deadline_at
    assert not (ended and decision.state is S.QUEUED)
    assert decision.state.ended or decision.state in {S.QUEUED, S.BY_HAND, S.IN_DOUBT}
