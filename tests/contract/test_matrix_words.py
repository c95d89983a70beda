"""Matrix's own words: transactions, replacements, limits, rooms."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest
from contract.asking import ask
from contract.kit import channel, kit_of, post
from contract.kits.matrix import ROOM
from contract.provider import in_turn, provider, says

from dispatcher.channels.base import load_kind
from dispatcher.channels.http import http_client
from dispatcher.model.delivery import Reason, Result
from dispatcher.wall.app import running_wall

GOOD = says(200, kit_of("matrix").good)
EVENT = "$YUwRidLecu0vkuQYzBdH5oSnCjOpLnSkXrQyUeQ1b4k"
USER = "@polizei:matrix.example"
ME, MEMBER = says(200, {"user_id": USER}), says(200, {"membership": "join"})


def _error(status: int, code: str, **more: Any) -> Any:
    return says(status, {"errcode": code, "error": "in words", **more})


async def test_the_key_is_the_transaction() -> None:
    """Room and transaction stand in the path, encoded; the text is plain and calls nobody."""
    outcome, heard = await ask("matrix", GOOD, text="@room *Achtung* <b>")
    path = f"/_matrix/client/v3/rooms/%21leer%3Amatrix.example/send/m.room.message/{post().key}"
    assert heard.head().startswith(f"PUT {path} ")
    assert heard.body() == {"msgtype": "m.text", "body": "@room *Achtung* <b>", "m.mentions": {}}
    assert outcome.provider_id == EVENT
    assert outcome.url == f"https://matrix.to/#/%21leer%3Amatrix.example/%24{EVENT[1:]}?via=matrix.example"


async def test_a_change_names_the_original_and_says_the_new_text() -> None:
    """A replacement carries the new text for clients that know it, and the same with a star for those that do not."""
    _, heard = await ask("matrix", GOOD, "edit", text="neu", target=EVENT)
    event = heard.body()
    assert event["m.relates_to"] == {"rel_type": "m.replace", "event_id": EVENT}
    assert (event["body"], event["m.new_content"]["body"]) == ("* neu", "neu")


async def test_the_longest_text_can_still_be_changed() -> None:
    """A change of the longest text stays within an event, even where JSON doubles every sign."""
    module = load_kind("matrix")
    limit = module.traits(module.Settings(**kit_of("matrix").settings("http://a"))).limit
    async with running_wall() as wall, http_client() as http:
        settings = {**kit_of("matrix").settings(f"{wall.url}/matrix")}
        async with channel("matrix", settings, http) as opened:
            sent = await opened.send(post("kurz"))
            worst = post('"' * limit.size, key="e" * 32, target=sent.provider_id)
            assert (await opened.edit(worst)).result is Result.ACCEPTED
            beyond = post('"' * (limit.size * 2), key="f" * 32, target=sent.provider_id)
            assert (await opened.edit(beyond)).reason is Reason.TOO_LONG


@pytest.mark.parametrize(
    ("status", "code", "result", "reason"),
    [
        (401, "M_UNKNOWN_TOKEN", Result.PERMANENT, Reason.AUTH),
        (403, "M_FORBIDDEN", Result.PERMANENT, Reason.AUTH),
        (403, "M_USER_SUSPENDED", Result.PERMANENT, Reason.AUTH),
        (400, "M_BAD_JSON", Result.PERMANENT, Reason.REJECTED),
        (404, "M_UNRECOGNIZED", Result.PERMANENT, Reason.REJECTED),
        (413, "M_TOO_LARGE", Result.PERMANENT, Reason.TOO_LONG),
        (500, "M_UNKNOWN", Result.IN_DOUBT, Reason.SERVER_ERROR),
    ],
)
async def test_each_code_has_its_class(status: int, code: str, result: Result, reason: Reason) -> None:
    """The class is the status's, and the server's own code is told."""
    outcome, _ = await ask("matrix", _error(status, code))
    assert (outcome.result, outcome.reason) == (result, reason)
    assert f"{code}: in words" in outcome.detail


@pytest.mark.parametrize(
    ("wait", "header", "seconds"),
    [(2500, {}, 2.5), (2500, {"Retry-After": "3"}, 3), (10**30, {}, 86_400), ("soon", {}, None), (-4, {}, None)],
)
async def test_the_wait_is_a_header_or_milliseconds(wait: Any, header: dict[str, str], seconds: float | None) -> None:
    """Retry-After counts first; a server that does not send it says the wait in the body."""
    behave = says(429, {"errcode": "M_LIMIT_EXCEEDED", "retry_after_ms": wait}, header)
    outcome, _ = await ask("matrix", behave)
    assert (outcome.result, outcome.reason) == (Result.TEMPORARY, Reason.RATE_LIMITED)
    assert outcome.retry_after == (None if seconds is None else timedelta(seconds=seconds))


async def test_the_original_is_found_and_not_its_change() -> None:
    """A replacement carries the code as well, but what was posted is the original; what is no event is passed over."""
    text = f"anders {post().code}"
    change = {"body": text, "m.relates_to": {"rel_type": "m.replace", "event_id": EVENT}}
    rows = [
        {"event_id": "$change", "content": change}, {"event_id": "$redacted", "content": {}}, 7,
        {"event_id": "$odd", "content": [text]}, {"event_id": EVENT, "content": {"body": text}},
    ]  # fmt: skip
    outcome, heard = await ask("matrix", says(200, {"chunk": rows}), "find")
    assert (outcome.result, outcome.provider_id) == (Result.VISIBLE, EVENT)
    assert "/messages?dir=b&limit=50&filter=%7B" in heard.head()


@pytest.mark.parametrize(
    ("levels", "result"),
    [
        (says(200, {"users": {USER: 50}, "events_default": 50}), Result.READY),
        (says(200, {"users": {USER: 49}, "events_default": 50}), Result.PERMANENT),
        (says(200, {"users_default": 10, "events": {"m.room.message": 10}, "events_default": 50}), Result.READY),
        (says(200, {"users": {USER: 0}, "users_default": 99, "events_default": 1}), Result.PERMANENT),
        (says(200, {"users": [], "events": None}), Result.READY),
        (_error(404, "M_NOT_FOUND"), Result.READY),
        (_error(403, "M_FORBIDDEN"), Result.PERMANENT),
    ],
)
async def test_only_a_member_that_may_post_is_ready(levels: Any, result: Result) -> None:
    """Power levels decide, those of the account and of messages before the general ones."""
    outcome, heard = await ask("matrix", in_turn(ME, MEMBER, levels), "probe")
    assert outcome.result is result
    assert len(heard.requests) == 3


async def test_who_is_not_in_the_room_is_not_ready() -> None:
    """An account that left, or was never there, is found before an alert needs it."""
    for membership in (says(200, {"membership": "leave"}), _error(403, "M_FORBIDDEN")):
        outcome, heard = await ask("matrix", in_turn(ME, membership), "probe")
        assert (outcome.result, outcome.reason) == (Result.PERMANENT, Reason.AUTH)
        assert len(heard.requests) == 2


NEWER_ROOM = "!31hneApxJ_1o-63DmFrpeqnkFfWppnzWso1JvH3ogLM"
MADE = {"sender": "@lage:matrix.example", "content": {"room_version": "12"}}
BESIDE = {"additional_creators": [USER]}


@pytest.mark.parametrize(
    ("room", "level", "made", "result", "requests"),
    [
        (NEWER_ROOM, 0, says(200, MADE), Result.READY, 3),
        (NEWER_ROOM, 50, says(200, MADE), Result.PERMANENT, 4),
        (NEWER_ROOM, 50, says(200, {**MADE, "sender": USER}), Result.READY, 4),
        (NEWER_ROOM, 50, says(200, {**MADE, "content": BESIDE}), Result.READY, 4),
        (NEWER_ROOM, 50, says(200, {"content": {"additional_creators": USER}}), Result.PERMANENT, 4),
        (NEWER_ROOM, 50, says(503), Result.TEMPORARY, 4),
        (ROOM, 50, says(200, {**MADE, "sender": USER}), Result.PERMANENT, 3),
    ],
)
async def test_who_made_a_newer_room_may_always_post(
    room: str, level: int, made: Any, result: Result, requests: int
) -> None:
    """From room version 12 on, levels do not tell what the room's makers may; before, levels are the last word."""
    behave = in_turn(ME, MEMBER, says(200, {"events_default": level}), made)
    async with provider(behave) as heard, http_client() as http:
        settings = {**kit_of("matrix").settings(heard.url), "room_id": room}
        async with channel("matrix", settings, http) as opened:
            assert (await opened.probe()).result is result
    assert len(heard.requests) == requests
