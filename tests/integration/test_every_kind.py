"""Every kind of channel that there is, in one exercise on the wall: everything is said, everything is taken back."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from integration.every_kind import Drill, channel_of, live_files, names, states
from integration.paper import QUIET

from dispatcher.intake.embedded import EmbeddedBroker, embedded_broker
from dispatcher.model.channel import Audience, ChannelProfile, Power
from dispatcher.model.delivery import Verb
from dispatcher.wall.app import Wall, running_wall
from dispatcher.wall.board import Shown

MODEL = Path(__file__).parents[2] / "config/dispatcher.yaml"
BY_HAND = {"by-hand"}  # nothing is called
_CARDS = """() => Array.from(document.querySelectorAll(".card"), (card) => [
    card.querySelector("h2").textContent, card.querySelector(".service").textContent,
    Array.from(card.querySelectorAll(".text"), (text) => text.textContent),
])"""


@pytest.fixture
async def broker() -> AsyncIterator[EmbeddedBroker]:
    """The broker of an exercise."""
    async with embedded_broker() as running:
        yield running


@pytest.fixture
async def wall() -> AsyncIterator[Wall]:
    """An empty wall, of which nothing may be asked that no double knows."""
    async with running_wall() as running:
        yield running
        assert running.board.unexpected == []


async def test_one_event_is_said_on_every_kind_of_channel(tmp_path: Path, broker: EmbeddedBroker, wall: Wall) -> None:
    """One event over the broker stands once on every kind that calls, all accepted; the rest is a person's task."""
    drill = Drill(live_files(tmp_path), tmp_path, broker, wall)
    async with drill.running():
        found = await drill.alert("deich")
        tasks = (await drill.ask("GET", "tasks"))["tasks"]

    every = {channel_of(name) for name in names()}
    assert states(found) == {name: "by_hand" if name in BY_HAND else "accepted" for name in every}
    assert sorted(post.title for post in wall.board) == sorted(f"Kanal {name}" for name in every - BY_HAND)
    assert all("Amokalarm: Schule deich" in post.text for post in wall.board)
    assert {task["channel"] for task in tasks} == BY_HAND


async def test_the_model_configuration_is_drilled_as_it_is(tmp_path: Path, broker: EmbeddedBroker, wall: Wall) -> None:
    """The shipped files as a drill: a person's alarm for all regions is accepted on every channel that calls, Instagram too."""
    drill = Drill(MODEL, tmp_path, broker, wall)
    everywhere = [region.id for region in drill.loaded.deployment.regions]
    async with drill.running():
        order = {"place": "Übungsplatz", "regions": everywhere}
        [alert] = (await drill.ask("POST", "playbooks/amok/trigger", order))["alerts"]
        found = await drill.settled(alert["incident"])

    kinds = {name: profile.kind for name, profile in drill.profiles().items() if profile.audience is Audience.PUBLIC}
    by_hand = {"by_hand", "whatsapp_channel"}
    assert {"instagram", "linkedin_page", "facebook_page"} < {*kinds.values()}
    assert states(found) == {name: "by_hand" if kind in by_hand else "accepted" for name, kind in kinds.items()}
    assert len(wall.board) == sum(kind not in by_hand for kind in kinds.values())


async def test_the_wall_shows_every_kind_of_channel(need, tmp_path: Path, broker: EmbeddedBroker, wall: Wall) -> None:
    """In a browser the wall has one card for each channel, with its public name, its service in words and its text."""
    chromium = need("chromium")
    playwright = pytest.importorskip("playwright.async_api")
    drill = Drill(live_files(tmp_path), tmp_path, broker, wall)
    async with drill.running():
        await drill.alert("deich")
    async with playwright.async_playwright() as browsers:
        browser = await browsers.chromium.launch(executable_path=chromium, args=QUIET)
        page = await browser.new_page()
        await page.goto(wall.url)
        await page.locator(".card .text").nth(len(wall.board) - 1).wait_for(timeout=60_000)
        cards = await page.evaluate(_CARDS)
        await browser.close()

    assert sorted(title for title, _, _ in cards) == sorted(f"Kanal {channel_of(n)}" for n in names() if n != "by_hand")
    for title, service, (text,) in cards:
        assert service.strip() not in ("", "undefined"), f"{title}: wall.js has no name for its service"
        assert "Amokalarm: Schule deich" in text


@pytest.mark.parametrize("wish", [Verb.EDIT, Verb.DELETE])
async def test_what_is_taken_back_after_a_restart_is_what_was_posted_before(
    wish: Verb, tmp_path: Path, broker: EmbeddedBroker, wall: Wall
) -> None:
    """A second life changes or deletes the very posts whose ids the first one stored; what can be neither, people get."""
    drill = Drill(live_files(tmp_path, after_correction=wish), tmp_path, broker, wall)
    async with drill.running():
        said = await drill.alert("deich")
        await drill.alert("hafen")
    posted = {one.channel: one.provider_id for one in said if one.provider_id}
    meant = {name: [post.order for post in wall.board if _is(post, name, id_)] for name, id_ in posted.items()}

    async with drill.running():
        await drill.ask("POST", f"alerts/{said[0].alert}/retract", {})
        after = await drill.settled("deich")
        tasks = (await drill.ask("GET", "tasks"))["tasks"]

    hands = {name: _hand(profile, wish) for name, profile in drill.profiles().items()}
    assert {one.channel: (one.verb, one.state) for one in after if one.verb is not Verb.POST} == {
        name: (verb or Verb.EDIT, "accepted" if verb else "by_hand") for name, verb in hands.items()
    }
    assert {post.order: verb for post in wall.board if (verb := _became(post))} == {
        order: verb for name, verb in hands.items() if verb for order in meant[name]
    }
    assert all(len(orders) == 1 for orders in meant.values())
    listed = {task["channel"]: task["target"] for task in tasks if task["purpose"] == "retraction"}
    assert listed == {name: posted.get(name, "") for name, verb in hands.items() if verb is None}


def _is(post: Shown, name: str, stored: str) -> bool:
    """Whether it is the one that a channel stored an id of: the provider's, with the account before it, or ours."""
    return post.title == f"Kanal {name}" and stored in (post.id, f"{post.account}/{post.id}", post.key)


def _hand(profile: ChannelProfile, wish: Verb) -> Verb | None:
    """What becomes of a channel's post: what is wished where it can, else a change; None where a person has to look."""
    if wish is Verb.DELETE and Power.DELETE in profile.powers:
        return Verb.DELETE
    return Verb.EDIT if Power.EDIT in profile.powers else None


def _became(post: Shown) -> Verb | None:
    """What happened to a post on the wall; a change begins with the correction and keeps what it corrects."""
    if post.edited_ms is not None:
        assert post.text.index("Fehlalarm: Schule deich") < post.text.index("Amokalarm: Schule deich")
    return Verb.DELETE if post.deleted_ms is not None else Verb.EDIT if post.edited_ms is not None else None
