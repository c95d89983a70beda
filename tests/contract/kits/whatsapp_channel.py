"""WAHA; posting by hand has its own test."""

from contract.kit import TOKEN, Kit

from dispatcher.model.delivery import Reason, Result

CHAT = "120363000000000001@newsletter"

KIT = Kit(
    settings=lambda base: {"via": "waha", "base_url": base, "chat_id": CHAT, "credential": TOKEN},
    good={"id": f"true_{CHAT}_3EB0C0FFEE", "timestamp": 1_790_000_000, "fromMe": True, "body": "text", "_data": {}},
    good_status=201,
    deviations={
        "404": (Result.PERMANENT, Reason.AUTH),  # no such session
        "501": (Result.PERMANENT, Reason.REJECTED),  # the engine has no such method
    },
)
