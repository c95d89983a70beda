"""Rights over HTTP: a person with regions speaks in those alone, anybody ends anything, the widest alert needs two."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import pytest
from integration.console_kit import SOURCE_TOKEN, WEBSITE, Room, control_room, deployment, event
from integration.paper import QUIET
from playwright.async_api import async_playwright

from dispatcher.journal.accounts import assigned
from dispatcher.model.cap import Realm, RegionId
from dispatcher.model.delivery import IncidentId
from dispatcher.model.deployment import Level
from dispatcher.model.people import Person, Roster
from dispatcher.plan.pages import Deed, Offer

A, B = "operator-token", "second-token"  # A speaks for Leer, B everywhere
BOTH = ["leer", "emden"]
BEYOND = "beyond your regions (Leer): Emden; ask Leitstelle B or Dienstgruppenleitung"
LIMITED = pytest.mark.parametrize("level", ["regional", "national"])


@asynccontextmanager
async def ruled(path: Path, level: Level, realm: Realm = Realm.LIVE) -> AsyncIterator[Room]:
    """A control room of that level."""
    where, leer = deployment(realm), frozenset({RegionId("leer")})
    people = [
        Person(name="Leitstelle A", regions=leer),
        Person(name="Leitstelle B"),
        Person(name="Dienstgruppenleitung"),
    ]
    where = replace(
        where, sender=replace(where.sender, level=level), roster=Roster(people={one.name: one for one in people})
    )
    async with control_room(path, where=where) as room:
        room.context.pipeline.links = room.context.links
        yield room


async def trigger(room: Room, *regions: str, as_: str = A, status: int = 201, incident: str = "i1", **more: Any) -> Any:
    """Somebody lets the playbook speak that needs one person."""
    body = {"place": "Bahnhof", "regions": [*regions], "incident": incident, **more}
    return await room.post("playbooks/storm/trigger", body, as_=as_, status=status)


async def running(room: Room, *, incident: str = "i1") -> str:
    """An incident in both regions, of which everybody has heard; its alert. The widest needs a second person."""
    [alert] = (await trigger(room, *BOTH, as_=B, incident=incident))["alerts"]
    if alert["state"] == "held":
        seen = {"digest": alert["digest"]}
        await room.post(f"alerts/{alert['id']}/release", seen, as_="supervisor-token")
    await room.deliveries(incident)
    return str(alert["id"])


async def held(room: Room, *regions: str, **changes: Any) -> tuple[str, dict[str, str]]:
    """An alert that a machine led to and one person has to release: the path to do so, and what was seen."""
    body = event(**{"kind": "storm", "status": "actual", "area": {"regions": [*regions]}, **changes})
    await room.post("events", body, as_=SOURCE_TOKEN, status=201)
    [alert] = (await room.get(f"alerts?state=held&incident={body['incident']}"))["alerts"]
    return f"alerts/{alert['id']}/release", {"digest": alert["digest"]}


async def test_locally_everybody_speaks_everywhere(tmp_path: Path) -> None:
    """Without a higher level a person's regions only say who is paged."""
    async with ruled(tmp_path, "local") as room:
        await trigger(room, *BOTH)
        await room.post("incidents/i1/update", {}, as_=A)


@LIMITED
async def test_a_trigger_stays_in_its_persons_regions(level: Level, tmp_path: Path) -> None:
    """What reaches beyond gets 403 with whom to ask, in the preview already, and leaves no trace; the rest goes out."""
    async with ruled(tmp_path, level) as room:
        for regions in (["emden"], BOTH):
            problem = await trigger(room, *regions, status=403)
            assert (problem["title"], problem["detail"]) == ("Forbidden", BEYOND)
            wanted = {"place": "Bahnhof", "regions": regions}
            assert (await room.post("playbooks/storm/preview", wanted, as_=A, status=403))["detail"] == BEYOND
        assert (await room.get("incidents"))["incidents"] == []
        [alert] = (await trigger(room, "leer"))["alerts"]
        assert (alert["state"], alert["released_by"]) == ("released", ["Leitstelle A"])


@LIMITED
async def test_an_event_of_a_person_is_a_trigger(level: Level, tmp_path: Path) -> None:
    """Reported as an event it is refused as well, kept, and paged with an offer to whom it concerns; again it stays refused."""
    async with ruled(tmp_path, level) as room:
        body = event(kind="storm", status="actual", area={"regions": ["emden"]}, assigned=["4711"])
        problem = await room.post("events", body, as_=A, status=403)
        assert (problem["detail"], problem["receipt"]["state"]) == (BEYOND, "forbidden")
        assert "field" not in problem
        [page] = (await room.until("snapshot", lambda data: data["pages"]))["pages"]
        assert (page["name"], BEYOND in page["body"], "Playbook auslösen" in page["body"]) == ("refused", True, True)
        assert (await room.post("events", body, as_=A, status=403))["detail"] == "refused before"
        assert (await room.get("incidents"))["incidents"] == []
        assert await room.journal.read(partial(assigned, incident=IncidentId("i1"))) == frozenset()
        await room.post("events", body | {"source": "operator:Leitstelle B"}, as_=B, status=201)


@LIMITED
async def test_a_machine_has_no_regions(level: Level, tmp_path: Path) -> None:
    """What a source reports is planned as ever."""
    async with ruled(tmp_path, level) as room:
        await room.post("events", event(status="actual", area={"regions": ["emden"]}), as_=SOURCE_TOKEN, status=201)
        await room.deliveries("i1", count=1)


@LIMITED
async def test_a_release_stays_in_its_persons_regions(level: Level, tmp_path: Path) -> None:
    """Beyond them it is refused and counts for nothing, unless there is an emergency with a reason."""
    async with ruled(tmp_path, level) as room:
        path, seen = await held(room, "emden")
        problem = await room.post(path, seen, as_=A, status=403)
        assert problem["detail"] == f"{BEYOND}, or give break_glass with its reason"
        assert (await room.get("alerts?state=held"))["alerts"][0]["released_by"] == []
        released = await room.post(path, seen | {"break_glass": "danger_to_life"}, as_=A)
        assert (released["state"], released["released_by"]) == ("released", ["Leitstelle A"])


@LIMITED
@pytest.mark.parametrize(("regions", "as_"), [(["leer"], A), (["emden"], B)])
async def test_a_release_at_home_is_one(level: Level, regions: list[str], as_: str, tmp_path: Path) -> None:
    """In their own regions, or with none, people release as ever."""
    async with ruled(tmp_path, level) as room:
        path, seen = await held(room, *regions)
        assert (await room.post(path, seen, as_=as_))["state"] == "released"


@LIMITED
async def test_updates_and_joins_stay_in_their_persons_regions(level: Level, tmp_path: Path) -> None:
    """An update, own words for a correction, a reopening or a join that is heard beyond is refused; narrowing to them is not."""
    async with ruled(tmp_path, level) as room:
        alert = await running(room)
        await trigger(room, "leer", incident="i2")
        for path, body in (
            ("incidents/i1/update", {}), ("incidents/i1/update", {"words": {"de": "Bleiben Sie weg."}}),
            (f"alerts/{alert}/retract", {"words": {"de": "Es war der Hafen."}}),
            ("incidents/i2/join", {"into": "i1"}), ("incidents/i1/join", {"into": "i2"}),
            ("incidents/i2/update", {"regions": BOTH}),
        ):  # fmt: skip
            assert (await room.post(path, body, as_=A, status=403))["detail"] == BEYOND, path
        await room.post("incidents/i1/update", {"regions": ["leer"]}, as_=A)
        await room.post("incidents/i2/join", {"into": "i1"}, as_=A)


@LIMITED
@pytest.mark.parametrize("end", ["all-clear", "false-alarm", "retract"])
async def test_an_end_is_anybodys(level: Level, end: str, tmp_path: Path) -> None:
    """Whoever sees that it is over, or was a mistake, says so everywhere at once; only to reopen it is beyond them."""
    async with ruled(tmp_path, level) as room:
        alert = await running(room)
        said = await room.post(f"alerts/{alert}/retract" if end == "retract" else f"incidents/i1/{end}", {}, as_=A)
        assert (said["state"], said["purpose"]) == ("released", "all_clear" if end == "all-clear" else "false_alarm")
        assert (await room.post("incidents/i1/reopen", {}, as_=A, status=403))["detail"] == BEYOND
        reopened = await room.post("incidents/i1/reopen", {}, as_=B)
        assert reopened["state"] == ("held" if level == "national" else "released")  # it reaches everybody once more


@LIMITED
async def test_a_held_end_is_anybodys(level: Level, tmp_path: Path) -> None:
    """The end that a source or a person reports is released by whoever sees it first; and anybody rejects what waits."""
    async with ruled(tmp_path, level) as room:
        await running(room)
        path, seen = await held(room, id="e2", msg_type="cancel")
        assert (await room.post(path, seen, as_=A))["purpose"] == "all_clear"
        await running(room, incident="i2")
        over = event(id="e3", incident="i2", kind="storm", status="actual", msg_type="cancel")
        await room.post("events", over, as_=A, status=201)
        path, _ = await held(room, "emden", incident="i3", id="e4")
        await room.post(path.replace("release", "reject"), {}, as_=A)


async def test_the_widest_alert_needs_two_persons(tmp_path: Path) -> None:
    """Nationally who triggers for the whole territory is the first of two, whatever the playbook says, and sees why."""
    async with ruled(tmp_path, "national") as room:
        wanted = {"place": "Bahnhof", "regions": BOTH}
        preview = await room.post("playbooks/fire/preview", wanted, as_=B)
        assert (preview["people"], "two persons release it" in str(preview["notes"])) == (2, True)
        [alert] = (await room.post("playbooks/fire/trigger", wanted, as_=B, status=201))["alerts"]
        assert (alert["state"], alert["people"], alert["widest"]) == ("held", 2, True)
        assert room.channels[WEBSITE].posts == []
        path, seen = f"alerts/{alert['id']}/release", {"digest": alert["digest"]}
        assert (await room.post(path, seen, as_=B))["state"] == "held"
        assert (await room.post(path, seen, as_="supervisor-token"))["state"] == "released"
        await room.deliveries(alert["incident"])
        incident = alert["incident"]
        assert (await room.post(f"incidents/{incident}/update", {}, as_=B))["state"] == "released"
        assert (await room.post(f"incidents/{incident}/false-alarm", {}, as_=B))["state"] == "released"


@pytest.mark.parametrize("as_", [A, B])
async def test_one_is_enough_for_the_widest_in_an_emergency(as_: str, tmp_path: Path) -> None:
    """With a reason one person lets it out, whatever their regions."""
    async with ruled(tmp_path, "national") as room:
        path, seen = await held(room, *BOTH)
        answer = await room.post(path, seen | {"break_glass": "colleague_unreachable"}, as_=as_)
        assert answer["state"] == "released"


@pytest.mark.parametrize(("level", "realm"), [("regional", Realm.LIVE), ("national", Realm.EXERCISE)])
async def test_nothing_else_asks_for_a_second_person(level: Level, realm: Realm, tmp_path: Path) -> None:
    """A region's whole territory, and an exercise of the nation's, go by their playbook."""
    async with ruled(tmp_path, level, realm) as room:
        [alert] = (await trigger(room, *BOTH, as_=B))["alerts"]
        assert (alert["state"], alert["widest"]) == ("released", False)


async def test_the_console_says_why_two_are_asked(tmp_path: Path, need: Callable[[str], str]) -> None:
    """On the card of the alert that waits, and in the list of pages, stands that it reaches the whole territory."""
    chromium = need("chromium")
    async with ruled(tmp_path, "national") as room:
        await held(room, *BOTH)
        login = room.client.make_url(f"/login?ticket={room.context.tickets.issue('Leitstelle B', 'operator')}")
        async with async_playwright() as browsers:
            browser = await browsers.chromium.launch(executable_path=chromium, args=QUIET)
            page = await browser.new_page()
            await page.goto(str(login))
            for where in ("#held", "#pages"):
                await page.locator(where).get_by_text("Erreicht das ganze Gebiet: zwei Personen geben frei").wait_for()
            await browser.close()


async def test_a_link_gives_no_right(tmp_path: Path) -> None:
    """A link out of a page does for nobody what they may not do, says why, and stays good for who may."""
    async with ruled(tmp_path, "regional") as room:
        path, seen = await held(room, "emden")
        offer = Offer(Deed.RELEASE, path.split("/")[1], seen["digest"])
        links, now = room.context.links, room.context.clock.now()
        refused = await room.ask("POST", links.link(offer, "Leitstelle A", now), as_=None)
        assert (refused.status, "beyond your regions (Leer): Emden" in await refused.text()) == (409, True)
        done = await room.ask("POST", links.link(offer, "Leitstelle B", now), as_=None)
        assert (done.status, (await room.get("alerts?state=released&incident=i1"))["alerts"] != []) == (200, True)
