"""Slack's own words: rich text, errors within 200, members and scopes."""

from __future__ import annotations

from datetime import timedelta
from html import unescape
from typing import Any

import pytest
from contract.asking import ask
from contract.kit import kit_of, post
from contract.provider import says
from hypothesis import given, settings
from hypothesis import strategies as st

from dispatcher.model.delivery import Reason, Result

GOOD = says(200, kit_of("slack").good)
MESSAGE = "C0123456789/1790000000.000100"


def _elements(body: dict[str, Any]) -> list[dict[str, Any]]:
    [block] = body["blocks"]
    [section] = block["elements"]
    return section["elements"]


@given(st.text(st.sampled_from("a<>&!@*_`:ä🚨\n"), min_size=1, max_size=30))
@settings(max_examples=30)
async def test_a_text_is_never_mark_up(text: str) -> None:
    """Whatever a text holds, it is read as it stands, and nothing in it can call the whole channel."""
    _, heard = await ask("slack", GOOD, text=text)
    assert "".join(element["text"] for element in _elements(heard.body())) == text
    assert unescape(heard.body()["text"]) == text
    assert "<" not in heard.body()["text"]


async def test_the_headline_is_bold_and_links_are_links() -> None:
    """The headline stands out, addresses can be followed, and the rest is plain."""
    text = "ÜBUNG Polizeieinsatz in Leer\n\nMehr: https://polizei.example/a?b=1. Ende"
    _, heard = await ask("slack", GOOD, text=text)
    assert _elements(heard.body()) == [
        {"type": "text", "text": "ÜBUNG "},
        {"type": "text", "text": "Polizeieinsatz in Leer", "style": {"bold": True}},
        {"type": "text", "text": "\n\nMehr: "},
        {"type": "link", "url": "https://polizei.example/a?b=1"},
        {"type": "text", "text": ". Ende"},
    ]


async def test_a_message_is_named_by_channel_and_time() -> None:
    """Changes go to the channel that the message stands in, also where another one has been configured since."""
    outcome, _ = await ask("slack", GOOD)
    assert outcome.provider_id == MESSAGE
    _, heard = await ask("slack", GOOD, "delete", target="C9876543210/1.2")
    assert heard.body() == {"channel": "C9876543210", "ts": "1.2"}


@pytest.mark.parametrize(
    ("error", "result", "reason"),
    [
        *((error, Result.PERMANENT, Reason.AUTH) for error in (
            "invalid_auth", "not_authed", "account_inactive", "token_revoked", "token_expired", "missing_scope",
            "not_in_channel", "restricted_action", "restricted_action_read_only_channel")),
        *((error, Result.PERMANENT, Reason.REJECTED) for error in (
            "channel_not_found", "is_archived", "no_text", "invalid_blocks", "invalid_arguments", "something_new")),
        ("msg_too_long", Result.PERMANENT, Reason.TOO_LONG),
        ("msg_blocks_too_long", Result.PERMANENT, Reason.TOO_LONG),
        ("ratelimited", Result.TEMPORARY, Reason.RATE_LIMITED),
        ("rate_limited", Result.TEMPORARY, Reason.RATE_LIMITED),
        *((error, Result.TEMPORARY, Reason.SERVER_ERROR) for error in (
            "service_unavailable", "request_timeout", "team_added_to_org")),
        ("fatal_error", Result.IN_DOUBT, Reason.SERVER_ERROR),
        ("internal_error", Result.IN_DOUBT, Reason.SERVER_ERROR),
    ],
)  # fmt: skip
async def test_an_error_within_200_has_its_class(error: str, result: Result, reason: Reason) -> None:
    """Slack refuses with status 200, and the error's name decides."""
    outcome, _ = await ask(
        "slack", says(200, {"ok": False, "error": error, "needed": "chat:write"}, {"Retry-After": "7"})
    )
    assert (outcome.result, outcome.reason) == (result, reason)
    assert outcome.detail == f"{error}, needed: chat:write"
    assert outcome.retry_after == timedelta(seconds=7)


async def test_deleting_what_is_gone_is_done() -> None:
    """A message that is not there any more is deleted; one that cannot be changed is a refusal."""
    gone = says(200, {"ok": False, "error": "message_not_found"})
    assert (await ask("slack", gone, "delete", target=MESSAGE))[0].result is Result.ACCEPTED
    assert (await ask("slack", gone, "edit", target=MESSAGE))[0].result is Result.PERMANENT


async def test_the_history_is_searched_since_the_alert() -> None:
    """What stands in the channel since a minute before the alert is searched; what is no message is passed over."""
    rows = [7, {"ts": "3.0", "text": "other"}, {"ts": "2.0", "text": f"text {post().code}"}]
    outcome, heard = await ask("slack", says(200, {"ok": True, "messages": rows}), "find")
    assert (outcome.result, outcome.provider_id) == (Result.VISIBLE, "C0123456789/2.0")
    assert "/conversations.history?channel=C0123456789&oldest=1" in heard.head()
    outcome, _ = await ask("slack", says(200, {"ok": True}), "find")
    assert outcome.result is Result.TEMPORARY


@pytest.mark.parametrize(
    ("channel", "scopes", "result", "reason"),
    [
        ({"is_member": True}, "chat:write,channels:read", Result.READY, None),
        ({"is_member": True}, "", Result.READY, None),
        ({"is_member": False}, "chat:write, chat:write.public", Result.READY, None),
        ({"is_member": False}, "chat:write", Result.PERMANENT, Reason.AUTH),
        ({"is_member": True}, "channels:read", Result.PERMANENT, Reason.AUTH),
        ({"is_member": True, "is_archived": True}, "chat:write", Result.PERMANENT, Reason.REJECTED),
    ],
)
async def test_only_an_app_that_may_post_is_ready(
    channel: dict[str, Any], scopes: str, result: Result, reason: Reason | None
) -> None:
    """An archived channel, a missing scope or an app that nobody invited is found before an alert needs it."""
    said = says(200, {"ok": True, "channel": channel}, {"x-oauth-scopes": scopes})
    outcome, _ = await ask("slack", said, "probe")
    assert (outcome.result, outcome.reason) == (result, reason)
