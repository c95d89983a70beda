"""People name officers who are at work on an incident that runs already: from then on their own accounts are silent."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from integration.own_accounts import TOKEN, Force, at_work, until
from integration.paper import QUIET
from playwright.async_api import async_playwright

from dispatcher.cli import main as command
from dispatcher.model.account import MAX_ASSIGNED
from dispatcher.wall.faults import Fault, FaultKind

BROKEN = Fault(kind=FaultKind.STATUS, status=503)
ASSIGN = "incidents/i1/assign"


@pytest.fixture
async def force(tmp_path: Path) -> AsyncIterator[Force]:
    """A daemon with its wall."""
    async with at_work(tmp_path) as found:
        yield found


async def waits(force: Force, officer: str) -> None:
    """An alert that cannot reach an officer's phone yet."""
    await force.share(officer)
    force.wall.faults.set(f"phone-of-{officer}", BROKEN)
    await force.alarm()
    await until(lambda: force.wall.board.requests[f"phone-of-{officer}"] > 1)


async def test_what_waits_for_those_named_is_taken_out(force: Force) -> None:
    """Named by a person, they are left out as if an event had named them; the answer and the log say so, by whom."""
    await force.share("2")
    await waits(force, "1")
    answer = await force.ask("POST", ASSIGN, {"officers": ["1", "9", "1"]})
    await force.quiet()
    assert (await force.states("1"), await force.states("2")) == (["superseded"], ["accepted"])
    channel = (await force.known())["1"].channel
    assert answer == {"incident": "i1", "assigned": 2, "left_out": [channel]}
    assert await force.facts("incident.assigned") == [{"ref": "i1", "officers": 2, "person": "anna"}]
    force.wall.faults.clear("phone-of-1")
    await force.alarm("2", msg_type="update")
    await force.quiet()
    assert (await force.states("1"), len(await force.deliveries("2"))) == (["superseded"], 2)


async def test_naming_again_changes_nothing(force: Force) -> None:
    """Who is named already is no news: the same answer and no second fact; only who is new is written down."""
    await force.alarm()
    first = await force.ask("POST", ASSIGN, {"officers": ["1"]})
    assert await force.ask("POST", ASSIGN, {"officers": ["1"]}) == first
    await force.alarm("2", msg_type="update", assigned=["1", "2"])
    assert (await force.ask("POST", ASSIGN, {"officers": ["2", "3"]}))["assigned"] == 3
    told = [(one["officers"], one["person"]) for one in await force.facts("incident.assigned")]
    assert told == [(1, "anna"), (2, ""), (1, "anna")]


async def test_of_a_held_alert_they_are_taken_out_as_well(force: Force) -> None:
    """What waits for release on their accounts does not go out with it."""
    await force.share("1")
    await force.alarm(sent=(datetime.now(UTC) - timedelta(hours=1)).isoformat())
    await force.become("1", "held")
    await force.ask("POST", ASSIGN, {"officers": ["1"]})
    [delivery] = await force.deliveries("1")
    assert delivery.detail == "its officer is assigned to the incident"
    [alert] = (await force.ask("GET", "alerts?state=held&incident=i1"))["alerts"]
    await force.ask("POST", f"alerts/{alert['id']}/release", {"digest": alert["digest"]})
    await force.quiet()
    assert (await force.states("1"), len(force.shown("website"))) == (["superseded"], 1)


async def test_a_joined_incident_is_named_at_home(force: Force) -> None:
    """Named on an incident that was joined into another, they are left out of the one that speaks."""
    await force.share("1")
    await force.alarm()
    await force.alarm("2", incident="i2")
    await force.ask("POST", "incidents/i2/join", {"into": "i1"})
    assert (await force.ask("POST", "incidents/i2/assign", {"officers": ["1"]}))["incident"] == "i1"
    await force.quiet()
    await force.alarm("3", msg_type="update")
    await force.quiet()
    assert await force.states("1") == ["accepted"]


@pytest.mark.parametrize(
    "officers", [[], ["Anna Muster"], ["*"], [4711], ["1"] * (MAX_ASSIGNED + 1), "1"],
    ids=["none", "a name", "everybody", "a number that is no text", "too many", "no list"],
)  # fmt: skip
async def test_numbers_have_to_be_in_order(officers: Any, force: Force) -> None:
    """What is no list of at most 5,000 service numbers is refused whole, and nobody is written down."""
    await force.alarm()
    await force.ask("POST", ASSIGN, {"officers": officers}, status=422)
    assert await force.facts("incident.assigned") == []


async def test_an_incident_that_is_none_has_nobody_at_work(force: Force) -> None:
    """An unknown incident is 404, and none is made by that."""
    await force.ask("POST", ASSIGN, {"officers": ["1"]}, status=404)
    await force.ask("GET", "incidents/i1", status=404)


async def test_the_command_names_them(force: Force, capsys: pytest.CaptureFixture[str]) -> None:
    """`dispatcher assign` is that request, with as many numbers as one likes."""
    await waits(force, "1")
    line = ["assign", "i1", "1", "2", "--url", force.service.url, "--token", TOKEN]
    with pytest.raises(SystemExit) as done:
        await asyncio.to_thread(command, line)
    assert (done.value.code, '"assigned": 2' in capsys.readouterr().out) == (0, True)
    await force.quiet()
    assert await force.states("1") == ["superseded"]


async def test_the_console_has_a_form_for_it(force: Force, need: Callable[[str], str]) -> None:
    """Where there are accounts, the incident's actions ask who is at work, and what waits for them is taken out."""
    chromium = need("chromium")
    await waits(force, "1")
    login = f"{force.service.url}/login?ticket={force.service.tickets.issue('anna', 'operator')}"
    async with async_playwright() as browsers:
        browser = await browsers.chromium.launch(executable_path=chromium, args=QUIET)
        page, errors = await browser.new_page(), list[str]()
        page.on("pageerror", lambda error: errors.append(str(error)))
        await page.goto(login)
        await page.locator("#assign").click()
        await page.locator("#ask-fields input").fill("1, 2\n 3")
        await page.locator("#ask-yes").click()
        await page.get_by_text("Im Einsatz: 3. Eigene Konten, die dazu schweigen: 1.").wait_for()
        await browser.close()
    await force.quiet()
    assert (errors, await force.states("1")) == ([], ["superseded"])
