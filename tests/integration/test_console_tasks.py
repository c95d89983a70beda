"""Posts by hand: what people are asked to do, in which order, with everything that they need."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import pytest
from integration.console_kit import MESSENGER, WEBSITE, Room, control_room

from dispatcher.model.alert import Post
from dispatcher.model.delivery import Outcome, Result


async def by_hand(_post: Post) -> Outcome:
    """A person has to post it."""
    return Outcome(result=Result.BY_HAND)


async def tasks(room: Room) -> list[dict[str, object]]:
    """Both channels' tasks about one incident."""
    setup = room.context.setup
    profiles = {
        **setup.deployment.channels,
        MESSENGER: replace(setup.deployment.channels[MESSENGER], official=True, link="https://desk.example"),
        WEBSITE: replace(setup.deployment.channels[WEBSITE], reach=1_000_000),
    }
    setup.deployment = replace(setup.deployment, channels=profiles)
    for fake in room.channels.values():
        fake.handler = by_hand
    await room.trigger(place="<b>Bahnhof</b>")
    found = await room.until("tasks", lambda data: len(data["tasks"]) >= 2)
    listed: list[dict[str, object]] = found["tasks"]
    return listed


async def test_the_official_desk_comes_first(tmp_path: Path) -> None:
    """Tasks stand with the official desk first, then by reach, each with text, link and the keys of its area."""
    async with control_room(tmp_path) as room:
        first, second = await tasks(room)
        assert (first["channel"], second["channel"]) == (MESSENGER, WEBSITE)
        assert (first["link"], second["reach"]) == ("https://desk.example", 1_000_000)
        assert first["areas"] == [{"id": "leer", "name": "Leer", "ags": "03457", "ars": "034570000000"}]
        assert "Meiden Sie" in json.dumps(first["body"])


async def test_a_sheet_can_be_handed_over(tmp_path: Path) -> None:
    """A task's sheet holds text, place and keys, in an exercise its mark, and nothing that could run."""
    async with control_room(tmp_path) as room:
        first, _ = await tasks(room)
        response = await room.ask("GET", f"/api/v1/tasks/{first['id']}/sheet")
        page = await response.text()
        assert (response.status, response.content_type) == (200, "text/html")
        assert all(word in page for word in ("034570000000", "ÜBUNG", "&lt;b&gt;Bahnhof&lt;/b&gt;"))
        assert "<b>Bahnhof" not in page
        assert (await room.ask("GET", "/api/v1/tasks/none/sheet")).status == 404


@pytest.mark.parametrize("word", ["Amoklage", "Fehlalarm", "________", "03457", "Polizei Osnabrück"])
def test_everything_is_on_paper(word: str, tmp_path: Path) -> None:
    """The sheet for the day when nothing works holds every playbook's texts with blanks, the channels and the keys."""
    from dispatcher.cli import main

    output = tmp_path / "sheet.html"
    config = Path(__file__).parents[2] / "config/demo/dispatcher.yaml"
    with pytest.raises(SystemExit) as ended:
        main(["sheet", str(config), "--output", str(output)])
    assert (ended.value.code, word in output.read_text()) == (0, True)
