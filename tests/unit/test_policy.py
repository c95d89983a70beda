"""Who must release what: a machine may start where a playbook allows it, only people end."""

from __future__ import annotations

from itertools import product

import pytest
from house import playbook

from dispatcher.model.alert import Purpose
from dispatcher.model.cap import Severity
from dispatcher.model.playbook import Release
from dispatcher.model.source import person_of
from dispatcher.plan.policy import people_needed

# Persons needed, by the playbook's rule and by what is said.
NEEDED = {
    "automatic": {"alert": 0, "update": 0, "all_clear": 1, "false_alarm": 1, "page": 0, "retraction": 0, "farewell": 0},
    "one_person": {
        "alert": 1,
        "update": 1,
        "all_clear": 1,
        "false_alarm": 1,
        "page": 0,
        "retraction": 0,
        "farewell": 0,
    },
    "two_persons": {
        "alert": 2,
        "update": 2,
        "all_clear": 1,
        "false_alarm": 1,
        "page": 0,
        "retraction": 0,
        "farewell": 0,
    },
}
CASES = [(*case, override) for case in product(Release, Purpose) for override in (None, *Release)]


@pytest.mark.parametrize(("release", "purpose", "override"), CASES)
def test_people_needed(release: Release, purpose: Purpose, override: Release | None) -> None:
    """Every rule needs its number of people; an all-clear one fewer but never none, a false alarm one, a page none."""
    needed = people_needed(playbook(release=release), Severity.SEVERE, purpose, override)
    assert needed == NEEDED[override or release][purpose]


@pytest.mark.parametrize(("release", "severity", "override"), list(product(Release, Severity, (None, *Release))))
def test_no_machine_ends_anything(release: Release, severity: Severity, override: Release | None) -> None:
    """Whatever rule, severity and override: an end needs a person."""
    ends = [purpose for purpose in Purpose if purpose.ends]
    assert all(people_needed(playbook(release=release), severity, end, override) >= 1 for end in ends)


def test_the_rule_is_that_of_the_severity() -> None:
    """Where the rule goes by severity, the event's severity decides."""
    book = playbook(release={"extreme": "automatic", "severe": "one_person"})
    needed = {severity: people_needed(book, severity, Purpose.ALERT) for severity in Severity}
    assert list(needed.values()) == [0, 1, 2, 2, 2]


@pytest.mark.parametrize(
    ("source", "person"),
    [
        ("operator:anna", "anna"),
        ("control-room", None),
        ("Operator:anna", None),
        ("x-operator:anna", None),
        ("operator:", None),
    ],
)
def test_a_machine_is_nobody(source: str, person: str | None) -> None:
    """Only a source that is marked as a person's is one."""
    assert person_of(source) == person
