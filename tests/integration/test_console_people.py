"""What people decide over HTTP: releases by named people, ends, posts by hand, resends."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any

import pytest
from integration.console_kit import MESSENGER, SOURCE_TOKEN, WEBSITE, Room, control_room, event

from dispatcher.model.alert import Post
from dispatcher.model.delivery import Outcome, Reason, Result


async def by_hand(_post: Post) -> Outcome:
    """A person has to post it."""
    return Outcome(result=Result.BY_HAND, detail="post it, then confirm")


async def refusing(_post: Post) -> Outcome:
    """The provider will not have it."""
    return Outcome(result=Result.PERMANENT, reason=Reason.AUTH, detail="the token was withdrawn")


async def held(room: Room, kind: str = "bomb") -> dict[str, Any]:
    """An alert that a machine's event led to and that people have to release."""
    await room.post("events", event(kind=kind), status=201, as_=SOURCE_TOKEN)
    [alert] = (await room.until("alerts?state=held", lambda data: data["alerts"]))["alerts"]
    return alert


async def test_one_person_releases(tmp_path: Path) -> None:
    """A held alert that needs one person goes out with their name when they have seen its digest."""
    async with control_room(tmp_path) as room:
        alert = await held(room, "storm")
        released = await room.post(f"alerts/{alert['id']}/release", {"digest": alert["digest"]})
        assert (released["state"], released["released_by"]) == ("released", ["Leitstelle A"])
        assert len(await room.deliveries("i1")) == 2


async def test_two_persons_are_two_persons(tmp_path: Path) -> None:
    """The same person does not count twice, not even with a second token; another person does."""
    async with control_room(tmp_path) as room:
        alert = await held(room)
        path, seen = f"alerts/{alert['id']}/release", {"digest": alert["digest"]}
        for token in ("operator-token", "operator-token", "spare-token"):
            answer = await room.post(path, seen, as_=token)
            assert (answer["state"], answer["released_by"]) == ("held", ["Leitstelle A"])
        assert not room.channels[WEBSITE].posts
        answer = await room.post(path, seen, as_="second-token")
        assert (answer["state"], sorted(answer["released_by"])) == ("released", ["Leitstelle A", "Leitstelle B"])
        assert len(await room.deliveries("i1")) == 2


async def test_a_trigger_is_its_persons_release(tmp_path: Path) -> None:
    """Who triggers has released: of two persons the other one is missing, and the same one again is not enough."""
    async with control_room(tmp_path) as room:
        [alert] = (await room.trigger("bomb"))["alerts"]
        assert (alert["state"], alert["released_by"]) == ("held", ["Leitstelle A"])
        path, seen = f"alerts/{alert['id']}/release", {"digest": alert["digest"]}
        assert (await room.post(path, seen, as_="spare-token"))["state"] == "held"
        assert (await room.post(path, seen, as_="supervisor-token"))["state"] == "released"


async def test_a_release_is_bound_to_what_was_seen(tmp_path: Path) -> None:
    """A release with another digest gets 409, counts for nothing, and nothing leaves."""
    async with control_room(tmp_path) as room:
        alert = await held(room, "storm")
        await room.post(f"alerts/{alert['id']}/release", {"digest": "0" * 64}, status=409)
        found = await room.get(f"alerts/{alert['id']}")
        assert (found["state"], found["released_by"]) == ("held", [])
        assert not room.channels[WEBSITE].posts


async def test_a_rejected_alert_stays_unsaid(tmp_path: Path) -> None:
    """A rejection ends every delivery; a release after it gets 409."""
    async with control_room(tmp_path) as room:
        alert = await held(room)
        answer = await room.post(f"alerts/{alert['id']}/reject", {"reason": "a drill of the school"})
        assert answer["state"] == "rejected"
        assert len(await room.deliveries("i1", "cancelled")) == 2
        await room.post(f"alerts/{alert['id']}/release", {"digest": alert["digest"]}, status=409)


@pytest.mark.parametrize("end", ["all-clear", "false-alarm"])
async def test_a_person_ends_an_incident(tmp_path: Path, end: str) -> None:
    """An end goes where the alert went and closes the incident: nothing more is said, however it is asked."""
    async with control_room(tmp_path) as room:
        incident = (await room.trigger("fire"))["incident"]
        await room.deliveries(incident)
        answer = await room.post(f"incidents/{incident}/{end}")
        assert (answer["purpose"], answer["state"], answer["channels"]) == (end.replace("-", "_"), "released", 2)
        assert len(await room.deliveries(incident, count=4)) == 4
        assert not (await room.get(f"incidents/{incident}"))["open"]
        await room.post(f"incidents/{incident}/update", status=409)


async def test_a_repeated_end_is_one_end(tmp_path: Path) -> None:
    """The same key twice is one all-clear: the same alert comes back."""
    async with control_room(tmp_path) as room:
        incident = (await room.trigger("fire"))["incident"]
        await room.deliveries(incident)
        path, headers = f"incidents/{incident}/all-clear", {"Idempotency-Key": "end-1"}
        first, second = [await room.post(path, headers=headers) for _ in range(2)]
        assert first["id"] == second["id"]
        await room.deliveries(incident, count=4)
        assert len(room.channels[WEBSITE].posts) == 2


async def test_a_named_update_needs_its_facts(tmp_path: Path) -> None:
    """A named update is said with its facts; without a required one, or under an unknown name, it is refused by field."""
    async with control_room(tmp_path) as room:
        incident = (await room.trigger("fire"))["incident"]
        await room.deliveries(incident)
        path = f"incidents/{incident}/update"
        assert (await room.post(path, {"name": "hall"}, status=422))["field"] == "facts"
        assert (await room.post(path, {"name": "tents"}, status=422))["field"] == "name"
        answer = await room.post(path, {"name": "hall", "facts": {"hall": "Ostfrieslandhalle"}})
        assert (answer["purpose"], answer["name"]) == ("update", "hall")


async def test_an_unknown_incident_is_not_found(tmp_path: Path) -> None:
    """Nothing can be said about, released of or looked up in what does not exist."""
    async with control_room(tmp_path) as room:
        await room.post("incidents/none/all-clear", status=404)
        await room.post("alerts/none/release", {"digest": "0"}, status=404)
        await room.post("alerts/none/reject", status=404)
        await room.post("deliveries/none/confirm", status=404)
        await room.post("deliveries/none/resend", status=404)


async def test_a_post_by_hand_is_confirmed_by_name(tmp_path: Path) -> None:
    """What a person posted is accepted with its address and their name; a second confirmation gets 409."""
    async with control_room(tmp_path, handler=by_hand) as room:
        incident = (await room.trigger("fire"))["incident"]
        [task] = await room.deliveries(incident, "by_hand", 1)
        path = f"deliveries/{task['id']}/confirm"
        assert (await room.post(path, {"url": "javascript:alert(1)"}, status=422))["field"] == "url"
        answer = await room.post(path, {"url": "https://whatsapp.example/p/1"})
        assert (answer["state"], answer["url"]) == ("accepted", "https://whatsapp.example/p/1")
        assert "Leitstelle A" in answer["detail"]
        await room.post(path, status=409)


async def test_a_failed_delivery_is_sent_again_by_name(tmp_path: Path) -> None:
    """A resend starts a failed delivery anew; one that did not fail gets 409."""
    async with control_room(tmp_path, handler=refusing) as room:
        incident = (await room.trigger("fire"))["incident"]
        [failed] = await room.deliveries(incident, "failed", 1)
        room.channels[MESSENGER].handler = None
        await room.post(f"deliveries/{failed['id']}/resend")
        found = await room.until(f"deliveries/{failed['id']}", lambda one: one["state"] == "accepted")
        assert [attempt["result"] for attempt in found["history"]] == ["permanent", "accepted"]
        await room.post(f"deliveries/{failed['id']}/resend", status=409)


async def test_releases_at_the_same_moment_send_once(tmp_path: Path) -> None:
    """Many people pressing release at once let the alert out once: one post a channel."""
    async with control_room(tmp_path) as room:
        alert = await held(room)
        path, body = f"/api/v1/alerts/{alert['id']}/release", {"digest": alert["digest"]}
        people = ["operator-token", "second-token", "supervisor-token", "spare-token"]
        answers = await asyncio.gather(*(room.ask("POST", path, json=body, as_=token) for token in people))
        assert {answer.status for answer in answers} <= {200, 409}
        await room.deliveries("i1")
        assert [len(room.channels[name].posts) for name in (WEBSITE, MESSENGER)] == [1, 1]
