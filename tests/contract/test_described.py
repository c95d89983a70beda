"""What a kind asks and what the wall answers, held to the description that its provider publishes."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from functools import partial
from importlib.resources import files
from typing import Any

import jsonschema
import pytest
from contract.described import check
from contract.descriptions import DESCRIPTIONS, PREFIXES, all_verbs, described_as, share_of
from contract.kit import kind_of
from contract.tables import DESCRIBED_MARK as MARK
from contract.test_verbs import AT_THE_WALL

from dispatcher.documents import read_yaml

WORDS = ("application/json", "application/x-www-form-urlencoded")
Record = Callable[[str, Any], None]
SHEET = read_yaml((files("dispatcher.channels") / "QUALITY.yaml").read_text(), "QUALITY.yaml").data["kinds"]

# The calls of which a description of their paths is at hand.
DESCRIBED = {
    "mastodon": {
        "POST /api/v1/statuses", "PUT /api/v1/statuses/{id}", "DELETE /api/v1/statuses/{id}", "POST /api/v2/media",
        "GET /api/v1/media/{id}", "GET /api/v1/accounts/verify_credentials", "GET /api/v1/accounts/{id}/statuses",
    },
    "matrix": {
        "PUT /rooms/{roomId}/send/{eventType}/{txnId}", "PUT /rooms/{roomId}/redact/{eventId}/{txnId}",
        "GET /rooms/{roomId}/messages", "GET /account/whoami", "GET /rooms/{roomId}/state/{eventType}",
        "GET /rooms/{roomId}/state/{eventType}/{stateKey}",
    },
    "signal": {"POST /v2/send", "DELETE /v1/remote-delete/{number}", "GET /v1/groups/{number}/{groupid}"},
    "gotify/client": {"POST /message", "DELETE /message/{id}", "GET /application/{id}/message"},
    "whatsapp_channel": {
        "POST /api/sendText", "GET /api/{session}/chats/{chatId}/messages",
        "PUT /api/{session}/chats/{chatId}/messages/{messageId}",
        "DELETE /api/{session}/chats/{chatId}/messages/{messageId}", "GET /api/sessions/{session}",
    },
    "slack": {
        "POST /chat.postMessage", "POST /chat.update", "POST /chat.delete", "GET /conversations.history", "GET /conversations.info",
    },
    "sms/twilio": {
        "POST /2010-04-01/Accounts/{AccountSid}/Messages.json", "GET /2010-04-01/Accounts/{AccountSid}/Messages.json",
        "GET /2010-04-01/Accounts/{AccountSid}/Balance.json",
    },
    "whatsapp_cloud": {"POST /{Version}/{Phone-Number-ID}/messages", "GET /{Version}/{Phone-Number-ID}"},
}  # fmt: skip


def reason_of(name: str) -> str:
    """Why a kind has no description here, empty where it or this variant of it has one."""
    if name in DESCRIPTIONS:
        return ""
    row = SHEET[kind_of(name)]
    return str({**row["todo"], **row["exempt"]}.get("description", ""))


@pytest.mark.parametrize("name", sorted(AT_THE_WALL))
async def test_what_a_kind_and_its_double_say_is_as_described(name: str, record_property: Record) -> None:
    """Whatever is described of what a kind says and the wall answers is so, and the share is printed at the end."""
    share = share_of(name, await all_verbs(name), reason_of(name))
    record_property(MARK, tuple(share))  # between processes nothing else travels
    assert (share.questions > 0) is (not reason_of(name))
    assert (share.questions == share.answers == share.calls > 0) is (not share.why)


@pytest.mark.parametrize("name", DESCRIBED)
async def test_what_is_asked_and_answered_is_as_described(name: str) -> None:
    """Every call that the provider describes is made as it says, and the wall answers it as it says."""
    said = await all_verbs(name)
    assert {check(described_as(name), PREFIXES[described_as(name)], *pair) for pair in said} - {""} == DESCRIBED[name]


@pytest.mark.parametrize("name", DESCRIBED)
async def test_a_description_can_refuse(name: str) -> None:
    """A call with a field, a place or an answer that the description does not know is found out."""
    folder, calls = described_as(name), DESCRIBED[name]
    hold = partial(check, folder, PREFIXES[folder])
    request, answer = next(pair for pair in await all_verbs(name) if pair[0].headers.get("Content-Type") in WORDS)
    wrong = [
        (request, replace(answer, status=418)),
        (
            request,
            replace(answer, body=b'{"event_id": 7, "timestamp": 7, "id": "7", "sid": 7, "ok": "7", "messages": 7}'),
        ),
        (replace(request, url=f"{request.url}?colour=red"), answer),
    ]
    for pair in wrong:
        with pytest.raises((jsonschema.ValidationError, AssertionError, KeyError)):
            hold(*pair)
    assert hold(request, answer) in calls
    assert not hold(replace(request, method="BREW"), answer)
    assert request.body
