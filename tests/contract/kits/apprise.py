"""Apprise's own ``json://``, for which any 2xx says that the message went, and everything else that it failed."""

from __future__ import annotations

from contract.kit import TOKEN, Kit

KIT = Kit(
    settings=lambda base: {"url": f"{base}/hook", "credential": TOKEN, "ready_seconds": 10, "answer_seconds": 1},
    good={"nothing": "is read"},
    names=False,
    speaks="bridge",
)
