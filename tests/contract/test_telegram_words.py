"""Telegram's own words: mark-up, descriptions, waits, and a token that is part of the URL."""

from __future__ import annotations

from datetime import timedelta
from html import unescape
from typing import Any

import pytest
from contract.asking import ask
from contract.kit import CANARY, TOKEN_VARIABLE, kit_of
from contract.provider import in_turn, says
from hypothesis import given, settings
from hypothesis import strategies as st

from dispatcher.model.delivery import Outcome, Reason, Result

GOOD = says(200, kit_of("telegram").good)


def _error(status: int, description: str, **more: Any) -> Any:
    return says(status, {"ok": False, "error_code": status, "description": description, **more})


@given(st.text(st.sampled_from("a<>&\"'ä🚨;b/"), max_size=30))
@settings(max_examples=30)
async def test_a_text_is_never_mark_up(body: str) -> None:
    """Whatever a text holds, it is read as it stands."""
    _, heard = await ask("telegram", GOOD, text=body)
    assert heard.body()["parse_mode"] == "HTML"
    assert "<" not in heard.body()["text"]
    assert unescape(heard.body()["text"]) == body


async def test_the_headline_is_bold_where_it_stands() -> None:
    """The headline stands out, and the rest is plain."""
    _, heard = await ask("telegram", GOOD, text="ÜBUNG Polizeieinsatz in Leer\n\nweiter < hier")
    assert heard.body()["text"] == "ÜBUNG <b>Polizeieinsatz in Leer</b>\n\nweiter &lt; hier"


async def test_an_acceptance_names_chat_and_message_by_number() -> None:
    """A channel may change its name, so its number is kept; the public address has the name."""
    outcome, heard = await ask("telegram", GOOD)
    assert heard.head().startswith(f"POST /bot{CANARY}/sendMessage ")
    assert outcome.provider_id == "-1001234567890/7"
    assert outcome.url == "https://t.me/polizei_leer/7"
    _, heard = await ask("telegram", says(200, {"ok": True, "result": True}), "delete", target=outcome.provider_id)
    assert heard.body() == {"chat_id": "-1001234567890", "message_id": 7}


@pytest.mark.parametrize(
    ("status", "description", "result", "reason"),
    [
        (400, "Bad Request: message is too long", Result.PERMANENT, Reason.TOO_LONG),
        (400, "Bad Request: not enough rights to send text messages to the chat", Result.PERMANENT, Reason.AUTH),
        (400, "Bad Request: CHAT_WRITE_FORBIDDEN", Result.PERMANENT, Reason.AUTH),
        (400, "Bad Request: chat not found", Result.PERMANENT, Reason.REJECTED),
        (401, "Unauthorized", Result.PERMANENT, Reason.AUTH),
        (403, "Forbidden: bot is not a member of the channel chat", Result.PERMANENT, Reason.AUTH),
        (404, "Not Found", Result.PERMANENT, Reason.AUTH),
        (500, "Internal Server Error: restart", Result.IN_DOUBT, Reason.SERVER_ERROR),
    ],
)
async def test_each_description_has_its_class(status: int, description: str, result: Result, reason: Reason) -> None:
    """Telegram says what is wrong in words, and they decide."""
    outcome, _ = await ask("telegram", _error(status, description))
    assert (outcome.result, outcome.reason) == (result, reason)


@pytest.mark.parametrize(("wait", "seconds"), [(35, 35), (10**30, 86_400), ("soon", 9), (-4, 9), (None, 9)])
async def test_the_wait_stands_in_the_parameters(wait: Any, seconds: int) -> None:
    """The number in the body counts, within a day; where it is none, Retry-After does."""
    said = {"ok": False, "error_code": 429, "description": "Too Many Requests", "parameters": {"retry_after": wait}}
    outcome, _ = await ask("telegram", says(429, said, {"Retry-After": "9"}))
    assert outcome.retry_after == timedelta(seconds=seconds)


@pytest.mark.parametrize(
    ("verb", "description"), [("edit", "message is not modified"), ("delete", "message to delete not found")]
)
async def test_what_is_done_already_is_done(verb: str, description: str) -> None:
    """A text that stands there and a message that is gone are what was wanted."""
    outcome, _ = await ask("telegram", _error(400, f"Bad Request: {description}"), verb, target="-1001/7")
    assert outcome.result is Result.ACCEPTED


@pytest.mark.parametrize(
    ("member", "result"),
    [
        ({"status": "creator"}, Result.READY),
        ({"status": "administrator", "can_post_messages": True}, Result.READY),
        ({"status": "administrator", "can_post_messages": False}, Result.PERMANENT),
        ({"status": "left"}, Result.PERMANENT),
    ],
)
async def test_only_an_administrator_that_may_post_is_ready(member: dict[str, Any], result: Result) -> None:
    """A bot that is no administrator, or may not post, is found before an alert needs it."""
    me = says(200, {"ok": True, "result": {"id": 7, "is_bot": True}})
    outcome, heard = await ask("telegram", in_turn(me, says(200, {"ok": True, "result": member})), "probe")
    assert outcome.result is result
    assert heard.body() == {"chat_id": "@polizei_leer", "user_id": 7}


@pytest.mark.parametrize("token", [f"123456:{CANARY}", f"123:{CANARY.title()}", f"12/{CANARY}==", f"a b?{CANARY}"])
@pytest.mark.parametrize("verb", ["send", "edit", "delete", "probe"])
async def test_the_token_is_never_told(token: str, verb: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """However a token looks, no verb tells it, not even when the provider echoes the path it was asked for."""
    monkeypatch.setenv(TOKEN_VARIABLE, token)
    _, heard = await ask("telegram", GOOD)
    path = heard.head().split(" ")[1]
    outcome, _ = await ask("telegram", _error(400, f"no such path {path} {token}"), verb, target="-1001/7")
    assert isinstance(outcome, Outcome)
    assert CANARY not in repr(outcome).lower()


async def test_a_private_channel_has_an_address_for_its_members() -> None:
    """Without a public name the address is made of the number."""
    private = {"ok": True, "result": {"message_id": 7, "chat": {"id": -1001234567890}}}
    outcome, _ = await ask("telegram", says(200, private))
    assert outcome.url == "https://t.me/c/1234567890/7"
