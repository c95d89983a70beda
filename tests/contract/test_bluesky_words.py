"""The AT Protocol's own words: sessions, keys, facets, and the published lexicons."""

from __future__ import annotations

import re
from datetime import UTC, datetime, timedelta
from typing import Any

import aiohttp
import jsonschema
import pytest
from contract.asking import ask, ask_last
from contract.kit import CANARY, channel, kit_of, post
from contract.lexicon import check_input, check_output, check_record
from contract.provider import Behave, in_turn, provider, says
from hypothesis import given, settings
from hypothesis import strategies as st

from dispatcher.channels.base import load_kind
from dispatcher.channels.http import http_client
from dispatcher.model.delivery import Reason, Result
from dispatcher.wall.app import running_wall

KIT = kit_of("bluesky")
LIMIT = load_kind("bluesky").traits(load_kind("bluesky").Settings(**KIT.settings("http://a"))).limit
LOGIN, GOOD = says(*KIT.before[0]), says(200, KIT.good)
EXPIRED = says(400, {"error": "ExpiredToken", "message": "Token has expired"})
KEY = re.compile(r"[234567abcdefghij][234567abcdefghijklmnopqrstuvwxyz]{12}")
WORDS = st.lists(
    st.sampled_from(["Übung", "👩‍👩‍👧", "https://polizei.example/ä?b=1", "(http://a.de).", "طوارئ", "\n"]), max_size=12
)


@given(WORDS)
@settings(max_examples=30)
async def test_what_leaves_is_what_the_lexicons_describe(words: list[str]) -> None:
    """Login, record and place are proper by the published lexicons, and every link is named by its very bytes."""
    text = " ".join(words)
    _, heard = await ask_last("bluesky", GOOD, text=text)
    check_input("com.atproto.server.createSession", heard.body(0))
    data = heard.body(1)
    check_input("com.atproto.repo.putRecord", data)
    check_record(data["record"])
    links = data["record"].get("facets", [])
    assert len(links) == text.count("http")
    for link in links:
        start, end = link["index"]["byteStart"], link["index"]["byteEnd"]
        assert text.encode()[start:end].decode() == link["features"][0]["uri"]
        assert not link["features"][0]["uri"].endswith((".", ")"))


def test_the_lexicons_can_refuse() -> None:
    """A record with a misspelt field, a long text, a facet without bytes or an image without words is found out."""
    good = {"$type": "app.bsky.feed.post", "text": "t", "createdAt": "2026-11-20T10:00:00.000Z"}
    check_record(good)
    bare = {"$type": "app.bsky.embed.images", "images": [{"image": {}}]}
    for wrong in ({"txt": "t"}, {"langs": ["de"] * 4}, {"facets": [{"features": []}]}, {"embed": bare}):
        with pytest.raises(jsonschema.ValidationError):
            check_record({**good, **wrong})
    with pytest.raises(AssertionError):
        check_record({**good, "text": "x" * 301})


@given(st.text(st.sampled_from("aß漢👩‍🚒🏽"), max_size=400))
def test_the_limit_holds_both_of_the_lexicons(text: str) -> None:
    """What fits has at most 300 graphemes and at most 3,000 bytes, and what has both fits."""
    try:
        check_record({"$type": "app.bsky.feed.post", "text": text, "createdAt": "2026-11-20T10:00:00.000Z"})
    except AssertionError:
        assert not LIMIT.fits(text)
    else:
        assert LIMIT.fits(text)


@given(st.text(min_size=1, max_size=40), st.datetimes(min_value=datetime(2026, 1, 1), max_value=datetime(2200, 1, 1)))  # noqa: DTZ001
@settings(max_examples=30)
async def test_the_key_is_valid_and_the_same_for_every_attempt(key: str, moment: datetime) -> None:
    """One post has one record key, in the form that servers demand, and another post has another."""
    given_ = {"key": key, "created_at": moment.replace(tzinfo=UTC)}
    keys = [(await ask_last("bluesky", GOOD, **given_))[1].body(1)["rkey"] for _ in range(2)]
    other = (await ask_last("bluesky", GOOD, **{**given_, "key": key + "x"}))[1].body(1)["rkey"]
    assert keys[0] == keys[1] != other
    assert KEY.fullmatch(keys[0])


async def _twice(*behaves: Behave) -> tuple[Any, int]:
    """What a second send came to, and how many requests both took."""
    async with (
        provider(in_turn(LOGIN, GOOD, *behaves)) as heard,
        http_client() as http,
        channel("bluesky", KIT.settings(heard.url), http) as opened,
    ):
        await opened.send(post())
        return await opened.send(post()), len(heard.requests)


async def test_a_session_is_kept() -> None:
    """The second post needs no second login: logins are few per day."""
    outcome, requests = await _twice(GOOD)
    assert (outcome.result, requests) == (Result.ACCEPTED, 3)


async def test_a_session_that_ended_is_opened_again_once() -> None:
    """An expired token costs one login and loses nothing."""
    outcome, requests = await _twice(EXPIRED, LOGIN, GOOD)
    assert (outcome.result, requests) == (Result.ACCEPTED, 5)
    outcome, requests = await _twice(EXPIRED, LOGIN, EXPIRED)
    assert (outcome.result, outcome.reason, requests) == (Result.PERMANENT, Reason.AUTH, 5)


async def test_the_session_is_as_secret_as_the_password() -> None:
    """A token that a provider echoes reaches no detail."""
    echo = says(500, {"error": "Internal", "message": f"bad access-{CANARY}"})
    outcome, _ = await ask_last("bluesky", echo)
    assert CANARY not in outcome.detail


async def test_the_end_of_a_limit_is_in_unix_seconds() -> None:
    """The reset header of a refused request is how long to wait."""
    reset = str(int((datetime.now(UTC) + timedelta(minutes=5)).timestamp()))
    outcome, _ = await ask_last("bluesky", says(429, {"error": "RateLimitExceeded"}, {"RateLimit-Reset": reset}))
    assert timedelta(minutes=4) < outcome.retry_after <= timedelta(minutes=5)
    outcome, _ = await ask_last("bluesky", says(429, {}, {"RateLimit-Reset": "9" * 40}))
    assert outcome.retry_after is None


async def test_no_record_is_absence_and_other_errors_are_not() -> None:
    """Only a record that is not there means that nothing was posted."""
    absent = says(400, {"error": "RecordNotFound", "message": "Could not locate record"})
    outcome, _ = await ask("bluesky", in_turn(LOGIN, absent), "find")
    assert outcome.result is Result.ABSENT
    outcome, _ = await ask("bluesky", in_turn(LOGIN, says(400, {"error": "InvalidRequest"})), "find")
    assert outcome.result is Result.PERMANENT


async def test_an_account_that_is_not_active_is_not_ready() -> None:
    """A session of a suspended account cannot post."""
    outcome, _ = await ask("bluesky", in_turn(LOGIN, says(200, {"did": "did:plc:a", "active": False})), "probe")
    assert (outcome.result, outcome.reason) == (Result.PERMANENT, Reason.AUTH)


async def test_the_double_answers_as_the_lexicons_describe() -> None:
    """What the wall says to a login, a record and a look-up is proper by the published lexicons."""
    async with running_wall() as wall, aiohttp.ClientSession(f"{wall.url}/bluesky/xrpc/") as session:

        async def call(method: str, path: str, data: Any = None) -> dict[str, Any]:
            async with session.request(method, path, json=data) as response:
                assert response.status == 200
                return await response.json()

        opened = await call("POST", "com.atproto.server.createSession", {"identifier": "a.example", "password": "p"})
        check_output("com.atproto.server.createSession", opened)
        session.headers["Authorization"] = f"Bearer {opened['accessJwt']}"
        place = {"repo": opened["did"], "collection": "app.bsky.feed.post", "rkey": "3l2qxoptmcc2a"}
        put = await call("POST", "com.atproto.repo.putRecord", {**place, "record": {"text": "t"}})
        check_output("com.atproto.repo.putRecord", put)
        query = "&".join(f"{name}={value}" for name, value in place.items())
        check_output("com.atproto.repo.getRecord", await call("GET", f"com.atproto.repo.getRecord?{query}"))
