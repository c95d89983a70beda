"""Slack's Web API."""

from contract.kit import TOKEN, Kit

KIT = Kit(
    settings=lambda base: {"base_url": base, "channel_id": "C0123456789", "credential": TOKEN},
    good={"ok": True, "channel": "C0123456789", "ts": "1790000000.000100", "message": {"text": "text"}},
)
