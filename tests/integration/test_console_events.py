"""Events and triggers by HTTP: on disk before they are answered, once however often they are sent."""

from __future__ import annotations

import asyncio
import sqlite3
from collections import Counter
from datetime import datetime, timedelta
from pathlib import Path

import pytest
from integration.console_kit import DUTY, MESSENGER, SOURCE_TOKEN, WEBSITE, control_room, event

from dispatcher.model.cap import Realm


async def test_an_event_is_journaled_and_said(tmp_path: Path) -> None:
    """An event gets 201 with its receipt, and its words reach every channel."""
    async with control_room(tmp_path) as room:
        receipt = await room.post("events", event(), status=201, as_=SOURCE_TOKEN)
        assert (receipt["source"], receipt["id"], receipt["state"]) == ("einsatzleit", "e1", "journaled")
        assert receipt["journal"] >= 1
        assert len(await room.deliveries("i1")) == 2
        assert [len(room.channels[name].posts) for name in (WEBSITE, MESSENGER)] == [1, 1]


async def test_what_is_answered_is_on_disk(tmp_path: Path) -> None:
    """After 201 another reader of the journal's file finds the event."""
    async with control_room(tmp_path) as room:
        receipt = await room.post("events", event(), status=201, as_=SOURCE_TOKEN)
        with sqlite3.connect(tmp_path / "journal.sqlite") as other:
            found = other.execute("select source, id, number from events").fetchall()
        other.close()
        assert found == [("einsatzleit", "e1", receipt["journal"])]


async def test_a_repeat_changes_nothing(tmp_path: Path) -> None:
    """The same event fifty times at once is one event: one 201, then 200 with the same number, one post a channel."""
    async with control_room(tmp_path) as room:
        body = event()
        answers = await asyncio.gather(
            *(room.ask("POST", "/api/v1/events", json=body, as_=SOURCE_TOKEN) for _ in range(50))
        )
        assert Counter(answer.status for answer in answers) == {201: 1, 200: 49}
        assert len({(await answer.json())["journal"] for answer in answers}) == 1
        await room.deliveries("i1")
        assert [len(room.channels[name].posts) for name in (WEBSITE, MESSENGER)] == [1, 1]


async def test_other_content_under_a_known_id_is_a_conflict(tmp_path: Path) -> None:
    """An id that was used for other content gets 409 with the receipt."""
    async with control_room(tmp_path) as room:
        body = event()
        await room.post("events", body, status=201, as_=SOURCE_TOKEN)
        problem = await room.post("events", body | {"place": "Rathaus"}, status=409, as_=SOURCE_TOKEN)
        assert problem["receipt"]["state"] == "conflict"


@pytest.mark.parametrize(
    ("changes", "field"),
    [({"v": 2}, "v"), ({"id": None}, "id"), ({"status": "maybe"}, "status"), ({"place": None, "area": None}, "place")],
)
async def test_an_unreadable_event_names_its_field(tmp_path: Path, changes: dict[str, object], field: str) -> None:
    """What cannot be read gets 400 with the field, each time, and becomes a dead letter that pages."""
    async with control_room(tmp_path) as room:
        body = event(**changes)
        for _ in range(2):
            problem = await room.post("events", body, status=400, as_=SOURCE_TOKEN)
            assert problem["field"] == field
        assert len((await room.get("letters"))["letters"]) == 1
        async with asyncio.timeout(5):
            while not room.channels[DUTY].posts:
                await asyncio.sleep(0.01)


async def test_an_event_of_the_other_realm_is_refused(tmp_path: Path) -> None:
    """An exercise daemon refuses an actual event with 422, a live one an exercise."""
    async with control_room(tmp_path / "exercise") as room:
        problem = await room.post("events", event(status="actual"), status=422, as_=SOURCE_TOKEN)
        assert (problem["field"], problem["receipt"]["state"]) == ("status", "refused")
    async with control_room(tmp_path / "live", realm=Realm.LIVE) as room:
        await room.post("events", event(), status=422, as_=SOURCE_TOKEN)


async def test_a_busy_journal_asks_to_come_again(tmp_path: Path) -> None:
    """An event that could not be written is not acknowledged: 503 with Retry-After, and the repeat is taken."""
    async with control_room(tmp_path) as room:
        blocker = sqlite3.connect(tmp_path / "journal.sqlite", isolation_level=None)
        blocker.execute("BEGIN IMMEDIATE")
        response = await room.ask("POST", "/api/v1/events", json=event(), as_=SOURCE_TOKEN)
        assert (response.status, response.headers["Retry-After"]) == (503, "1")
        blocker.close()
        await room.post("events", event(), status=201, as_=SOURCE_TOKEN)


async def test_a_body_beyond_the_limit_is_not_read(tmp_path: Path) -> None:
    """A body of more than 256 KiB gets 413, and the journal none of it."""
    async with control_room(tmp_path) as room:
        response = await room.ask("POST", "/api/v1/events", data=b"x" * (256 * 1024 + 1), as_=SOURCE_TOKEN)
        assert (response.status, response.content_type) == (413, "application/problem+json")
        assert (await room.get("letters"))["letters"] == []


async def test_the_smallest_trigger_speaks(tmp_path: Path) -> None:
    """A place and a region are enough: the playbook speaks in the person's name, in the daemon's realm."""
    async with control_room(tmp_path) as room:
        answer = await room.trigger("storm")
        [alert] = answer["alerts"]
        assert answer["receipt"]["source"] == "operator:Leitstelle A"
        assert (alert["state"], alert["requested_by"], alert["status"]) == ("released", "Leitstelle A", "exercise")
        assert len(await room.deliveries(answer["incident"])) == 2


async def test_a_trigger_repeated_with_its_key_happens_once(tmp_path: Path) -> None:
    """The same key ten times at once is one incident, one alert, one post a channel; other content is a conflict."""
    async with control_room(tmp_path) as room:
        body, headers = {"place": "Bahnhof", "regions": ["leer"]}, {"Idempotency-Key": "k1"}
        path = "/api/v1/playbooks/fire/trigger"
        answers = await asyncio.gather(*(room.ask("POST", path, json=body, headers=headers) for _ in range(10)))
        assert Counter(answer.status for answer in answers) == {201: 1, 200: 9}
        [incident] = {(await answer.json())["incident"] for answer in answers}
        assert len({(await answer.json())["alerts"][0]["id"] for answer in answers}) == 1
        await room.deliveries(incident)
        assert [len(room.channels[name].posts) for name in (WEBSITE, MESSENGER)] == [1, 1]
        await room.trigger("fire", key="k1", place="Rathaus", status=409)


async def test_a_trigger_without_a_key_is_a_new_one(tmp_path: Path) -> None:
    """Two triggers without a key are two incidents."""
    async with control_room(tmp_path) as room:
        assert (await room.trigger())["incident"] != (await room.trigger())["incident"]


@pytest.mark.parametrize(
    ("body", "status", "field"),
    [
        ({"regions": ["leer"]}, 422, "place"), ({"place": "x" * 81, "regions": ["leer"]}, 422, "place"),
        ({"place": "Bahnhof"}, 422, "regions"), ({"place": "Bahnhof", "regions": ["bremen"]}, 422, "regions"),
        ({"place": "Bahnhof", "regions": ["leer"], "colour": "red"}, 422, "colour"),
        ({"place": "Bahnhof", "regions": ["leer"], "severity": "huge"}, 422, "severity"),
        ({"place": "Bahnhof", "regions": ["leer"], "digest": "0"}, 422, "as_of"),
        ({"place": 7, "regions": ["leer"]}, 422, "place"),
        ({"place": "Bahnhof", "regions": ["leer"], "digest": "0", "as_of": 1_800_000_000}, 422, "as_of"),
    ],
)  # fmt: skip
async def test_a_wrong_trigger_names_its_field(
    tmp_path: Path, body: dict[str, object], status: int, field: str
) -> None:
    """A trigger that cannot be understood is refused with the field, and nothing is journaled."""
    async with control_room(tmp_path) as room:
        problem = await room.post("playbooks/fire/trigger", body, status=status)
        assert problem["field"] == field
        assert (await room.get("incidents"))["incidents"] == []


async def test_a_body_with_two_meanings_is_refused(tmp_path: Path) -> None:
    """A key that stands twice, or bytes that are no JSON, get 400."""
    async with control_room(tmp_path) as room:
        for data in (b'{"place": "A", "place": "B", "regions": ["leer"]}', b"{", b"[]", b"\xff"):
            assert (await room.ask("POST", "/api/v1/playbooks/fire/trigger", data=data)).status == 400


async def test_an_unknown_playbook_is_not_found(tmp_path: Path) -> None:
    """A playbook that is not loaded gets 404."""
    async with control_room(tmp_path) as room:
        await room.trigger("flood", status=404)


async def test_a_key_has_an_end(tmp_path: Path) -> None:
    """An Idempotency-Key of more than 200 characters is refused by name."""
    async with control_room(tmp_path) as room:
        assert (await room.trigger(key="k" * 201, status=422))["field"] == "Idempotency-Key"


async def test_a_preview_shows_and_sends_nothing(tmp_path: Path) -> None:
    """A preview gives each distinct text with its channels and lengths, and leaves no trace."""
    async with control_room(tmp_path) as room:
        seen = await room.post("playbooks/bomb/preview", {"place": "Bahnhof", "regions": ["leer"]})
        [text] = seen["texts"]
        assert "Meiden Sie Bahnhof, Leer." in text["body"]
        assert {use["channel"] for use in text["channels"]} == {WEBSITE, MESSENGER}
        assert {(use["length"], use["limit"], use["unit"]) for use in text["channels"]} == {
            (len(text["body"]), 4_000, "characters")
        }
        assert (seen["people"], seen["channels"]) == (2, 2)
        assert (await room.get("incidents"))["incidents"] == []
        assert not any(channel.posts for channel in room.channels.values())


async def test_what_was_previewed_is_what_is_triggered(tmp_path: Path) -> None:
    """A trigger with its preview's key, digest and time says what was seen."""
    async with control_room(tmp_path) as room:
        seen = await room.post("playbooks/fire/preview", {"place": "Bahnhof", "regions": ["leer"]})
        bound = {"digest": seen["digest"], "as_of": seen["as_of"]}
        answer = await room.trigger("fire", key=seen["key"], **bound)
        assert answer["incident"] == seen["incident"]
        await room.deliveries(seen["incident"])
        assert seen["code"] in room.channels[WEBSITE].posts[0].text.body
        assert (await room.trigger("fire", key=seen["key"], status=200, **bound))["receipt"]["state"] == "duplicate"


async def test_a_trigger_that_would_say_something_else_is_refused(tmp_path: Path) -> None:
    """A trigger whose texts, or whose channels, are not those of the preview gets 409 and says nothing."""
    async with control_room(tmp_path) as room:
        seen = await room.post("playbooks/fire/preview", {"place": "Bahnhof", "regions": ["leer"]})
        bound = {"digest": seen["digest"], "as_of": seen["as_of"], "key": seen["key"]}
        await room.trigger("fire", status=409, place="Rathaus", **bound)
        await room.trigger("fire", status=409, regions=["emden"], **bound)
        await room.trigger("fire", status=409, **(bound | {"key": "another"}))
        assert (await room.get("incidents"))["incidents"] == []


async def test_a_preview_grows_old(tmp_path: Path) -> None:
    """A preview of more than ten minutes ago, or of the future, releases nothing."""
    async with control_room(tmp_path) as room:
        seen = await room.post("playbooks/fire/preview", {"place": "Bahnhof", "regions": ["leer"]})
        for shift in (timedelta(minutes=-11), timedelta(minutes=1)):
            as_of = (datetime.fromisoformat(seen["as_of"]) + shift).isoformat()
            problem = await room.trigger("fire", status=409, key=seen["key"], digest=seen["digest"], as_of=as_of)
            assert "too old" in problem["detail"]


async def test_a_live_daemon_triggers_for_real(tmp_path: Path) -> None:
    """In the live realm a person's trigger is an actual alert."""
    async with control_room(tmp_path, realm=Realm.LIVE) as room:
        assert (await room.trigger())["alerts"][0]["status"] == "actual"
