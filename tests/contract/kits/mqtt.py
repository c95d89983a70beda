"""A siren behind a broker over TLS, with a login; several units, and a real broker, have their own tests."""

from __future__ import annotations

from typing import Any
from urllib.parse import urlsplit

from contract.kit import TOKEN, Kit
from contract.relay import authority

SECURE = "mqtts"


def mqtt(base: str, scheme: str = SECURE, **more: Any) -> dict[str, Any]:
    """Settings for a broker at this address."""
    return {
        "url": f"{scheme}://{urlsplit(base).netloc}", "topic": "sirens/leer/orders", "ack_topic": "sirens/leer/acks",
        "username": "leitstelle", "credential": TOKEN, "ready_seconds": 0.5, "answer_seconds": 0.5,
        **({"ca_file": authority()[1]} if scheme == SECURE else {}), **more,
    }  # fmt: skip


KIT = Kit(settings=mqtt, good=None, speaks="mqtt")
