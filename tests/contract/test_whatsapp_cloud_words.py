"""WhatsApp to people: what leaves, what Meta's codes mean, and that one person's limit is nobody else's."""

from __future__ import annotations

import asyncio
import json
from contextlib import AsyncExitStack
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from contract.kit import channel, post
from contract.kits.sms import NUMBER
from contract.kits.whatsapp_cloud import KIT, OURS, cloud
from contract.provider import Behave, Provider, in_turn, provider, reply, says

from dispatcher.channels.http import http_client
from dispatcher.channels.whatsapp_cloud import Settings, traits
from dispatcher.model.alert import Purpose
from dispatcher.model.channel import Power
from dispatcher.model.delivery import Outcome, Reason, Result

PERMANENT, TEMPORARY, IN_DOUBT, ACCEPTED = Result.PERMANENT, Result.TEMPORARY, Result.IN_DOUBT, Result.ACCEPTED
OTHERS = [f"+49170876543{digit}" for digit in range(5)]
PAIR = 131056


async def ask(behave: Behave, times: int = 1, post_: Any = None, **more: Any) -> tuple[list[Outcome], Provider]:
    """What comes of sending so often while Meta behaves so."""
    async with AsyncExitStack() as stack:
        heard = await stack.enter_async_context(provider(behave))
        http = await stack.enter_async_context(http_client(total=5))
        opened = await stack.enter_async_context(channel("whatsapp_cloud", cloud(heard.url, **more), http))
        return [await opened.send(post_ or post()) for _ in range(times)], heard


def error(code: int, **more: Any) -> dict[str, Any]:
    """An error as Meta writes it, the person's number in its text."""
    said = {"message": f"(#{code}) about {NUMBER}", "type": "OAuthException", "code": code, "fbtrace_id": "AbC", **more}
    return {"error": said}


@pytest.mark.parametrize(
    ("status", "code", "result", "reason"),
    [
        (401, 0, PERMANENT, Reason.AUTH), (401, 190, PERMANENT, Reason.AUTH), (403, 131005, PERMANENT, Reason.AUTH),
        (400, 33, PERMANENT, Reason.AUTH), (403, 131031, PERMANENT, Reason.AUTH), (400, 131042, PERMANENT, Reason.AUTH),
        (400, 133010, PERMANENT, Reason.AUTH), (403, 200, PERMANENT, Reason.AUTH), (403, 368, PERMANENT, Reason.AUTH),
        (400, 80007, TEMPORARY, Reason.RATE_LIMITED), (400, 130429, TEMPORARY, Reason.RATE_LIMITED),
        (400, PAIR, TEMPORARY, Reason.RATE_LIMITED), (400, 131048, TEMPORARY, Reason.RATE_LIMITED),
        (500, 131000, TEMPORARY, Reason.SERVER_ERROR), (503, 131016, TEMPORARY, Reason.SERVER_ERROR),
        (400, 131057, TEMPORARY, Reason.SERVER_ERROR), (503, 2, IN_DOUBT, Reason.SERVER_ERROR),
        (400, 131026, PERMANENT, Reason.REJECTED), (400, 131050, PERMANENT, Reason.REJECTED),
        (400, 131049, PERMANENT, Reason.REJECTED), (400, 100, PERMANENT, Reason.REJECTED),
        (404, 132001, PERMANENT, Reason.AUTH), (400, 132000, PERMANENT, Reason.AUTH),
        (400, 132015, PERMANENT, Reason.AUTH), (400, 132018, PERMANENT, Reason.AUTH),
        (400, 132005, PERMANENT, Reason.TOO_LONG), (200, 131026, PERMANENT, Reason.REJECTED),
        (400, 999999, PERMANENT, Reason.REJECTED), (500, 999999, IN_DOUBT, Reason.SERVER_ERROR),
    ],
)  # fmt: skip
async def test_meta_is_judged_by_its_own_codes(status: int, code: int, result: Result, reason: Reason) -> None:
    """The code decides, whatever HTTP status it came with; code and trace are kept, the person's number is not."""
    [outcome], _ = await ask(says(status, error(code)))
    assert (outcome.result, outcome.reason) == (result, reason)
    assert f"error {code}" in outcome.detail
    assert "AbC" in outcome.detail
    assert NUMBER[1:] not in outcome.detail


@pytest.mark.parametrize(
    ("message", "result", "detail"),
    [
        ({"id": "wamid.1", "message_status": "accepted"}, ACCEPTED, ""),
        ({"id": "wamid.1"}, ACCEPTED, ""),
        ({"id": "wamid.1", "message_status": "held_for_quality_assessment"}, ACCEPTED, "held back"),
        ({"id": "wamid.1", "message_status": "paused"}, PERMANENT, "paused"),
        ({"message_status": "accepted"}, IN_DOUBT, ""),
        ("wamid.1", IN_DOUBT, ""),
    ],
)
async def test_a_success_says_what_kind_of_one(message: Any, result: Result, detail: str) -> None:
    """Taken, taken but held back, or not sent at all for its template is paused; without an id nobody knows."""
    [outcome], _ = await ask(says(200, {"messages": [message]}))
    assert outcome.result is result
    assert detail in outcome.detail


async def test_the_text_travels_as_a_variable() -> None:
    """The approved template is named, its variables hold headline and text on one line, our key comes back in reports."""
    sent = post("Polizeieinsatz in Leer\n\nSchließen Sie Fenster.\n\nNotruf\t112\nStand 14:05 Uhr")
    _, heard = await ask(says(200, KIT.good), post_=sent, end_template="entwarnung")
    assert heard.head().startswith(f"POST /v26.0/{OURS}/messages ")
    variables = ["Polizeieinsatz in Leer", "Schließen Sie Fenster. Notruf 112 · Stand 14:05 Uhr"]
    assert heard.body() == {
        "messaging_product": "whatsapp", "recipient_type": "individual", "to": NUMBER, "type": "template",
        "template": {
            "name": "warnung", "language": {"policy": "deterministic", "code": "de"},
            "components": [{"type": "body", "parameters": [{"type": "text", "text": text} for text in variables]}],
        },
        "biz_opaque_callback_data": sent.key,
    }  # fmt: skip


async def test_an_end_may_have_a_template_of_its_own() -> None:
    """All-clear and false alarm take the other template where there is one; an empty variable is a dash, for none may be empty."""
    end = post(purpose=Purpose.ALL_CLEAR, place="")
    more = {"end_template": "entwarnung", "variables": ["place", "text"]}
    _, heard = await ask(says(200, KIT.good), post_=end, **more)
    template = heard.body()["template"]
    assert template["name"] == "entwarnung"
    [place, text] = [variable["text"] for variable in template["components"][0]["parameters"]]
    assert place == "-"
    assert text.startswith("Polizeieinsatz in Leer · Bleiben Sie")
    _, heard = await ask(says(200, KIT.good), post_=end)
    assert heard.body()["template"]["name"] == "warnung"


def per_person(codes: dict[str, int]) -> Behave:
    """Meta refuses some people by a code each, and takes the others' messages."""

    async def behave(request: bytes, writer: asyncio.StreamWriter) -> None:
        to = json.loads(request.partition(b"\r\n\r\n")[2])["to"]
        status, said = (400, error(codes[to])) if to in codes else (200, KIT.good)
        writer.write(reply(status, json.dumps(said).encode()))
        await writer.drain()

    return behave


async def test_who_cannot_be_reached_keeps_nobody_else_from_it() -> None:
    """People who have opted out or have no WhatsApp are refused by name, and all others get the message, once."""
    people = [NUMBER, *OTHERS]
    [first, again], heard = await ask(per_person({NUMBER: 131026, OTHERS[0]: 131050}), 2, recipients=people)
    assert (first.result, again.result) == (ACCEPTED, ACCEPTED)
    assert "4 of 6 accepted, 2 of 6 refused" in first.detail or "2 of 6 refused, 4 of 6 accepted" in first.detail
    assert len(heard.requests) == 6


async def test_one_persons_limit_is_nobody_elses() -> None:
    """Who has had too many messages waits, longer each time, and is sent it alone; the others are sent it at once."""
    people = [NUMBER, *(f"+4917{number:09}" for number in range(60))]
    codes = {NUMBER: PAIR}
    outcomes, heard = await ask(per_person(codes), 3, recipients=people)
    assert [outcome.result for outcome in outcomes] == [IN_DOUBT] * 3
    assert [outcome.retry_after for outcome in outcomes] == [timedelta(seconds=wait) for wait in (1, 4, 16)]
    assert len(heard.requests) == 61 + 2
    assert "to be tried again" in outcomes[0].detail


async def test_patience_starts_anew_once_somebody_was_reached() -> None:
    """After a message that was taken, the next limit is waited for shortly again, and never for more than minutes."""
    limited, taken = says(400, error(PAIR)), says(200, KIT.good)
    async with AsyncExitStack() as stack:
        heard = await stack.enter_async_context(provider(in_turn(*[limited] * 6, taken, limited)))
        http = await stack.enter_async_context(http_client(total=5))
        opened = await stack.enter_async_context(channel("whatsapp_cloud", cloud(heard.url), http))
        waits = [(await opened.send(post(key=f"{turn:032}"))).retry_after for turn in range(8)]
    assert waits == [*(timedelta(seconds=wait) for wait in (1, 4, 16, 64, 256, 256)), None, timedelta(seconds=1)]


@pytest.mark.parametrize("code", [132001, 190, 130429])
async def test_what_is_wrong_with_us_is_not_asked_for_everyone(code: int) -> None:
    """A template that is not approved, a dead token or our own limit stops the list: a few are asked, not thousands."""
    people = [f"+4917{number:09}" for number in range(200)]
    [outcome], heard = await ask(says(400, error(code)), recipients=people)
    assert outcome.result is (TEMPORARY if code == 130429 else PERMANENT)
    assert len(heard.requests) <= 20


async def test_the_usage_header_says_how_long() -> None:
    """Where Meta names the minutes until our limit is over, they are waited for."""
    header = {"X-Business-Use-Case-Usage": json.dumps({"1": [{"estimated_time_to_regain_access": 3}]})}
    [outcome], _ = await ask(says(400, error(80007), header))
    assert outcome.retry_after == timedelta(minutes=3)


@pytest.mark.parametrize(
    ("said", "status", "result"),
    [({"id": OURS}, 200, Result.READY), ({"id": "1"}, 200, TEMPORARY), (error(190), 401, PERMANENT)],
)
async def test_a_probe_reads_our_own_number(said: Any, status: int, result: Result) -> None:
    """Ready where the token may read the very number; nothing is sent."""
    async with provider(says(status, said)) as heard, http_client() as http:
        async with channel("whatsapp_cloud", cloud(heard.url), http) as opened:
            assert (await opened.probe()).result is result
        assert heard.head(0).startswith(f"GET /v26.0/{OURS}?fields=id,")


@pytest.mark.parametrize(
    ("status", "said", "result", "reason"),
    [
        (200, {"data": [{"name": "warnung", "language": "de", "status": "APPROVED"}]}, Result.READY, None),
        (200, {"data": [{"name": "warnung", "language": "de", "status": "PAUSED"}]}, PERMANENT, Reason.AUTH),
        (200, {"data": [{"name": "warnung", "language": "en", "status": "APPROVED"}]}, PERMANENT, Reason.AUTH),
        (200, {"data": [{"name": "warnung2", "language": "de", "status": "APPROVED"}]}, PERMANENT, Reason.AUTH),
        (400, error(10), Result.READY, Reason.AUTH),
    ],
)
async def test_a_probe_sees_whether_the_template_is_approved(
    status: int, said: Any, result: Result, reason: Reason | None
) -> None:
    """With the account known, a template that Meta would refuse makes the channel not ready; not being told, only less sure."""
    behave = in_turn(says(200, {"id": OURS}), says(status, said), says(400, error(100)))
    settings = {"business_account_id": "102290129340398"}
    async with provider(behave) as heard, http_client() as http:
        async with channel("whatsapp_cloud", cloud(heard.url, **settings), http) as opened:
            outcome = await opened.probe()
        assert heard.head(1).startswith("GET /v26.0/102290129340398/message_templates?name=warnung&")
    assert (outcome.result, outcome.reason) == (result, reason)


async def test_a_bad_rating_is_told() -> None:
    """A number that many people have blocked would still post, and the probe says why that may end."""
    red = says(200, {"id": OURS, "quality_rating": "RED"})
    async with (
        provider(red) as heard, http_client() as http, channel("whatsapp_cloud", cloud(heard.url), http) as opened
    ):  # fmt: skip
        outcome = await opened.probe()
    assert (outcome.result, outcome.reason) == (Result.READY, Reason.REJECTED)


async def test_people_come_from_a_file(tmp_path: Path) -> None:
    """One number on each line, remarks beside them; what is no number is told by its line and not by itself."""
    file = tmp_path / "people.txt"
    file.write_text(f"{NUMBER}  # anna, opted in 2026-03-01\n\n{OTHERS[0]}\n")
    _, heard = await ask(says(200, KIT.good), recipients=[], recipients_file=file)
    assert sorted(json.loads(one.partition(b"\r\n\r\n")[2])["to"] for one in heard.requests) == [NUMBER, OTHERS[0]]
    file.write_text("0170 1234567\n")
    with pytest.raises(ValueError, match="line 1 names nobody"):
        await ask(says(200, KIT.good), recipients=[], recipients_file=file)


def test_what_it_can_is_declared() -> None:
    """No key, no look-up, no edit: whatever is unclear is sent again as a repetition."""
    declared = traits(Settings(**cloud("https://a.example", max_characters=500)))
    assert (declared.powers, declared.limit.size) == ({Power.PROBE}, 500)


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"variables": ["headline"]}, "text is missing"),
        ({"variables": ["text", "weather"]}, "'headline', 'text' or 'place'"),
        ({"recipients": ["0170 1234567"]}, "pattern"),
        ({"template": "Crisis Alert"}, "pattern"),
        ({"template_language": "Deutsch"}, "pattern"),
        ({"phone_number_id": NUMBER}, "pattern"),
    ],
)
def test_settings_that_cannot_work_are_refused(changes: dict[str, Any], said: str) -> None:
    """A template without the text, names that Meta does not give and numbers that are not international are found at load."""
    with pytest.raises(ValueError, match=said):
        Settings(**cloud("https://a.example", **changes))
