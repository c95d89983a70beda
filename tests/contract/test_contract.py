"""One suite over every kind that is found: whatever a provider does, its channel says the right thing about it."""

from __future__ import annotations

import logging

import pytest
from contract.bridge_cases import BRIDGE_CASES
from contract.cases import CASES, UNPROVED, Case
from contract.checks import CHECKS, keeps_the_secret, posts_nothing_before_its_time, run
from contract.kit import CANARY, SECRET, kit_of, names_of
from contract.mqtt_cases import MQTT_CASES
from contract.smtp_cases import SMTP_CASES

from dispatcher.channels.base import kinds
from dispatcher.channels.http import HttpClient
from dispatcher.model.delivery import Outcome

TABLES = {"http": CASES, "smtp": SMTP_CASES, "mqtt": MQTT_CASES, "bridge": BRIDGE_CASES}
CALLING = [name for kind in kinds() for name in names_of(kind) if kit_of(name).calls]
MEETINGS = [(kind, case) for kind in CALLING for case in TABLES[kit_of(kind).speaks]]
STEPS = [(kind, step) for kind in CALLING for step in range(len(kit_of(kind).before))]


@pytest.mark.parametrize(("kind", "case"), MEETINGS, ids=[f"{kind}-{c.name.replace(' ', '-')}" for kind, c in MEETINGS])
async def test_every_answer_lands_in_its_class(
    kind: str,
    case: Case,
    caplog: pytest.LogCaptureFixture,
    capfd: pytest.CaptureFixture[str],
    record_property,
) -> None:
    """A kind makes of an answer what is documented, leaves once or not at all, and tells no secret anywhere."""
    caplog.set_level(logging.DEBUG)
    kit = kit_of(kind)
    seen = await run(kind, kit, case)
    said = seen.outcome
    cell = f"{said.result}/{said.reason or '-'}" if isinstance(said, Outcome) else repr(seen.error)
    record_property("contract", (kind, case.name, cell))
    for check in CHECKS:
        check(kit, case, seen)
    printed = "".join(capfd.readouterr()) + caplog.text
    assert CANARY not in printed
    assert SECRET not in printed


@pytest.mark.parametrize(("kind", "step"), STEPS)
@pytest.mark.parametrize(
    "case", [case for case in CASES if not 200 <= case.status < 300 or case.expected == UNPROVED], ids=lambda c: c.name
)
async def test_what_fails_before_the_post_is_never_in_doubt(kind: str, step: int, case: Case) -> None:
    """A kind that takes several requests has posted nothing until the last one, and knows it."""
    seen = await run(kind, kit_of(kind), case, step)
    posts_nothing_before_its_time(case, step, seen)
    keeps_the_secret(kit_of(kind), case, seen)


@pytest.mark.parametrize("case", CASES, ids=lambda c: c.name)
async def test_aiohttp_makes_the_same_of_it(case: Case) -> None:
    """The client that can be taken instead of ours meets every case as well, and comes to the same."""
    kit = kit_of("webhook")
    seen = await run("webhook", kit, case, client=HttpClient.AIOHTTP)
    for check in CHECKS:
        check(kit, case, seen)


def test_no_kind_and_no_case_is_left_out(request: pytest.FixtureRequest) -> None:
    """Every kind in the folder that calls a provider meets every case, and a deviation names a case that exists."""
    items = [i for i in request.session.items if i.name.startswith("test_every_answer_lands_in_its_class[")]
    met = {(item.callspec.params["kind"], item.callspec.params["case"].name) for item in items}
    tables = {kind: [case.name for case in TABLES[kit_of(kind).speaks]] for kind in CALLING}
    assert all(len(set(names)) == len(names) >= 40 for names in tables.values())
    assert met == {(kind, name) for kind, names in tables.items() for name in names}
    named = {(kind, name) for kind in CALLING for name in kit_of(kind).deviations}
    assert named <= met
