"""What people decide over HTTP beyond release and end: own words, joining, stopping, taking back, links out of pages."""

from __future__ import annotations

from collections.abc import AsyncIterator
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import pytest
from integration.console_kit import MESSENGER, WEBSITE, Room, control_room

from dispatcher.journal import queries
from dispatcher.model.channel import ChannelState
from dispatcher.model.delivery import IncidentId
from dispatcher.plan.pages import Deed, Offer


@pytest.fixture
async def room(tmp_path: Path) -> AsyncIterator[Room]:
    """A control room at work."""
    async with control_room(tmp_path) as found:
        yield found


def link(room: Room, offer: Offer, person: str = "ben") -> str:
    """The path of a one-time link."""
    return room.context.links.link(offer, person, room.context.clock.now())


async def opened(room: Room, name: str = "fire", **body: Any) -> str:
    """The incident that a playbook spoke about."""
    incident: str = (await room.trigger(name, **body))["incident"]
    return incident


async def test_own_words_and_a_new_area(room: Room) -> None:
    """An update takes a person's words by language and the area from now on; both are checked."""
    incident = await opened(room)
    await room.deliveries(incident)
    path = f"incidents/{incident}/update"
    alert = await room.post(path, {"words": {"de": "Fenster zu."}, "regions": ["leer", "emden"]})
    assert alert["regions"] == ["leer", "emden"]
    await room.deliveries(incident, count=4)
    assert "Fenster zu." in room.channels[WEBSITE].posts[-1].text.body
    for wrong in ({"words": {"de": ""}}, {"words": {"de": "x" * 401}}, {"regions": ["oz"]}, {"words": {"German": "x"}}):
        assert (await room.post(path, wrong, status=422))["field"]


async def test_an_ended_incident_is_reopened(room: Room) -> None:
    """Reopening says the alert again; an open incident cannot be reopened."""
    incident = await opened(room)
    await room.deliveries(incident)
    await room.post(f"incidents/{incident}/reopen", {}, status=409)
    await room.post(f"incidents/{incident}/all-clear", {})
    alert = await room.post(f"incidents/{incident}/reopen", {"place": "Hafen"})
    assert (alert["purpose"], alert["place"]) == ("alert", "Hafen")
    assert (await room.get(f"incidents/{incident}"))["open"] is True


async def test_two_incidents_become_one(room: Room) -> None:
    """A joined incident is closed, and the other one speaks for both."""
    first, second = await opened(room), await opened(room, regions=["emden"])
    assert await room.post(f"incidents/{second}/join", {"into": first}) == {"incident": second, "into": first}
    assert (await room.get(f"incidents/{second}"))["open"] is False
    assert set((await room.get(f"incidents/{first}"))["regions"]) == {"leer", "emden"}
    await room.post(f"incidents/{first}/join", {"into": "nowhere"}, status=404)


async def test_an_alert_is_taken_back(room: Room) -> None:
    """Taking back without words is a false alarm; what has not gone out cannot be taken back."""
    incident = await opened(room)
    await room.deliveries(incident)
    [alert] = (await room.get(f"alerts?incident={incident}"))["alerts"]
    assert (await room.post(f"alerts/{alert['id']}/retract", {}))["purpose"] == "false_alarm"
    held = (await room.trigger("bomb"))["alerts"][0]
    await room.post(f"alerts/{held['id']}/retract", {}, status=409)


async def test_a_held_alert_is_renewed(room: Room) -> None:
    """A renewed alert waits again, with another digest; the old one is superseded."""
    old = (await room.trigger("bomb"))["alerts"][0]
    new = await room.post(f"alerts/{old['id']}/renew")
    assert (new["state"], new["id"] == old["id"]) == ("held", False)
    await room.post(f"alerts/{old['id']}/release", {"digest": old["digest"]}, status=409)


async def test_break_glass_needs_a_reason_from_the_list(room: Room) -> None:
    """One person alone releases with a reason out of the list, and with no other."""
    held = (await room.trigger("bomb"))["alerts"][0]
    path = f"alerts/{held['id']}/release"
    await room.post(path, {"digest": held["digest"], "break_glass": "because"}, status=422)
    released = await room.post(path, {"digest": held["digest"], "break_glass": "danger_to_life"})
    assert released["state"] == "released"


async def test_stop_and_resume(room: Room) -> None:
    """A stop is listed with its person and reason until two have lifted it; a viewer may look and not touch."""
    body = {"scope": "channel", "ref": MESSENGER, "reason": "account stolen"}
    await room.post("stop", body, status=403, as_="viewer-token")
    [stop] = (await room.post("stop", body))["stops"]
    assert (stop["scope"], stop["ref"], stop["reason"]) == ("channel", MESSENGER, "account stolen")
    incident = await opened(room)
    await room.deliveries(incident, count=1)
    assert room.channels[MESSENGER].posts == []
    [waiting] = (await room.post("resume", {"scope": "channel", "ref": MESSENGER}))["stops"]
    assert waiting["resumed_by"]
    assert (await room.post("resume", {"scope": "channel", "ref": MESSENGER}, as_="supervisor-token"))["stops"] == []
    await room.deliveries(incident)
    await room.post("resume", {"scope": "all"}, status=409)
    await room.post("stop", {"scope": "channel", "ref": "nowhere", "reason": "x"}, status=404)
    await room.post("stop", {"scope": "all", "ref": "x", "reason": "x"}, status=422)
    assert len((await room.post(f"channels/{WEBSITE}/quarantine"))["stops"]) == 1


async def test_a_link_releases_once_and_only_when_somebody_says_yes(room: Room) -> None:
    """Looking at a link shows the text and does nothing; saying yes releases in its person's name, once."""
    held = (await room.trigger("bomb"))["alerts"][0]
    address = link(room, Offer(Deed.RELEASE, held["id"], held["digest"]))
    page = await room.ask("GET", address, as_=None)
    assert (page.status, "Meiden Sie Bahnhof" in await page.text()) == (200, True)
    assert (await room.get(f"alerts/{held['id']}"))["state"] == "held"
    assert (await room.ask("POST", address, as_=None)).status == 200
    after = await room.get(f"alerts/{held['id']}")
    assert (after["state"], "ben" in after["released_by"]) == ("released", True)
    assert [(await room.ask(how, address, as_=None)).status for how in ("GET", "POST")] == [410, 410]


async def test_a_link_to_a_shared_phone_needs_somebody(room: Room) -> None:
    """A link that names nobody acts only for who is signed in as an operator."""
    held = (await room.trigger("bomb"))["alerts"][0]
    address = link(room, Offer(Deed.RELEASE, held["id"], held["digest"]), person="")
    assert (await room.ask("POST", address, as_=None)).status == 401
    assert (await room.ask("POST", address, as_="viewer-token")).status == 403
    assert (await room.ask("POST", address, as_="supervisor-token")).status == 200


@pytest.mark.parametrize("token", ["x", "x" * 5000, "e30.abc"])
async def test_a_forged_link_is_gone(token: str, room: Room) -> None:
    """What we did not sign opens nothing."""
    assert (await room.ask("GET", f"/act/{token}", as_=None)).status == 410


async def test_a_link_triggers_a_playbook(room: Room) -> None:
    """Where nothing matched, a click and a choice let a playbook speak about that very incident."""
    address = link(room, Offer(Deed.TRIGGER, "i7", to="Hafen"))
    page = await (await room.ask("GET", address, as_=None)).text()
    assert ('value="fire"' in page, 'value="Hafen"' in page) == (True, True)
    form = {"playbook": "fire", "region": "leer", "place": "Hafen"}
    assert (await room.ask("POST", address, as_=None, data=form)).status == 200
    await room.deliveries("i7")
    wrong = link(room, Offer(Deed.TRIGGER, "i8", to="Hafen"))
    refused = await room.ask("POST", wrong, as_=None, data={**form, "playbook": "none"})
    assert (refused.status, "no playbook none" in await refused.text()) == (409, True)


async def test_links_join_and_confirm(room: Room) -> None:
    """A page's links join two incidents; what cannot be done any more is said in words."""
    first, second = await opened(room), await opened(room)
    assert (await room.ask("POST", link(room, Offer(Deed.JOIN, second, to=first)), as_=None)).status == 200
    history = await room.journal.read(partial(queries.history, incident=IncidentId(second)))
    assert history.open is False
    [done, *_] = await room.deliveries(first)
    late = await room.ask("POST", link(room, Offer(Deed.CONFIRM, done["id"])), as_=None)
    assert (late.status, "nothing to confirm" in await late.text()) == (409, True)


async def test_a_retired_channel_takes_its_leave(room: Room) -> None:
    """The farewell goes out on that channel in the operator's name, once; the list of channels says who follows it."""
    setup = room.context.setup
    gone = replace(
        setup.deployment.channels[MESSENGER], state=ChannelState.RETIRED, successor=WEBSITE, farewell=(("de", "Wir gehen."),)
    )  # fmt: skip
    active = {name: one for name, one in setup.deployment.channels.items() if name != MESSENGER}
    setup.replace(replace(setup.deployment, channels=active, past_channels={MESSENGER: gone}), room.channels)
    alert = await room.post(f"channels/{MESSENGER}/farewell", {})
    assert (alert["purpose"], alert["requested_by"]) == ("farewell", "Leitstelle A")
    await room.post(f"channels/{MESSENGER}/farewell", {}, status=409)
    await room.post(f"channels/{WEBSITE}/farewell", {}, status=409)
    last = (await room.get("channels"))["channels"][-1]
    assert (last["id"], last["state"], last["successor"]) == (MESSENGER, "retired", WEBSITE)
    await room.deliveries(alert["incident"], count=1)
    assert [post.text.languages for post in room.channels[MESSENGER].posts] == [("de",)]
