"""The Signal gateway's own words: two shapes of success, errors in prose, captchas."""

from __future__ import annotations

from typing import Any

import pytest
from contract.asking import ask
from contract.kit import post
from contract.provider import says

from dispatcher.model.delivery import Reason, Result

GROUP = "group.bGVlcg=="
STAMP = "1790000000000"


def _list(*members: Any) -> Any:
    return says(201, [{"timestamp": STAMP, "errors": {"recipients": list(members)}}])


async def test_one_group_is_written_to_in_plain_text() -> None:
    """A message goes to the group alone, and no sign of it is mark-up."""
    _, heard = await ask("signal", says(201, {"timestamp": STAMP}))
    assert heard.head().startswith("POST /v2/send ")
    text = post().text.body
    assert heard.body() == {"number": "+4917012345678", "recipients": [GROUP], "message": text, "text_mode": "normal"}


@pytest.mark.parametrize(
    ("answer", "detail"),
    [
        (says(201, {"timestamp": STAMP}), ""),
        (says(201, {"timestamp": int(STAMP)}), ""),
        (says(201, [{"timestamp": STAMP}]), ""),
        (_list(), ""),
        (
            _list({"number": "+4915112345678", "reason": "IDENTITY_FAILURE"}),
            "did not reach 1 of the group: 1 IDENTITY_FAILURE",
        ),
        (
            _list(
                {"reason": "UNREGISTERED_FAILURE"},
                {"reason": "UNREGISTERED_FAILURE"},
                {"reason": "x +4915112345678"},
                7,
            ),
            "did not reach 4 of the group: 2 UNREGISTERED_FAILURE",
        ),
    ],
)
async def test_both_shapes_of_success_are_read(answer: Any, detail: str) -> None:
    """Older and newer gateways name the message; how many it did not reach is told, who they are is not."""
    outcome, _ = await ask("signal", answer)
    assert (outcome.result, outcome.provider_id, outcome.detail) == (Result.ACCEPTED, STAMP, detail)


@pytest.mark.parametrize("said", [[], [7], {"timestamp": None}, {"timestamp": "soon"}, [{"errors": {}}]])
async def test_a_success_without_a_time_stamp_is_a_doubt(said: Any) -> None:
    """What names no message may have sent one."""
    outcome, _ = await ask("signal", says(201, said))
    assert (outcome.result, outcome.reason) == (Result.IN_DOUBT, Reason.IN_DOUBT)


@pytest.mark.parametrize(
    ("error", "result", "reason"),
    [
        ("Invalid group id", Result.PERMANENT, Reason.REJECTED),
        ("Invalid recipient type", Result.PERMANENT, Reason.REJECTED),
        ("Signal Messenger Groups and phone numbers cannot be specified together", Result.PERMANENT, Reason.REJECTED),
        ("A signal message cannot be sent to more than one group at once", Result.PERMANENT, Reason.REJECTED),
        ("Number not registered with JSON-RPC", Result.PERMANENT, Reason.AUTH),
        ("please first update your profile", Result.PERMANENT, Reason.AUTH),
        ("Untrusted Identity", Result.PERMANENT, Reason.AUTH),
        ("Rate limit exceeded", Result.TEMPORARY, Reason.RATE_LIMITED),
        ("process killed as timeout reached", Result.IN_DOUBT, Reason.SERVER_ERROR),
        ("something new", Result.IN_DOUBT, Reason.SERVER_ERROR),
        ("", Result.IN_DOUBT, Reason.SERVER_ERROR),
    ],
)
async def test_the_words_of_a_400_decide(error: str, result: Result, reason: Reason) -> None:
    """Nearly everything is a 400, and what its words do not tell may have been sent."""
    outcome, _ = await ask("signal", says(400, {"error": error}))
    assert (outcome.result, outcome.reason) == (result, reason)


@pytest.mark.parametrize(("tokens", "result"), [(["a"], Result.PERMANENT), ([], Result.TEMPORARY)])
async def test_a_captcha_is_for_people(tokens: list[str], result: Result) -> None:
    """A limit that only a person can lift is not waited for."""
    said = {"error": "rate limited", "challenge_tokens": tokens, "account": "+4917012345678"}
    outcome, _ = await ask("signal", says(429, said))
    assert (outcome.result, outcome.reason) == (result, Reason.RATE_LIMITED)
    assert ("captcha" in outcome.detail) is bool(tokens)


async def test_changes_name_the_message_by_its_time() -> None:
    """An edit is a message with the time stamp of the first, a deletion names group and time stamp."""
    _, heard = await ask("signal", says(201, {"timestamp": STAMP}), "edit", text="neu", target=STAMP)
    assert (heard.body()["edit_timestamp"], heard.body()["message"]) == (int(STAMP), "neu")
    _, heard = await ask("signal", says(201, {"timestamp": STAMP}), "delete", target=STAMP)
    assert heard.head().startswith("DELETE /v1/remote-delete/%2B4917012345678 ")
    assert heard.body() == {"recipient": GROUP, "timestamp": int(STAMP)}


@pytest.mark.parametrize(
    ("answer", "result", "reason"),
    [
        (says(200, {"id": GROUP, "member": True, "blocked": False}), Result.READY, None),
        (says(200, {"id": GROUP, "member": True, "blocked": True}), Result.PERMANENT, Reason.AUTH),
        (says(200, {"id": GROUP, "member": False}), Result.PERMANENT, Reason.AUTH),
        (says(200, []), Result.PERMANENT, Reason.AUTH),
        (says(400, {"error": "No such group"}), Result.PERMANENT, Reason.REJECTED),
    ],
)
async def test_only_a_member_is_ready(answer: Any, result: Result, reason: Reason | None) -> None:
    """A number that left the group, or that the gateway does not know, is found before an alert needs it."""
    outcome, heard = await ask("signal", answer, "probe")
    assert (outcome.result, outcome.reason) == (result, reason)
    assert heard.head().startswith("GET /v1/groups/%2B4917012345678/group.bGVlcg%3D%3D ")
