"""A push service, with the one browser of RFC 8291: what differs with many is told in its own test."""

from __future__ import annotations

from typing import Any

from contract.kit import TOKEN, Kit

from dispatcher.model.delivery import Reason, Result

_REFUSED = (Result.PERMANENT, Reason.REJECTED)  # of one browser's subscription, and no word about the others


def web_push(base: str, **more: Any) -> dict[str, Any]:
    """Settings of an exercise at ``base``."""
    return {"base_url": base, "contact": "mailto:leitstelle@polizei.example", "credential": TOKEN, **more}


KIT = Kit(
    settings=web_push,
    good={"what": "stands in the body says nothing"},
    good_status=201,
    headers={"Location": "/message/1"},
    deviations={"401": _REFUSED, "403": _REFUSED},
)
