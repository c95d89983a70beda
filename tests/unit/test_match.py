"""Which playbooks an alert calls, and the reason of every yes and no."""

from __future__ import annotations

from typing import Any

import pytest
from house import REGIONS, deployment, event, playbook

from dispatcher.model.cap import RegionId
from dispatcher.model.incident import IncidentEvent
from dispatcher.model.playbook import Playbook
from dispatcher.plan.match import MOST_ANSWERS, Verdict, asked, match, speaking


def verdict(rule: dict[str, Any], source: str = "control-room", where: str = "leer", **changes: Any) -> Verdict:
    """What a playbook with this rule answers to the usual event in ``where``."""
    book = playbook(match={"kind": ["amok", "shooting"], **rule})
    (found,) = match(event(source, **changes), [book], [RegionId(where)], REGIONS)
    return found


@pytest.mark.parametrize(
    ("rule", "changes", "reason"),
    [
        ({}, {}, "kind amok, severity not said"),
        ({}, {"kind": "SHOOTING"}, "kind shooting, severity not said"),
        ({"severity": {"at_least": "severe"}}, {"severity": "severe"}, "kind amok, severity severe"),
        ({"severity": {"at_least": "severe"}}, {"severity": "extreme"}, "kind amok, severity extreme"),
        ({"severity": {"at_least": "extreme"}}, {"severity": "unknown"}, "kind amok, severity unknown"),
        ({"severity": {"at_least": "extreme"}}, {}, "kind amok, severity not said"),
        ({"severity": {"at_least": "extreme"}}, {"severity": "dreadful"}, "kind amok, severity not said"),
        ({"source": ["control-room", "fire-brigade"]}, {}, "kind amok, severity not said"),
        ({"regions": ["leer"]}, {}, "kind amok, severity not said"),
        ({"regions": ["03457"]}, {}, "kind amok, severity not said"),
        ({"regions": ["emden", "03457013"]}, {}, "kind amok, severity not said"),
    ],
)
def test_a_yes_says_why(rule: dict[str, Any], changes: dict[str, Any], reason: str) -> None:
    """Where all rules hold the playbook is called; unknown and unsaid severity hold every severity rule."""
    found = verdict(rule, **changes)
    assert (found.matched, found.reason) == (True, reason)
    assert str(found) == f"amok: yes, {reason}"


@pytest.mark.parametrize(
    ("rule", "changes", "reason"),
    [
        ({}, {"kind": "fire"}, "kind fire is none of amok, shooting"),
        (
            {"severity": {"at_least": "severe"}},
            {"severity": "moderate"},
            "severity moderate is below severe",
        ),
        ({"source": ["fire-brigade"]}, {}, "source control-room is none of fire-brigade"),
        ({"regions": ["emden", "03452"]}, {}, "none of the regions emden, 03452 is affected"),
        (
            {"source": ["fire-brigade"], "regions": ["emden"]},
            {"kind": "fire"},
            (
                "kind fire is none of amok, shooting; source control-room is none of fire-brigade; "
                "none of the regions emden is affected"
            ),
        ),
    ],
)
def test_a_no_names_every_rule_that_fails(rule: dict[str, Any], changes: dict[str, Any], reason: str) -> None:
    """Where rules fail the playbook is silent, and each of them is named."""
    found = verdict(rule, **changes)
    assert (found.matched, found.reason) == (False, reason)
    assert str(found) == f"amok: no, {reason}"


def test_what_an_operator_names_speaks() -> None:
    """A person names playbooks whatever their rules say, and no other speaks."""
    books = [playbook("amok"), playbook("fire", match={"kind": ["fire"], "regions": ["emden"]})]
    found = match(event("operator:anna", playbooks=["fire"]), books, [RegionId("leer")], REGIONS)
    assert [str(one) for one in found] == ["amok: no, not named by the operator", "fire: yes, named by the operator"]


def test_a_machine_names_no_playbook() -> None:
    """A machine that names playbooks is judged by the rules like any other."""
    books = [playbook("amok"), playbook("fire")]
    found = match(event(playbooks=["fire"]), books, [RegionId("leer")], REGIONS)
    assert [one.matched for one in found] == [True, False]


def test_of_many_playbooks_only_those_concerned_answer() -> None:
    """Beyond fifty, a playbook for another kind is no line in the journal; those for this kind answer, yes or no, as do those named."""
    others = [playbook(f"other-{number}", match={"kind": [f"other-{number}"]}) for number in range(MOST_ANSWERS)]
    books = [*others, playbook("amok"), playbook("far", match={"kind": ["amok"], "regions": ["emden"]})]

    def answers(event: IncidentEvent, books: list[Playbook]) -> list[tuple[str, bool]]:
        found = asked(event, deployment(*books))
        return [(str(one.playbook), one.matched) for one in match(event, found, [RegionId("leer")], REGIONS)]

    assert answers(event(), books) == [("amok", True), ("far", False)]
    assert answers(event("operator:anna", playbooks=["other-7"]), books) == [("other-7", True)]
    assert answers(event(kind="flood"), books) == []
    assert len(answers(event(), others)) == MOST_ANSWERS


def test_the_first_by_priority_speaks() -> None:
    """Of the playbooks called, the lowest priority number speaks, then the first by name; others are covered."""
    books: list[Playbook] = [
        playbook(name, priority=number, match={"kind": ["amok"]})
        for name, number in (("d", 2), ("b", 1), ("a", 2), ("c", 1), ("e", 1))
    ]
    books[-1] = playbook("e", match={"kind": ["fire"]})
    verdicts = match(event(), books, [RegionId("leer")], REGIONS)
    assert [book.id for book in speaking(verdicts, books)] == ["b", "c", "a", "d"]
