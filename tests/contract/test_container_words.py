"""Posting in two steps: what becomes of a container whose publication is not certain, and what both kinds send."""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from typing import Any
from urllib.parse import parse_qs, urlsplit

import pytest
from contract.asking import ask, ask_last
from contract.kit import CANARY, CODE, TOKEN, channel, kit_of, post
from contract.provider import Behave, Provider, in_turn, provider, says, sends

from dispatcher.channels.base import Channel, Unsupported, load_kind
from dispatcher.channels.http import http_client
from dispatcher.model.channel import Power
from dispatcher.model.delivery import Outcome, Reason, Result

KINDS = ["instagram", "threads"]
STATE = {"instagram": "status_code", "threads": "status"}
WHY = {"instagram": "status", "threads": "error_message"}
TEXT = {"instagram": "caption", "threads": "text"}
MADE, OUT, CUT = says(200, {"id": "17900000000000001"}), says(200, {"id": "18000000000000001"}), sends(b"")


def _state(kind: str, state: str, why: str = "") -> Behave:
    return says(200, {STATE[kind]: state, **({WHY[kind]: why} if why else {})})


def _list(kind: str, *texts: str) -> Behave:
    rows = [{"id": str(n), TEXT[kind]: text, "permalink": f"https://a.example/{n}"} for n, text in enumerate(texts)]
    return says(200, {"data": rows})


@asynccontextmanager
async def _open(kind: str, behaves: Sequence[Behave]) -> AsyncIterator[tuple[Channel, Provider]]:
    async with (
        provider(in_turn(*behaves)) as heard,
        http_client() as http,
        channel(kind, kit_of(kind).settings(heard.url), http) as opened,
    ):
        yield opened, heard


async def _sent(kind: str, *behaves: Behave, times: int = 2) -> tuple[list[Outcome], list[str]]:
    """What so many sends of one post came to, and the methods and paths they asked for."""
    async with _open(kind, behaves) as (opened, heard):
        outcomes = [await opened.send(post()) for _ in range(times)]
        lines = [heard.head(number).split("\r\n")[0] for number in range(len(heard.requests))]
    assert len(lines) == len(behaves)
    return outcomes, [f"{line.split()[0]} {urlsplit(line.split()[1]).path.rpartition('/')[2]}" for line in lines]


def _published(asked: list[str]) -> int:
    return sum(line.startswith("POST") and line.endswith("_publish") for line in asked)


@pytest.mark.parametrize("kind", KINDS)
async def test_a_lost_publication_is_not_repeated(kind: str) -> None:
    """When the container turns out to be published, its post is looked up, and nothing is published again."""
    before = [MADE, _state(kind, "FINISHED"), CUT]
    outcomes, asked = await _sent(kind, *before, _state(kind, "PUBLISHED"), _list(kind, "andere", f"unsere {CODE}"))
    assert [outcome.result for outcome in outcomes] == [Result.IN_DOUBT, Result.VISIBLE]
    assert (outcomes[1].provider_id, outcomes[1].url) == ("1", "https://a.example/1")
    assert _published(asked) == 1


@pytest.mark.parametrize("kind", KINDS)
async def test_a_publication_that_is_not_listed_yet_is_waited_for(kind: str) -> None:
    """A published container whose post no list shows yet is asked for again, never published again."""
    late = [_state(kind, "PUBLISHED"), _list(kind)]
    ours = [_state(kind, "PUBLISHED"), _list(kind, CODE)]
    outcomes, asked = await _sent(kind, MADE, _state(kind, "FINISHED"), CUT, *late, *ours, times=3)
    assert [outcome.result for outcome in outcomes] == [Result.IN_DOUBT, Result.TEMPORARY, Result.VISIBLE]
    assert _published(asked) == 1


@pytest.mark.parametrize("kind", KINDS)
async def test_a_publication_that_did_not_arrive_takes_the_same_container(kind: str) -> None:
    """When the container still waits, it and no other one is published."""
    waits = _state(kind, "FINISHED")
    outcomes, asked = await _sent(kind, MADE, waits, CUT, waits, OUT)
    assert [outcome.result for outcome in outcomes] == [Result.IN_DOUBT, Result.ACCEPTED]
    assert outcomes[1].provider_id == "18000000000000001"
    assert sum(line.startswith("POST") for line in asked) == 3


@pytest.mark.parametrize("kind", KINDS)
async def test_a_container_in_the_making_is_asked_for_again(kind: str) -> None:
    """While the provider still makes the container, the next try asks for its state and makes no second one."""
    slow = [_state(kind, "IN_PROGRESS")] * 2
    outcomes, asked = await _sent(kind, MADE, *slow, _state(kind, "FINISHED"), OUT, times=3)
    assert [outcome.result for outcome in outcomes] == [Result.TEMPORARY, Result.TEMPORARY, Result.ACCEPTED]
    assert sum(line.startswith("POST") for line in asked) == 2


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize(
    "gone",
    [
        lambda kind: _state(kind, "EXPIRED"),
        lambda kind: _state(kind, "ERROR"),
        lambda kind: _state(kind, "ERROR", "Error: 2207032"),
        lambda _kind: says(400, {"error": {"code": 100, "error_subcode": 33, "message": "does not exist"}}),
    ],
    ids=["expired", "failed without a word", "failed by the service", "unknown"],
)
async def test_a_container_that_is_gone_is_replaced(kind: str, gone: Any) -> None:
    """A container that came to nothing was no post: the next try makes a new one."""
    outcomes, asked = await _sent(kind, MADE, gone(kind), MADE, _state(kind, "FINISHED"), OUT)
    assert [outcome.result for outcome in outcomes] == [Result.TEMPORARY, Result.ACCEPTED]
    assert _published(asked) == 1


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize(
    ("why", "reason"),
    [("Error: 2207052", Reason.REJECTED), ("2207010", Reason.TOO_LONG), ("INVALID_ASPEC_RATIO", Reason.REJECTED)],
)
async def test_a_container_that_is_refused_is_final(kind: str, why: str, reason: Reason) -> None:
    """An image or a text that the provider will never take is not tried again, and the reason is told."""
    outcomes, _ = await _sent(kind, MADE, _state(kind, "ERROR", why), times=1)
    assert (outcomes[0].result, outcomes[0].reason) == (Result.PERMANENT, reason)
    assert why in outcomes[0].detail


@pytest.mark.parametrize("kind", KINDS)
async def test_after_a_restart_nothing_is_posted_twice(kind: str) -> None:
    """A daemon that died between the steps finds no post, and posts once; one that died after them finds it."""
    async with _open(kind, [MADE, _state(kind, "FINISHED"), CUT]) as (opened, _):
        assert (await opened.send(post())).result is Result.IN_DOUBT
    async with _open(kind, [_list(kind), MADE, _state(kind, "FINISHED"), OUT]) as (opened, heard):
        assert (await opened.find(post())).result is Result.ABSENT
        assert (await opened.send(post())).result is Result.ACCEPTED
        assert len(heard.requests) == 4
    async with _open(kind, [_list(kind, f"da {CODE}")]) as (opened, _):
        assert (await opened.find(post())).result is Result.VISIBLE


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize(
    ("subcode", "result", "reason"),
    [
        (2207042, Result.TEMPORARY, Reason.RATE_LIMITED),
        (2207051, Result.PERMANENT, Reason.AUTH),
        (2207010, Result.PERMANENT, Reason.TOO_LONG),
        (2207001, Result.IN_DOUBT, Reason.SERVER_ERROR),
    ],
)
async def test_subcodes_decide(kind: str, subcode: int, result: Result, reason: Reason) -> None:
    """The subcode says what went wrong, and a service error at the last step leaves a doubt."""
    said = {"error": {"code": -1, "error_subcode": subcode, "message": "said", "fbtrace_id": "A1"}}
    outcome, _ = await ask_last(kind, says(400, said))
    assert (outcome.result, outcome.reason) == (result, reason)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize(
    ("row", "result"),
    [
        ({"quota_usage": 49, "config": {"quota_total": 50}}, Result.READY),
        ({"quota_usage": 50, "config": {"quota_total": 50}}, Result.TEMPORARY),
        ({"quota_usage": 1}, Result.TEMPORARY),
    ],
)
async def test_a_used_up_quota_is_not_ready(kind: str, row: Any, result: Result) -> None:
    """The probe knows how many posts are left, and is not content without the number."""
    outcome, _ = await ask(kind, says(200, {"data": [row]}), "probe")
    assert outcome.result is result


async def test_instagram_sends_image_text_and_description() -> None:
    """The container has the standing image, what it shows, and the text as its caption; the token is in the header."""
    settings = {**kit_of("instagram").settings("http://a"), "image_text": "Eine Warnung"}
    behaves = [MADE, _state("instagram", "FINISHED"), OUT]
    async with (
        provider(in_turn(*behaves)) as heard,
        http_client() as http,
        channel("instagram", {**settings, "base_url": heard.url}, http) as opened,
    ):
        await opened.send(post("Text"))
    image = "https://polizei.example/card.jpg"
    assert heard.body(0) == {"image_url": image, "caption": "Text", "alt_text": "Eine Warnung"}
    assert heard.body(2) == {"creation_id": "17900000000000001"}
    assert all(CANARY not in heard.head(number).split("\r\n")[0] for number in range(3))


def test_instagram_deletes_by_facebooks_login_only() -> None:
    """The login decides about the host and about deletion."""
    kind = load_kind("instagram")
    given = {"user_id": "1", "image_url": "https://a.de/b.jpg", "credential": TOKEN}
    for login, host, deletes in (("facebook", "graph.facebook.com", True), ("instagram", "graph.instagram.com", False)):
        settings = kind.Settings(**given, login=login)
        assert settings.base == f"https://{host}"
        assert (Power.DELETE in kind.traits(settings).powers) is deletes


async def test_instagrams_own_login_has_no_deletion() -> None:
    """What is not declared answers that there is no such verb, and asks nobody."""
    settings = {**kit_of("instagram").settings("http://127.0.0.1:9"), "login": "instagram"}
    async with http_client() as http, channel("instagram", settings, http) as opened:
        assert await opened.delete(post(target="1")) == Unsupported("delete")


async def test_threads_sends_a_form_and_its_token_in_the_url() -> None:
    """Fields leave as a form, signs intact, and the token as the parameter that is documented."""
    _, heard = await ask_last("threads", OUT, text="Ä & ü = 🚨")
    form = parse_qs(heard.requests[0].partition(b"\r\n\r\n")[2].decode())
    assert form == {"media_type": ["TEXT"], "text": ["Ä & ü = 🚨"]}
    for number in range(3):
        query = parse_qs(urlsplit(heard.head(number).split(" ")[1]).query)
        assert query["access_token"] == [CANARY]
    outcome, _ = await ask_last("threads", says(500, {"error": {"code": 2, "message": heard.head()}}))
    assert CANARY not in repr(outcome)
