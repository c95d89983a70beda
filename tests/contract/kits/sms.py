"""The SMS providers, each with one number: what differs with many is told in its own test."""

from __future__ import annotations

from typing import Any

from contract.kit import TOKEN, Kit

NUMBER = "+4917012345678"
ACCOUNT = "AC" + "0123456789abcdef" * 2


def sms(via: str, base: str, **more: Any) -> dict[str, Any]:
    """Settings of one account at a provider."""
    account = {"account": ACCOUNT} if via == "twilio" else {}
    return {
        "via": via, "base_url": base, "sender": "LEITSTELLE", "recipients": [NUMBER], "credential": TOKEN, **account, **more,
    }  # fmt: skip


GOOD: dict[str, Any] = {
    "seven": {
        "success": "100",
        "messages": [{"id": "77", "recipient": "4917012345678", "success": True, "error": None}],
    },
    "twilio": {"sid": "SM0123456789", "status": "queued", "num_segments": "1", "error_code": None},
    "gatewayapi": {"responses": [{"msg_id": "01J", "recipient": 4917012345678, "reference": "r"}]},
    "infobip": {
        "bulkId": "b1",
        "messages": [{"messageId": "m1", "destination": "4917012345678", "status": {"groupName": "PENDING"}}],
    },
}

VARIANTS = {
    via: Kit(
        settings=lambda base, via=via: sms(via, base),
        good=good,
        good_status={"twilio": 201, "gatewayapi": 202}.get(via, 200),
    )
    for via, good in GOOD.items()
}
