"""LinkedIn's own words: its text format, its header, its errors."""

from __future__ import annotations

from typing import Any

import pytest
from contract.asking import ask
from contract.kit import kit_of, post
from contract.provider import says
from hypothesis import given, settings
from hypothesis import strategies as st

from dispatcher.channels.base import load_kind
from dispatcher.model.delivery import Reason, Result

KIT = kit_of("linkedin_page")
LIMIT = load_kind("linkedin_page").traits(load_kind("linkedin_page").Settings(**KIT.settings("http://a"))).limit
GOOD = says(201, None, KIT.headers)


async def test_every_reserved_sign_is_escaped() -> None:
    """An unescaped sign would cut the post off without an error, so each has a backslash before it."""
    _, heard = await ask("linkedin_page", GOOD, text=r"a\|{}@[]()<>#*_~-!")
    assert heard.body()["commentary"] == r"a\\\|\{\}\@\[\]\(\)\<\>\#\*\_\~-!"


async def test_every_request_names_version_and_author() -> None:
    """The version header and the page's URN are in the request, and the id comes out of the answer's header."""
    outcome, heard = await ask("linkedin_page", GOOD)
    assert "LinkedIn-Version: 202609" in heard.head()
    assert heard.body()["author"] == "urn:li:organization:123456"
    assert outcome.provider_id == "urn:li:share:7400000000000000001"
    assert outcome.url == "https://www.linkedin.com/feed/update/urn:li:share:7400000000000000001/"


async def test_an_edit_is_a_partial_update_of_an_encoded_urn() -> None:
    """Only the commentary changes, and the URN's colons leave encoded."""
    _, heard = await ask("linkedin_page", says(204), "edit", target="urn:li:share:1", text="neu (2)")
    assert heard.head().startswith("POST /rest/posts/urn%3Ali%3Ashare%3A1 ")
    assert "X-RestLi-Method: PARTIAL_UPDATE" in heard.head()
    assert heard.body() == {"patch": {"$set": {"commentary": r"neu \(2\)"}}}


@pytest.mark.parametrize(
    ("status", "said", "result", "reason"),
    [
        (400, {"code": "FIELD_LENGTH_TOO_LONG", "message": "too long"}, Result.PERMANENT, Reason.TOO_LONG),
        (403, {"code": "ACCESS_DENIED", "message": "no role"}, Result.PERMANENT, Reason.AUTH),
        (409, {"code": "CONFLICT", "message": "conflict"}, Result.IN_DOUBT, Reason.SERVER_ERROR),
        (422, {"message": "something else"}, Result.PERMANENT, Reason.REJECTED),
        (426, {"code": "NONEXISTENT_VERSION", "message": "ended"}, Result.PERMANENT, Reason.AUTH),
        (429, {"code": "TOO_MANY_REQUESTS"}, Result.TEMPORARY, Reason.RATE_LIMITED),
    ],
)
async def test_each_error_has_its_class(status: int, said: Any, result: Result, reason: Reason) -> None:
    """Status and code together say whether another try helps, and the request's number is kept for LinkedIn's support."""
    outcome, _ = await ask("linkedin_page", says(status, said, {"X-LI-UUID": "AAY1"}))
    assert (outcome.result, outcome.reason) == (result, reason)
    assert "AAY1" in outcome.detail


async def test_a_duplicate_names_the_post_that_stands_there() -> None:
    """The URN in the refusal of a repetition is kept: after a doubt it is the post that went out."""
    said = {
        "message": "Content is a duplicate of urn:li:ugcPost:77",
        "errorDetails": {"inputErrors": [{"code": "DUPLICATE_POST"}]},
    }
    outcome, _ = await ask("linkedin_page", says(422, said))
    assert (outcome.reason, outcome.provider_id) == (Reason.DUPLICATE, "urn:li:ugcPost:77")


@settings(max_examples=30)
@given(st.text(st.sampled_from("aä€🚨\\|{}@[]()<>#*_~"), max_size=40))
async def test_the_limit_counts_what_leaves(text: str) -> None:
    """The measure of a text is the length of its escaped form in UTF-16 units."""
    _, heard = await ask("linkedin_page", GOOD, text=text)
    assert LIMIT.measure(text) == len(heard.body()["commentary"].encode("utf-16-le")) // 2


async def test_a_look_up_reads_the_escaped_form() -> None:
    """The code of a post is found in a text that comes back escaped."""
    rows = [
        {"id": "urn:li:share:2", "commentary": "andere"},
        {"id": "urn:li:share:1", "commentary": rf"\#a {post().code}"},
    ]
    outcome, _ = await ask("linkedin_page", says(200, {"elements": rows}), "find")
    assert (outcome.result, outcome.provider_id) == (Result.VISIBLE, "urn:li:share:1")
