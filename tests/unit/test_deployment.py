"""Where an incident is: regions by id and AGS, and never more than was said."""

from __future__ import annotations

from typing import Any

import pytest
from house import REGIONS, deployment, playbook
from hypothesis import given
from hypothesis import strategies as st

from dispatcher.model.cap import Area, RegionId
from dispatcher.model.playbook import PlaybookId


@pytest.mark.parametrize(
    ("named", "found"),
    [
        (["leer"], ("leer",)),
        (["03457"], ("leer",)),
        (["03457013"], ("leer",)),  # a municipality inside the district
        (["aurich", "leer"], ("leer", "aurich")),  # configured order
        (["leer", "03457", "03457013"], ("leer",)),
        (["03402000", "aurich"], ("emden", "aurich")),
    ],
)
def test_regions_are_found(named: list[str], found: tuple[str, ...]) -> None:
    """A region is found by its id, its AGS, and the AGS of a municipality inside; each once, in configured order."""
    assert deployment().resolve(Area(regions=tuple(named))) == found


@pytest.mark.parametrize("named", [["atlantis"], ["leer", "atlantis"], ["034"], [""], ["Leer"], ["09162"]])
def test_one_unknown_region_makes_the_area_a_question(named: list[str]) -> None:
    """An area with even one region nobody knows is asked about, neither dropped nor widened."""
    assert deployment().resolve(Area(regions=tuple(named))) is None


def test_no_area_means_the_only_region() -> None:
    """Where there is just one region, an event that names none means it; with more it is a question."""
    assert deployment(regions=REGIONS[:1]).resolve(Area()) == ("leer",)
    assert deployment().resolve(Area()) is None


@pytest.mark.parametrize("shape", [{"point": [7.4, 53.2]}, {"unreadable": 3}, {"geometry": {"type": "Polygon"}}])
def test_a_shape_is_a_question(shape: dict[str, Any]) -> None:
    """A shape is asked about, even in a territory of a single region."""
    assert deployment(regions=REGIONS[:1]).resolve(Area(shape=shape)) is None


@given(st.lists(st.sampled_from(["leer", "emden", "aurich", "03457", "03402000", "x", "", "0"]), max_size=6))
def test_the_area_never_grows(named: list[str]) -> None:
    """Every region found is covered by something named, and everything named is in a region found."""
    found = deployment().resolve(Area(regions=tuple(named)))
    regions = [region for region in REGIONS if region.id in (found or ())]
    assert all(any(region.covers(name) for name in named) for region in regions)
    assert found is None or all(any(region.covers(name) for region in regions) for name in named)


def test_names_stand_in_configured_order() -> None:
    """The public reads the regions' names in the configured order, whatever order they were affected in."""
    wanted = (RegionId("aurich"), RegionId("leer"))
    assert deployment().region_names(wanted) == ("Landkreis Leer", "Landkreis Aurich")


def test_playbooks_and_staff_are_found() -> None:
    """A playbook is found by its id and None is the answer where it is not loaded; staff are the pagers."""
    where = deployment(playbook("amok"), playbook("fire"))
    assert where.playbook(PlaybookId("fire")) is where.playbooks[1]
    assert where.playbook(PlaybookId("flood")) is None
    assert [profile.id for profile in where.staff()] == ["duty-team"]
