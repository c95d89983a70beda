"""The vocabulary of CAP 1.2 as this house takes it."""

from __future__ import annotations

from itertools import pairwise

import pytest
from house import REGIONS

from dispatcher.model.alert import Purpose
from dispatcher.model.cap import Area, Certainty, MsgType, Realm, Region, RegionId, Severity, Status, Urgency


@pytest.mark.parametrize(
    ("words", "expected"),
    [
        (MsgType, "alert update cancel"),
        (Status, "actual exercise test"),
        (Severity, "extreme severe moderate minor unknown"),
        (Urgency, "immediate expected future past unknown"),
        (Certainty, "observed likely possible unlikely unknown"),
    ],
)
def test_words_are_those_of_cap(words: type[Severity], expected: str) -> None:
    """The words of CAP 1.2 are all there, in its order and in small letters."""
    assert [str(word) for word in words] == expected.split()


@pytest.mark.parametrize(
    ("realm", "taken"), [(Realm.LIVE, {Status.ACTUAL}), (Realm.EXERCISE, {Status.EXERCISE, Status.TEST})]
)
def test_a_realm_takes_only_its_own(realm: Realm, taken: set[Status]) -> None:
    """A live daemon takes only what is meant, an exercise daemon only what is not."""
    assert {status for status in Status if realm.takes(status)} == taken


def test_severity_is_ordered() -> None:
    """Extreme is worst; each severity is at least itself and what is milder."""
    known = [severity for severity in Severity if severity is not Severity.UNKNOWN]
    assert [severity.rank for severity in known] == [0, 1, 2, 3]
    for worse, milder in pairwise(known):
        assert worse.at_least(milder)
        assert worse.at_least(worse)
        assert not milder.at_least(worse)


def test_unknown_severity_counts_as_bad_as_it_can_be() -> None:
    """An event whose severity nobody knows is never held back by a severity rule."""
    assert all(Severity.UNKNOWN.at_least(severity) for severity in Severity)


@pytest.mark.parametrize(
    ("named", "covered"),
    [
        ("leer", True),
        ("03457", True),
        ("03457013", True),  # a municipality inside the district
        ("0345", False),
        ("03402", False),
        ("03457x", False),
        ("", False),
        ("Leer", False),
    ],
)
def test_a_region_covers_itself_and_what_lies_inside(named: str, *, covered: bool) -> None:
    """A region answers to its id, its AGS and every longer AGS that begins with it, and to nothing else."""
    assert REGIONS[0].covers(named) is covered


def test_a_region_without_ags_covers_only_its_id() -> None:
    """A region that has no AGS takes in no number."""
    region = Region(RegionId("harbour"), "Hafen")
    assert region.covers("harbour")
    assert not region.covers("03457")


def test_no_area_is_false() -> None:
    """Only an event that named nothing at all has no area."""
    assert not Area()
    assert Area(regions=("leer",))
    assert Area(shape={"point": [7.4, 53.2]})


@pytest.mark.parametrize(
    ("purpose", "msg_type", "ends"),
    [
        (Purpose.ALERT, MsgType.ALERT, False),
        (Purpose.UPDATE, MsgType.UPDATE, False),
        (Purpose.ALL_CLEAR, MsgType.CANCEL, True),
        (Purpose.FALSE_ALARM, MsgType.CANCEL, True),
        (Purpose.PAGE, MsgType.ALERT, False),
    ],
)
def test_purposes_in_cap(purpose: Purpose, msg_type: MsgType, *, ends: bool) -> None:
    """All-clear and false alarm are the ends, published as Cancel; everything else is Alert or Update."""
    assert (purpose.msg_type, purpose.ends) == (msg_type, ends)
