"""An ntfy server."""

from contract.kit import TOKEN, Kit

KIT = Kit(
    settings=lambda base: {"url": f"{base}/duty-team", "credential": TOKEN},
    good={"id": "hwQ2YpKdmg", "time": 1_790_000_000, "event": "message", "topic": "duty-team", "message": "text"},
)
