"""One-time links are keys: only the phone that a page went to has them, and each opens once."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from functools import partial
from pathlib import Path

import pytest
from integration.console_kit import DUTY, SOURCE_TOKEN, Room, control_room, event

from dispatcher.journal import queries
from dispatcher.model.alert import Post
from dispatcher.model.delivery import AlertId, Outcome, Result
from dispatcher.plan.pages import Deed, Offer


@pytest.fixture
async def room(tmp_path: Path) -> AsyncIterator[Room]:
    """A control room whose pages carry links."""
    async with control_room(tmp_path) as found:
        found.context.pipeline.links = found.context.links
        yield found


async def waiting(room: Room) -> tuple[Offer, str]:
    """An offer to release an alert that a machine led to and that two people have to release, and that alert's id."""
    await room.post("events", event(kind="bomb"), status=201, as_=SOURCE_TOKEN)
    [alert] = (await room.until("alerts?state=held", lambda data: data["alerts"]))["alerts"]
    return Offer(Deed.RELEASE, alert["id"], alert["digest"]), alert["id"]


def link(room: Room, offer: Offer, person: str = "") -> str:
    """The path of a link."""
    return room.context.links.link(offer, person, room.context.clock.now())


async def everything_shown(room: Room, ids: dict[str, str]) -> dict[str, str]:
    """The answer of every page and every question that a viewer may ask, by path; the log of facts for the stream."""
    shown = {}
    for route in room.client.app.router.routes():
        path = route.resource.canonical
        if route.method != "GET" or path.startswith(("/static/", "/act/")) or path.endswith("/stream"):
            continue
        kind = next((word for word in ids if word in path), "")
        response = await room.ask("GET", path.replace("{id}", ids.get(kind, "x")), as_="viewer-token")
        shown[path] = await response.text()
    facts = await room.journal.read(partial(queries.facts_after, seq=0, limit=10_000))
    return shown | {"facts": "".join(json.dumps(fact.body) for fact in facts)}


async def test_a_link_is_shown_to_nobody_but_its_phone(room: Room) -> None:
    """The whole link is on the staff channel alone; the console masks it wherever it shows the page's text."""

    async def by_hand(_: Post) -> Outcome:
        return Outcome(result=Result.BY_HAND)

    room.channels[DUTY].handler = by_hand
    await waiting(room)
    [task] = (await room.until("tasks", lambda data: data["tasks"]))["tasks"]

    [post] = room.channels[DUTY].posts
    [address] = [word for word in post.text.body.split() if word.startswith("/act/")]
    assert (await room.ask("GET", address, as_=None)).status == 200
    ids = {"incidents/": "i1", "alerts/": task["alert"], "tasks/": task["id"], "deliveries/": task["id"]}
    shown = await everything_shown(room, ids)
    telling = ("/api/v1/alerts/{id}", "/api/v1/snapshot", "/api/v1/tasks", "/api/v1/tasks/{id}/sheet")
    assert [path for path in telling if "/act/…" not in shown[path]] == []
    assert [path for path, text in shown.items() if address.removeprefix("/act/") in text] == []
    assert (len(shown) > 15, [name for name, fake in room.channels.items() if fake.posts]) == (True, [DUTY])


async def test_a_link_that_many_click_at_once_does_one_deed(room: Room) -> None:
    """Three people on a shared phone's link in one moment: one of them has released, the link is used for the others."""
    offer, held = await waiting(room)
    address = link(room, offer)
    people = ["operator-token", "second-token", "supervisor-token"]
    answers = await asyncio.gather(*(room.ask("POST", address, as_=token) for token in people))
    assert sorted(answer.status for answer in answers) == [200, 410, 410]
    record = await room.journal.read(partial(queries.alert_record, alert=AlertId(held)))
    assert record
    assert (record.state, len(record.released_by)) == ("held", 1)


async def test_a_link_whose_deed_was_refused_is_not_used_up(room: Room) -> None:
    """A wrong choice costs nothing: the same link does the right thing afterwards."""
    address = link(room, Offer(Deed.TRIGGER, "i7", to="Hafen"), "ben")
    answers = [
        (await room.ask("POST", address, as_=None, data={"playbook": name, "region": "leer"})).status
        for name in ("none", "fire", "fire")
    ]
    assert answers == [409, 200, 410]
