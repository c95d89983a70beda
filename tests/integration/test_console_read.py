"""What people see: lists with limits, one thing in full, the daemon's own state, the page."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import pytest
from integration.console_kit import MESSENGER, SOURCE_TOKEN, WEBSITE, control_room, event
from integration.test_console_people import by_hand, held

from dispatcher.model.alert import Purpose
from dispatcher.model.cap import Realm, Severity
from dispatcher.model.delivery import DeliveryState, Reason
from dispatcher.plan.pages import Cause


async def test_an_incident_is_shown_in_full(tmp_path: Path) -> None:
    """One incident comes with its events, alerts, deliveries, and what may be said next on how many channels."""
    async with control_room(tmp_path) as room:
        await room.post("events", event(), status=201, as_=SOURCE_TOKEN)
        await room.deliveries("i1")
        found = await room.get("incidents/i1", as_="viewer-token")
        assert (found["place"], found["open"], found["title"]) == ("Bahnhof", True, "Fire")
        assert [one["id"] for one in found["events"]] == ["e1"]
        assert [one["purpose"] for one in found["alerts"]] == ["alert"]
        assert {one["channel"] for one in found["deliveries"]} == {WEBSITE, MESSENGER}
        assert found["reach"] == {"update": 2, "end": 2}
        assert [one["name"] for one in found["updates"]] == ["hall"]


async def test_an_incident_may_be_called_anything(tmp_path: Path) -> None:
    """An incident whose id has slashes, spaces and umlauts is found under it."""
    async with control_room(tmp_path) as room:
        await room.post("events", event(incident="els/7 ä?"), status=201, as_=SOURCE_TOKEN)
        assert (await room.get("incidents/els%2F7%20%C3%A4%3F"))["id"] == "els/7 ä?"


async def test_an_alert_is_shown_as_it_would_be_released(tmp_path: Path) -> None:
    """A held alert comes with texts, channels, digest, how many people it needs and its waiting deliveries."""
    async with control_room(tmp_path) as room:
        alert = await held(room)
        found = await room.get(f"alerts/{alert['id']}")
        assert (found["state"], found["people"], found["released_by"]) == ("held", 2, [])
        assert "Meiden Sie Bahnhof, Leer." in found["texts"][0]["body"]
        assert {one["channel"] for one in found["plan"]} == {WEBSITE, MESSENGER}
        waiting = await room.until(f"alerts/{alert['id']}", lambda one: len(one["deliveries"]) == 2)
        assert {one["state"] for one in waiting["deliveries"]} == {"held"}


async def test_what_is_shown_is_what_is_posted(tmp_path: Path) -> None:
    """An alert's texts are, to the letter, what its channels get: the first word and what follows it."""
    async with control_room(tmp_path) as room:
        incident = (await room.trigger("fire"))["incident"]
        await room.deliveries(incident)
        await room.post(f"incidents/{incident}/update")
        await room.deliveries(incident, count=4)
        for alert in (await room.get(f"alerts?incident={incident}"))["alerts"]:
            [shown] = (await room.get(f"alerts/{alert['id']}"))["texts"]
            [posted] = [post for post in room.channels[WEBSITE].posts if post.alert == alert["id"]]
            assert shown["body"] == posted.text.body


async def test_a_delivery_is_shown_with_its_attempts(tmp_path: Path) -> None:
    """One delivery comes with each attempt and its result."""
    async with control_room(tmp_path) as room:
        found = await room.deliveries((await room.trigger("fire"))["incident"])
        one = await room.get(f"deliveries/{found[0]['id']}")
        assert [attempt["result"] for attempt in one["history"]] == ["accepted"]


async def test_deliveries_are_found_by_what_they_are(tmp_path: Path) -> None:
    """Deliveries can be asked for by state, channel, incident, alert and whether they are open."""
    async with control_room(tmp_path, handler=by_hand) as room:
        answer = await room.trigger("fire")
        incident, alert = answer["incident"], answer["alerts"][0]["id"]
        await room.deliveries(incident, "by_hand", 1)
        await room.deliveries(incident, "accepted", 1)
        await room.trigger("fire", regions=["emden"])
        for query, channels in {
            f"incident={incident}": {WEBSITE, MESSENGER}, f"alert={alert}&state=accepted": {WEBSITE},
            f"channel={MESSENGER}": {MESSENGER}, f"open=true&incident={incident}": {MESSENGER}, "alert=none": set(),
        }.items():  # fmt: skip
            found = (await room.get(f"deliveries?{query}"))["deliveries"]
            assert {one["channel"] for one in found} == channels, query


@pytest.mark.parametrize("path", ["incidents", "alerts", "deliveries", "letters"])
async def test_every_list_has_a_limit(tmp_path: Path, path: str) -> None:
    """A list gives at most as many as asked for, and nobody may ask for more than 1,000 or for what is unknown."""
    async with control_room(tmp_path) as room:
        for number in range(2):
            await room.trigger("fire")
            await room.ask("POST", "/api/v1/events", data=f"no event {number}", as_=SOURCE_TOKEN)
        await room.until(path, lambda data: len(data[path]) >= 2)
        assert len((await room.get(f"{path}?limit=1"))[path]) == 1
        for query, field in {
            "limit=0": "limit",
            "limit=1001": "limit",
            "limit=x": "limit",
            "colour=red": "colour",
        }.items():
            response = await room.ask("GET", f"/api/v1/{path}?{query}")
            assert (response.status, (await response.json())["field"]) == (422, field)


@pytest.mark.parametrize("path", ["incidents/none", "alerts/none", "deliveries/none"])
async def test_what_is_not_there_is_not_found(tmp_path: Path, path: str) -> None:
    """What does not exist gets 404 as a problem."""
    async with control_room(tmp_path) as room:
        response = await room.ask("GET", f"/api/v1/{path}")
        assert (response.status, response.content_type) == (404, "application/problem+json")


async def test_channels_say_what_they_have_done(tmp_path: Path) -> None:
    """Each channel comes with its profile, its deliveries by state and the latest of them."""
    async with control_room(tmp_path) as room:
        await room.deliveries((await room.trigger("fire"))["incident"])
        second = await room.trigger("fire", regions=["emden"])
        await room.deliveries(second["incident"], count=1)
        channels = {one["id"]: one for one in (await room.get("channels"))["channels"]}
        assert channels[WEBSITE]["deliveries"] == {"accepted": 2}
        assert channels[WEBSITE]["latest"]["state"] == "accepted"
        assert channels[WEBSITE]["latest"]["delivery"] == f"{second['alerts'][0]['id']}:{WEBSITE}"
        assert channels[WEBSITE]["limit"] == {
            "unit": "characters", "size": 4_000, "url_length": None, "escaped": [], "most_bytes": None, "spare": 0,
        }  # fmt: skip
        assert channels["duty-team"]["latest"] is None


async def test_playbooks_say_what_they_ask_for(tmp_path: Path) -> None:
    """Each playbook comes with its title, kinds and named updates."""
    async with control_room(tmp_path) as room:
        books = (await room.get("playbooks"))["playbooks"]
        assert {book["id"] for book in books} == {"fire", "storm", "bomb"}
        assert books[0]["updates"][0]["facts"][0]["name"] == "hall"


async def test_a_dead_letter_hides_nothing(tmp_path: Path) -> None:
    """A dead letter shows its bytes with what cannot be printed written out."""
    async with control_room(tmp_path) as room:
        await room.ask("POST", "/api/v1/events", data=b"<b>\x00\xff\xe2\x80\xae", as_=SOURCE_TOKEN)
        [letter] = (await room.get("letters"))["letters"]
        assert letter["payload"] == "<b>\\x00\\xff\\u202e"
        assert (letter["source"], letter["bytes"]) == ("einsatzleit", 8)


async def test_one_snapshot_has_everything_the_page_shows(tmp_path: Path) -> None:
    """The snapshot has incidents, held alerts with texts, tasks with texts to copy, pages, letters and readiness."""
    async with control_room(tmp_path, handler=by_hand) as room:
        await room.deliveries((await room.trigger("fire"))["incident"], "by_hand", 1)
        await held(room)
        await room.ask("POST", "/api/v1/events", data=b"no event", as_=SOURCE_TOKEN)
        found = await room.until("snapshot", lambda data: data["pages"])
        assert len(found["incidents"]) == 2
        assert "Meiden Sie Bahnhof, Leer." in found["held"][0]["texts"][0]["body"]
        assert room.channels[MESSENGER].posts[0].text.body == found["by_hand"][0]["body"]
        assert [letter["payload"] for letter in found["letters"]] == ["no event"]
        assert found["ready"] == {"journal": True, "broker": True}


async def test_a_snapshot_is_never_older_than_the_daemons_state(tmp_path: Path) -> None:
    """A broker that goes away shows in the next snapshot, although the journal stands still."""
    async with control_room(tmp_path) as room:
        assert (await room.get("snapshot"))["ready"]["broker"] is True
        room.ready["broker"] = False
        assert (await room.get("snapshot"))["ready"]["broker"] is False


async def test_the_daemon_says_how_it_is(tmp_path: Path) -> None:
    """Liveness and readiness are open; what is not ready is named with 503."""
    async with control_room(tmp_path) as room:
        assert (await room.ask("GET", "/healthz", as_=None)).status == 200
        assert (await room.ask("GET", "/readyz", as_=None)).status == 200
        room.ready["broker"] = False
        response = await room.ask("GET", "/readyz", as_=None)
        problem = await response.json()
        assert (response.status, problem["detail"]) == (503, "not ready: broker")
        assert (await room.ask("GET", "/healthz", as_=None)).status == 200


async def test_metrics_are_in_prometheus_words(tmp_path: Path) -> None:
    """The metrics count what happened."""
    async with control_room(tmp_path) as room:
        await room.post("events", event(), status=201, as_=SOURCE_TOKEN)
        text = await (await room.ask("GET", "/metrics", as_="viewer-token")).text()
        assert 'dispatcher_events_total{state="journaled"}' in text


async def test_the_description_has_every_route(tmp_path: Path) -> None:
    """The OpenAPI document names every route of the router but the page's files, with its body, role and problems."""
    async with control_room(tmp_path) as room:
        document = await (await room.ask("GET", "/openapi.json")).json()
        described = {(method.upper(), path) for path, methods in document["paths"].items() for method in methods}
        routes = {(route.method, route.resource.canonical) for route in room.client.app.router.routes()}
        assert described == {route for route in routes if not route[1].startswith("/static/")}
        trigger = document["paths"]["/api/v1/playbooks/{id}/trigger"]["post"]
        name = trigger["requestBody"]["content"]["application/json"]["schema"]["$ref"].rpartition("/")[2]
        assert "place" in document["components"]["schemas"][name]["required"]
        assert [one["name"] for one in trigger["parameters"]] == ["id", "Idempotency-Key"]
        assert all(one["summary"] and "default" in one["responses"] for ways in document["paths"].values() for one in ways.values())  # fmt: skip
        references = set(_references(document))
        assert {f"#/components/schemas/{key}" for key in document["components"]["schemas"]} >= references


def _references(part: Any) -> list[str]:
    """Every ``$ref`` in a document."""
    if isinstance(part, list):
        return [found for item in part for found in _references(item)]
    if isinstance(part, dict):
        own = [part["$ref"]] if isinstance(part.get("$ref"), str) else []
        return own + [found for item in part.values() for found in _references(item)]
    return []


@pytest.mark.parametrize(
    ("method", "path", "status"), [("GET", "/nowhere", 404), ("PATCH", "/api/v1/events", 405)]
)  # fmt: skip
async def test_every_error_is_a_problem(tmp_path: Path, method: str, path: str, status: int) -> None:
    """Unknown pages and methods are answered as RFC 9457 says."""
    async with control_room(tmp_path) as room:
        response = await room.ask(method, path)
        assert (response.status, response.content_type) == (status, "application/problem+json")
        assert ((await response.json())["status"], response.headers.get("Allow")) == (
            status,
            "POST" if status == 405 else None,
        )


async def test_a_bug_shows_nothing_of_the_inside(tmp_path: Path) -> None:
    """What nobody expected gets 500 without a word of how it looks inside."""
    async with control_room(tmp_path) as room:
        await room.journal.write(lambda connection: connection.exec_driver_sql("DROP TABLE letters"))
        response = await room.ask("GET", "/api/v1/letters")
        assert (response.status, response.content_type) == (500, "application/problem+json")
        text = await response.text()
        assert "letters" not in text
        assert "Error" not in json.loads(text)["detail"]


@pytest.mark.parametrize(("realm", "loud"), [(Realm.EXERCISE, True), (Realm.LIVE, False)])
async def test_the_page_says_where_it_is(tmp_path: Path, realm: Realm, loud: bool) -> None:
    """The page names its sender, escaped, and its realm; only an exercise says ÜBUNG."""
    async with control_room(tmp_path, realm=realm) as room:
        for path in ("/", "/login"):
            text = await (await room.ask("GET", path)).text()
            assert "Stadt Leer &lt;Probe&gt;" in text
            assert ("ÜBUNG" in text) is loud
            assert f'class="{realm}"' in text


async def test_a_viewers_page_offers_no_decision(tmp_path: Path) -> None:
    """Who may not decide sees no button to raise an alarm."""
    async with control_room(tmp_path) as room:
        assert 'id="raise"' in await (await room.ask("GET", "/")).text()
        assert 'id="raise"' not in await (await room.ask("GET", "/", as_="viewer-token")).text()
        assert (await room.ask("GET", "/", as_=SOURCE_TOKEN)).status == 403


async def test_the_page_has_a_word_for_everything(tmp_path: Path) -> None:
    """Every state, reason, purpose, severity and cause of a page has its German word."""
    async with control_room(tmp_path) as room:
        words = await (await room.ask("GET", "/static/words.js", as_=None)).text()
        known = set(re.findall(r"\b([a-z_]+): [\[\"]", words))
        assert {value for enum in (DeliveryState, Reason, Purpose, Severity, Cause) for value in enum} <= known
