"""Telegram's Bot API, whose unknown paths are unknown tokens."""

from contract.kit import TOKEN, Kit

from dispatcher.model.delivery import Reason, Result

KIT = Kit(
    settings=lambda base: {"base_url": base, "chat_id": "@polizei_leer", "credential": TOKEN},
    good={
        "ok": True,
        "result": {"message_id": 7, "date": 1_790_000_000, "chat": {"id": -1001234567890, "username": "polizei_leer"}},
    },
    uploads=lambda _base: [],
    deviations={"404": (Result.PERMANENT, Reason.AUTH)},
)
