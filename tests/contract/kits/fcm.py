"""Firebase Cloud Messaging: a token comes before the first message."""

from __future__ import annotations

from typing import Any

from contract.kit import CANARY, SERVICE_VARIABLE, Kit


def fcm(base: str, **more: Any) -> dict[str, Any]:
    """Settings of one topic."""
    return {
        "base_url": base, "token_url": f"{base}/token", "project": "leer-warnt", "topic": "leer",
        "credential": {"token_env": SERVICE_VARIABLE}, **more,
    }  # fmt: skip


GRANTED = {"access_token": f"ya29.{CANARY}", "expires_in": 3_599, "token_type": "Bearer"}

KIT = Kit(settings=fcm, good={"name": "projects/leer-warnt/messages/6183201"}, before=[(200, GRANTED)])
