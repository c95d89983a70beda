"""The contract can fail: kinds that are wrong on purpose are found out by the very same cases and checks."""

from __future__ import annotations

import pytest
from contract import broken, checks
from contract.cases import CASES, Case
from contract.kit import TOKEN, Kit

KIT = Kit(settings=lambda base: {"url": base, "credential": TOKEN}, good={"id": "1"})
CASE = {case.name: case for case in CASES}


async def _caught(make: type[broken.BrokenChannel], case: Case) -> set[str]:
    """Names of the checks that go red for this broken kind in this case."""
    seen = await checks.run(broken.BrokenKind(make), KIT, case)
    red = set()
    for check in checks.CHECKS:
        try:
            check(KIT, case, seen)
        except AssertionError:
            red.add(check.__name__)
    return red


@pytest.mark.parametrize("case", [c for c in CASES if not 200 <= c.status < 300], ids=lambda c: c.name)
async def test_believing_any_answer_is_found_out(case: Case) -> None:
    """A kind that reports acceptance whatever came back fails in every case without a success."""
    assert {"lands_in_its_class", "never_accepts_a_refusal"} <= await _caught(broken.Believer, case)


@pytest.mark.parametrize(
    ("make", "case", "check"),
    [
        (broken.Believer, "200 login page", "lands_in_its_class"),
        (broken.Thrower, "no answer", "lands_in_its_class"),
        (broken.Thrower, "connection refused", "lands_in_its_class"),
        (broken.Gossip, "400", "keeps_the_secret"),
        (broken.Insister, "400", "leaves_once_or_not_at_all"),
        (broken.Gossip, "429 with seconds", "waits_as_told"),
    ],
)
async def test_each_mistake_is_found_by_its_check(make: type[broken.BrokenChannel], case: str, check: str) -> None:
    """Every check of the contract has a mistake that turns it red."""
    assert check in await _caught(make, CASE[case])
