"""What the SMS providers say in words of their own, and whom a post goes to next."""

from __future__ import annotations

import base64
from contextlib import AsyncExitStack
from datetime import timedelta
from typing import Any
from urllib.parse import parse_qs

import pytest
from contract.kit import CANARY, TOKEN, channel, post
from contract.kits.sms import ACCOUNT, GOOD, NUMBER, VARIANTS, sms
from contract.provider import Behave, Provider, in_turn, provider, says

from dispatcher.channels.base import Unsupported
from dispatcher.channels.http import http_client
from dispatcher.channels.sms import Settings, traits
from dispatcher.model.channel import Power, Unit
from dispatcher.model.delivery import Outcome, Reason, Result
from dispatcher.wall.app import running_wall

PERMANENT, TEMPORARY, IN_DOUBT, ACCEPTED = Result.PERMANENT, Result.TEMPORARY, Result.IN_DOUBT, Result.ACCEPTED
OTHER = "+4917087654321"


async def _ask(via: str, behave: Behave, *verbs: str, **more: Any) -> tuple[list[Outcome], Provider]:
    """Some verbs on one channel while its provider behaves so."""
    async with AsyncExitStack() as stack:
        heard = await stack.enter_async_context(provider(behave))
        http = await stack.enter_async_context(http_client(total=5))
        opened = await stack.enter_async_context(channel("sms", sms(via, heard.url, **more), http))
        asked = [getattr(opened, verb)(*([] if verb == "probe" else [post()])) for verb in verbs or ["send"]]
        return [await one for one in asked], heard


def _infobip(name: str) -> dict[str, Any]:
    return {
        "messages": [{"messageId": "m", "destination": NUMBER[1:], "status": {"groupName": "REJECTED", "name": name}}]
    }


def _seven(error: str) -> dict[str, Any]:
    return {"success": "101", "messages": [{"id": None, "recipient": NUMBER[1:], "success": False, "error": error}]}


@pytest.mark.parametrize(
    ("via", "status", "said", "result", "reason"),
    [
        ("seven", 200, 900, PERMANENT, Reason.AUTH),
        ("seven", 200, {"success": "500", "messages": []}, PERMANENT, Reason.AUTH),
        ("seven", 200, {"success": "402"}, PERMANENT, Reason.DUPLICATE),
        ("seven", 200, {"success": "600"}, TEMPORARY, Reason.SERVER_ERROR),
        ("seven", 200, {"success": "700"}, IN_DOUBT, Reason.SERVER_ERROR),
        ("seven", 200, {"success": "401"}, PERMANENT, Reason.TOO_LONG),
        ("seven", 200, 100, IN_DOUBT, Reason.IN_DOUBT),
        ("seven", 200, _seven("202"), PERMANENT, Reason.REJECTED),
        ("seven", 200, _seven("402"), PERMANENT, Reason.DUPLICATE),
        ("twilio", 400, {"code": 21211, "message": NUMBER}, PERMANENT, Reason.REJECTED),
        ("twilio", 400, {"code": 21610}, PERMANENT, Reason.REJECTED),
        ("twilio", 400, {"code": 21606}, PERMANENT, Reason.AUTH),
        ("twilio", 429, {"code": 20429}, TEMPORARY, Reason.RATE_LIMITED),
        ("twilio", 400, {"code": 21611}, TEMPORARY, Reason.RATE_LIMITED),
        ("twilio", 400, {"code": 21617}, PERMANENT, Reason.TOO_LONG),
        ("twilio", 400, {"code": "9" * 5000}, PERMANENT, Reason.REJECTED),
        ("gatewayapi", 202, {"responses": [{"msg_id": None, "recipient": 4917012345678}]}, IN_DOUBT, Reason.IN_DOUBT),
        ("gatewayapi", 422, {"code": "0x0213", "message": NUMBER}, PERMANENT, Reason.REJECTED),
        ("infobip", 200, _infobip("REJECTED_NOT_ENOUGH_CREDITS"), PERMANENT, Reason.AUTH),
        ("infobip", 200, _infobip("REJECTED_DUPLICATE_MESSAGE_ID"), PERMANENT, Reason.DUPLICATE),
        ("infobip", 200, _infobip("REJECTED_DESTINATION"), PERMANENT, Reason.REJECTED),
        ("infobip", 200, _infobip(f"to {NUMBER}"), PERMANENT, Reason.REJECTED),
        ("infobip", 401, {"requestError": {"serviceException": {"messageId": "UNAUTHORIZED"}}}, PERMANENT, Reason.AUTH),
    ],
)
async def test_each_provider_is_judged_by_its_own_codes(
    via: str, status: int, said: Any, result: Result, reason: Reason
) -> None:
    """The provider's code decides, whatever HTTP status it came with, and no number gets into the detail."""
    [outcome], _ = await _ask(via, says(status, said))
    assert (outcome.result, outcome.reason) == (result, reason)
    assert outcome.provider_id == ""
    assert NUMBER[1:] not in outcome.detail
    assert len(outcome.detail) <= 300


async def test_twilio_waits_as_it_is_told() -> None:
    """The wait of a refusal with a code of its own is kept."""
    [outcome], _ = await _ask("twilio", says(429, {"code": 20429}, {"Retry-After": "7"}))
    assert outcome.retry_after == timedelta(seconds=7)


async def test_the_secret_stays_out_in_its_other_form() -> None:
    """Twilio's secret travels in Base64, and an answer that repeats it so is not believed to be harmless."""
    blob = base64.b64encode(f"{ACCOUNT}:{CANARY}".encode()).decode()
    [outcome], heard = await _ask("twilio", says(400, {"code": blob, "message": blob}))
    assert f"Authorization: Basic {blob}" in heard.head()
    assert blob not in repr(outcome)


async def test_seven_gets_all_numbers_in_one_request() -> None:
    """Numbers leave without their plus sign, the text plain, its worth in minutes, the key as our reference."""
    _, heard = await _ask("seven", says(200, GOOD["seven"]), recipients=[NUMBER, OTHER], valid_minutes=20)
    assert heard.body() == {
        "to": "4917012345678,4917087654321", "from": "LEITSTELLE", "text": post().text.body, "ttl": 20,
        "foreign_id": post().key,
    }  # fmt: skip
    assert f"X-Api-Key: {CANARY}" in heard.head()


async def test_twilio_gets_one_number_in_each_request() -> None:
    """A form with the number as it is, the sender or a messaging service, and its worth in seconds."""
    service = "MG" + "0" * 32
    for sender, field in (("LEITSTELLE", "From"), (service, "MessagingServiceSid")):
        _, heard = await _ask("twilio", says(201, GOOD["twilio"]), recipients=[NUMBER, OTHER], sender=sender)
        forms = [parse_qs(request.partition(b"\r\n\r\n")[2].decode()) for request in heard.requests]
        assert sorted(form["To"][0] for form in forms) == [NUMBER, OTHER]
        assert forms[0] | {"To": []} == {
            "To": [], field: [sender], "Body": [post().text.body], "ValidityPeriod": ["3600"],
        }  # fmt: skip
        assert heard.head().startswith(f"POST /2010-04-01/Accounts/{ACCOUNT}/Messages.json ")


async def test_gatewayapi_gets_numbers_as_numbers() -> None:
    """A message for each number, urgent, with our key as its reference."""
    _, heard = await _ask("gatewayapi", says(202, GOOD["gatewayapi"]), recipients=[NUMBER, OTHER])
    [first, second] = heard.body()["messages"]
    assert (first["recipient"], second["recipient"]) == (4917012345678, 4917087654321)
    assert (first["reference"], first["priority"], first["expiration"]) == (post().key, "urgent", "PT60M")


async def test_infobip_gets_ids_of_ours() -> None:
    """Each destination has an id that is the same in every attempt, differs from the others' and hides the number."""
    ids = []
    for _ in range(2):
        _, heard = await _ask("infobip", says(200, GOOD["infobip"]), recipients=[NUMBER, OTHER])
        ids.append([one["messageId"] for one in heard.body()["messages"][0]["destinations"]])
    assert ids[0] == ids[1]
    assert len(set(ids[0])) == 2
    assert not any(NUMBER[1:] in one for one in ids[0])


async def test_what_an_answer_does_not_speak_of_is_in_doubt() -> None:
    """A number that is missing from the answer is not believed to be sent, and only it is sent again."""
    late = {"success": "100", "messages": [{"id": "78", "recipient": OTHER[1:], "success": True}]}
    [first, second], heard = await _ask(
        "seven", in_turn(says(200, GOOD["seven"]), says(200, late)), "send", "send", recipients=[NUMBER, OTHER]
    )
    assert (first.result, second.result) == (IN_DOUBT, ACCEPTED)
    assert heard.body()["to"] == OTHER[1:]


@pytest.mark.parametrize("via", ["twilio", "infobip"])
async def test_a_look_up_spares_whom_the_lost_request_reached(via: str) -> None:
    """After a lost answer the provider is asked whom it took it for, and only the others are sent it again."""
    async with AsyncExitStack() as stack:
        wall = await stack.enter_async_context(running_wall())
        http = await stack.enter_async_context(http_client())
        settings = sms(via, f"{wall.url}/{via}", recipients=[NUMBER, OTHER])
        before = await stack.enter_async_context(channel("sms", {**settings, "recipients": [NUMBER]}, http))
        opened = await stack.enter_async_context(channel("sms", settings, http))
        assert (await opened.find(post())).result is Result.ABSENT
        await before.send(post())
        found = await opened.find(post())
        assert (found.result, found.detail) == (Result.ABSENT, "1 of 2 found")
        assert (await opened.send(post())).result is ACCEPTED
        assert len(wall.board) == 2
        assert (await opened.find(post())).result is Result.VISIBLE


async def test_twilio_lists_go_on() -> None:
    """A list is followed to its last page on the same host, and messages that were given up are not ours."""
    row = {"to": NUMBER, "body": post().text.body, "status": "failed", "sid": "SM1"}
    pages = [
        {"messages": [row], "next_page_uri": f"/2010-04-01/Accounts/{ACCOUNT}/Messages.json?Page=1"},
        {"messages": [{**row, "status": "sent", "sid": "SM2"}], "next_page_uri": None},
    ]
    [outcome], heard = await _ask("twilio", in_turn(*(says(200, page) for page in pages)), "find")
    assert (outcome.result, outcome.provider_id) == (Result.VISIBLE, "SM2")
    assert "PageSize=1000&DateSent%3E=" in heard.head(0)
    elsewhere = {"messages": [row], "next_page_uri": "https://elsewhere.example/"}
    [outcome], heard = await _ask("twilio", says(200, elsewhere), "find")
    assert (outcome.result, len(heard.requests)) == (Result.ABSENT, 1)
    endless = {"messages": [], "next_page_uri": "/again"}
    [outcome], heard = await _ask("twilio", says(200, endless), "find")
    assert (outcome.result, len(heard.requests)) == (Result.ABSENT, 21)


@pytest.mark.parametrize("via", ["twilio", "infobip"])
@pytest.mark.parametrize(
    ("status", "result"), [(500, TEMPORARY), (401, PERMANENT), (200, TEMPORARY)], ids=["500", "401", "no list"]
)
async def test_a_failed_look_up_is_no_finding(via: str, status: int, result: Result) -> None:
    """Where the provider cannot be asked, nothing is known."""
    [outcome], _ = await _ask(via, says(status, {}), "find")
    assert outcome.result is result


@pytest.mark.parametrize(("via", "field"), [("seven", "amount"), ("twilio", "balance"), ("infobip", "balance")])
async def test_a_probe_tells_the_credit(via: str, field: str) -> None:
    """Ready with the credit, not ready with a wrong key, and an answer without a credit proves nothing."""
    [ready], _ = await _ask(via, says(200, {field: 12.5}), "probe")
    assert (ready.result, ready.detail) == (Result.READY, "credit 12.5")
    [unclear], _ = await _ask(via, says(200, {}), "probe")
    assert unclear.result is TEMPORARY
    [wrong], _ = await _ask(via, says(200, 900) if via == "seven" else says(401, {}), "probe")
    assert (wrong.result, wrong.reason) == (PERMANENT, Reason.AUTH)


async def test_what_a_provider_lacks_is_said() -> None:
    """GatewayAPI and seven cannot be asked what they took, GatewayAPI not even for its credit."""
    outcomes, _ = await _ask("gatewayapi", says(200, {}), "find", "probe", "edit", "delete")
    assert outcomes == [Unsupported("find"), Unsupported("probe"), Unsupported("edit"), Unsupported("delete")]
    powers = {via: traits(Settings(**sms(via, "https://a.example"))).powers for via in VARIANTS}
    assert powers == {
        "seven": {Power.PROBE}, "twilio": {Power.FIND, Power.PROBE}, "gatewayapi": set(),
        "infobip": {Power.FIND, Power.PROBE},
    }  # fmt: skip


def test_the_limit_is_in_segments() -> None:
    """As many SMS as the settings allow."""
    limit = traits(Settings(**sms("seven", "https://a.example", max_segments=2))).limit
    assert (limit.unit, limit.size) == (Unit.SEGMENTS, 2)


async def test_typographic_signs_leave_as_plain_ones() -> None:
    """What is counted is what is sent."""
    async with provider(says(200, GOOD["seven"])) as heard, http_client() as http:
        async with channel("sms", sms("seven", heard.url), http) as opened:
            await opened.send(post("Alarm – „Nordtor“ meiden …"))
        assert heard.body()["text"] == 'Alarm - "Nordtor" meiden ...'


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"via": "twilio"}, "account is missing"),
        ({"via": "infobip", "base_url": None}, "base_url is missing"),
        ({"recipients": ["0170 1234567"]}, "pattern"),
        ({"sender": "Leitstelle Osnabrück"}, "pattern"),
        ({"max_segments": 11}, "less than or equal to 10"),
    ],
)
def test_settings_that_cannot_work_are_refused(changes: dict[str, Any], said: str) -> None:
    """A missing account or address, a number that is not international and a name that no phone shows are found at load."""
    with pytest.raises(ValueError, match=said):
        Settings(**{**sms("seven", "https://a.example"), "credential": TOKEN, **changes})


@pytest.mark.parametrize("via", ["seven", "twilio", "gatewayapi"])
def test_providers_are_where_they_are(via: str) -> None:
    """Without an address of one's own the provider's stands."""
    assert Settings(**sms(via, "https://a.example") | {"base_url": None}).origin.startswith("https://")
