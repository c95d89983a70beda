"""One mail relay with STARTTLS and a login; two of them, and many recipients, have their own tests."""

from __future__ import annotations

from typing import Any
from urllib.parse import urlsplit

from contract.kit import TOKEN, Kit
from contract.relay import authority


def email(*bases: str, **more: Any) -> dict[str, Any]:
    """Settings for relays at these addresses."""
    return {
        "relays": [urlsplit(base).netloc for base in bases], "ca_file": authority()[1], "username": "leitstelle",
        "credential": TOKEN, "sender": "leitstelle@polizei.example", "sender_name": "Polizei Osnabrück",
        "recipients": ["lage@stadt.example"], "ready_seconds": 0.5, "answer_seconds": 0.5, **more,
    }  # fmt: skip


KIT = Kit(settings=email, good=None, speaks="smtp")
