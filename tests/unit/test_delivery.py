"""The states of a delivery: the table that code moves by, held against the table that people agreed on."""

from __future__ import annotations

from itertools import product

import pytest
from house import delivery

from dispatcher.model.delivery import (
    CARRIED,
    ENDED,
    ONLY_IF_NEVER_LEFT,
    OPENING,
    TRANSITIONS,
    UNTRIED,
    DeliveryState,
    Reason,
    Result,
    may_move,
)
from dispatcher.model.errors import IllegalTransition

# As it was agreed, word for word; (n) marks what is allowed only where nothing left.
AGREED = """
held: queued cancelled superseded
standby: queued cancelled expired superseded
queued: sending cancelled superseded expired failed
sending: accepted visible queued by_hand in_doubt failed cancelled(n) superseded(n) expired(n)
in_doubt: accepted visible queued failed expired superseded retracted
accepted: visible failed retracted
visible: retracted
by_hand: accepted failed cancelled expired superseded retracted
failed: queued
expired:
cancelled:
superseded:
retracted:
"""
TABLE = {name: words.split() for name, _, words in (line.partition(":") for line in AGREED.split("\n") if line)}
PAIRS = [
    pytest.param(old, new, never_left, id=f"{old}-{new}{'-never-left' if never_left else ''}")
    for old, new, never_left in product(DeliveryState, DeliveryState, (False, True))
]


def agreed(old: str, new: str, *, never_left: bool) -> bool:
    """What the text above says of a move."""
    return new in TABLE[old] or (never_left and f"{new}(n)" in TABLE[old])


def test_the_table_knows_every_state() -> None:
    """No state was forgotten: neither in the agreement nor in the code's table."""
    assert set(TABLE) == {str(state) for state in DeliveryState} == {str(state) for state in TRANSITIONS}


@pytest.mark.parametrize(("old", "new", "never_left"), PAIRS)
def test_every_move_is_as_agreed(old: DeliveryState, new: DeliveryState, *, never_left: bool) -> None:
    """A delivery moves exactly where the agreement lets it, and says so by an error everywhere else."""
    moving, allowed = delivery(old), agreed(old, new, never_left=never_left)
    assert may_move(old, new, never_left=never_left) is allowed
    if allowed:
        moved = moving.move(new, never_left=never_left, detail="why", reason=Reason.TIMEOUT)
        assert (moved.state, moved.detail, moved.reason, moved.id) == (new, "why", Reason.TIMEOUT, moving.id)
    else:
        with pytest.raises(IllegalTransition, match=f"a1:website: {old} may not become {new}"):
            moving.move(new, never_left=never_left)
    assert moving.state is old


def test_what_has_ended() -> None:
    """Exactly these states need nobody any more; only a failed one can be taken up again, by a person."""
    ended = {"accepted", "visible", "failed", "expired", "cancelled", "superseded", "retracted"}
    assert {str(state) for state in DeliveryState if state.ended} == ended == {str(state) for state in ENDED}
    last = {str(state) for state in DeliveryState if not TRANSITIONS[state]}
    assert last == {"expired", "cancelled", "superseded", "retracted"}


def test_named_sets_of_states() -> None:
    """A delivery may begin, have carried its text, or never have been tried, in just these states."""
    assert {str(state) for state in OPENING} == {"held", "standby", "queued", "sending", "by_hand", "cancelled"}
    assert {str(state) for state in CARRIED} == {"accepted", "visible"}
    assert {str(state) for state in UNTRIED} == {"held", "standby", "queued"}
    assert {str(state) for state in ONLY_IF_NEVER_LEFT} == {"cancelled", "superseded", "expired"}


def test_reasons_are_a_closed_list() -> None:
    """The reasons that people and metrics read are these fourteen and no others."""
    agreed_reasons = (
        "timeout network dns tls rate_limited server_error auth rejected too_long duplicate in_doubt expired cancelled "
        "internal"
    )
    assert [str(reason) for reason in Reason] == agreed_reasons.split()


def test_results_that_are_states_move_there() -> None:
    """What an attempt can come to as a state is a state that sending may become."""
    named = {DeliveryState(result) for result in Result if result in set(DeliveryState)}
    assert named == {DeliveryState.ACCEPTED, DeliveryState.VISIBLE, DeliveryState.BY_HAND, DeliveryState.IN_DOUBT}
    assert named <= TRANSITIONS[DeliveryState.SENDING]


def test_natural_keys() -> None:
    """A delivery is named by its alert and channel, and waits in the lane of its incident and channel."""
    assert delivery().id == "a1:website"
    assert delivery().lane == ("i1", "website")
