"""Meta's WhatsApp Cloud API, with one person on the list: what differs with many is told in its own test."""

from __future__ import annotations

from typing import Any

from contract.kit import TOKEN, Kit
from contract.kits.sms import NUMBER

from dispatcher.model.delivery import Reason, Result

OURS = "106540352242922"

# Without an error code of Meta's own, no server error says that the message was not taken.
_DOUBT = (Result.IN_DOUBT, Reason.SERVER_ERROR)


def cloud(base: str, **more: Any) -> dict[str, Any]:
    """Settings of one number and one template."""
    return {
        "base_url": base, "phone_number_id": OURS, "template": "warnung", "recipients": [NUMBER], "credential": TOKEN,
        **more,
    }  # fmt: skip


KIT = Kit(
    settings=cloud,
    good={
        "messaging_product": "whatsapp",
        "contacts": [{"input": NUMBER, "wa_id": NUMBER[1:]}],
        "messages": [{"id": "wamid.HBgMNDkxNzAxMjM0NTY3OBUCABEYEjVDRDQ", "message_status": "accepted"}],
    },
    deviations={"503": _DOUBT, "503 with Retry-After": _DOUBT},
)
