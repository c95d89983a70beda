"""Permits and the fence: what a delivery needs before it may leave, and what an end forbids."""

from __future__ import annotations

import pytest
from house import channel, delivery

from dispatcher.model.delivery import IncidentId
from dispatcher.model.errors import Fenced
from dispatcher.permits import Fence, Grant, Permits

INCIDENT = IncidentId("i1")
WEBSITE = channel("website")


class Watch:
    """A monotonic clock that stands still until it is pushed."""

    time = 100.0

    def __call__(self) -> float:
        """The time it was pushed to, in seconds."""
        return self.time


def test_a_lane_carries_one_text_at_a_time() -> None:
    """A second text for the same incident and channel waits; another incident or channel does not."""
    permits, first = Permits(), delivery()
    assert permits.take(first, WEBSITE) is Grant.YES
    assert permits.take(delivery(alert="a2"), WEBSITE) is Grant.LANE
    assert permits.take(delivery(incident="i2"), WEBSITE) is Grant.YES
    assert permits.take(delivery(channel="other"), channel("other")) is Grant.YES
    permits.give_back(first)
    assert permits.take(delivery(alert="a2"), WEBSITE) is Grant.YES


def test_an_origin_has_so_many_slots() -> None:
    """An origin takes as many at once as it has slots; other origins are not touched by that."""
    permits = Permits(origin_slots=2)
    taken = [delivery(incident=str(number)) for number in range(3)]
    assert [permits.take(one, WEBSITE) for one in taken] == [Grant.YES, Grant.YES, Grant.ORIGIN]
    assert permits.take(delivery(channel="other"), channel("other")) is Grant.YES
    permits.give_back(taken[0])
    assert permits.take(taken[2], WEBSITE) is Grant.YES


def test_all_origins_together_have_so_many_slots() -> None:
    """However many origins there are, no more is on its way at once than the house allows."""
    permits = Permits(all_slots=2)
    names = ["a", "b", "c"]
    grants = [permits.take(delivery(channel=name), channel(name)) for name in names]
    assert grants == [Grant.YES, Grant.YES, Grant.ORIGIN]


def test_a_refusal_takes_nothing() -> None:
    """Who gets a no holds nothing: neither lane nor slot."""
    permits = Permits(origin_slots=1, monotonic=Watch())
    assert permits.take(delivery(incident="i0"), WEBSITE) is Grant.YES
    assert permits.take(delivery(), WEBSITE) is Grant.ORIGIN
    permits.give_back(delivery(incident="i0"))
    assert permits.take(delivery(), WEBSITE) is Grant.YES


def test_a_credential_waits_as_told() -> None:
    """A provider's demand holds every channel of that credential until it is over, and no other."""
    watch = Watch()
    permits = Permits(monotonic=watch)
    same, other = channel("same", credential="website"), channel("other")
    permits.hold(WEBSITE, 30)
    assert permits.waits_for(WEBSITE) == 30
    assert permits.take(delivery(channel="same"), same) is Grant.CREDENTIAL
    assert permits.take(delivery(channel="other"), other) is Grant.YES
    watch.time += 29
    assert permits.take(delivery(), WEBSITE) is Grant.CREDENTIAL
    watch.time += 1
    assert permits.waits_for(WEBSITE) == 0
    assert permits.take(delivery(), WEBSITE) is Grant.YES


def test_the_longer_demand_counts() -> None:
    """A shorter demand that comes later does not shorten the wait."""
    permits = Permits(monotonic=Watch())
    permits.hold(WEBSITE, 30)
    permits.hold(WEBSITE, 5)
    assert permits.waits_for(WEBSITE) == 30


def test_the_fence_stops_what_came_before() -> None:
    """A fence stops every text of its incident before its revision, not those after it nor of other incidents."""
    fence = Fence()
    fence.check(delivery())
    fence.put_up(INCIDENT, 3)
    assert [fence.stops(delivery(revision=revision)) for revision in (1, 2, 3, 4)] == [True, True, False, False]
    assert not fence.stops(delivery(incident="i2"))
    with pytest.raises(Fenced, match="a1:website"):
        fence.check(delivery(revision=2))
    fence.check(delivery(revision=3))


def test_a_fence_never_sinks() -> None:
    """An earlier end that is raised later does not let through what the later one stops."""
    fence = Fence()
    fence.put_up(INCIDENT, 5)
    fence.put_up(INCIDENT, 3)
    assert fence.stops(delivery(revision=4))


@pytest.mark.parametrize("earlier", [None, 2])
def test_what_did_not_come_to_be_is_put_back(earlier: int | None) -> None:
    """Where an end was not written after all the fence stands exactly as before."""
    fence = Fence()
    if earlier:
        fence.put_up(INCIDENT, earlier)
    before = fence.put_up(INCIDENT, 5)
    assert before == earlier
    fence.put_back(INCIDENT, before)
    assert [fence.stops(delivery(revision=revision)) for revision in (1, 2)] == [earlier is not None, False]


def test_closed_permits_are_granted_to_nobody() -> None:
    """Once they are closed nothing new may leave; what is on its way gives its permits back as ever."""
    permits = Permits()
    assert permits.take(delivery(), WEBSITE) is Grant.YES
    permits.close()
    assert permits.take(delivery(incident="i2"), WEBSITE) is Grant.ORIGIN
    permits.give_back(delivery())
    assert permits.take(delivery(), WEBSITE) is Grant.ORIGIN
