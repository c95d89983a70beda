"""A website or any other system behind a signed webhook (Standard Webhooks v1).

``webhook-id`` is the same for every attempt of one post, so the receiver can drop repeats; time stamp and signature are
new each time. The body is ``{"type", "timestamp", "data"}``. Receivers answer 2xx without a page: HTML with 200 is
what a login page or a parked domain looks like.
"""

from __future__ import annotations

import base64
import hashlib
import hmac
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import UTC
from pathlib import Path
from typing import Any

from pydantic import Field, model_validator
from pydantic_core import to_json

from dispatcher.channels._api import settle
from dispatcher.channels.base import Channel, ChannelSettings, Credential, Traits
from dispatcher.channels.http import Answer, Http, Request, refusal
from dispatcher.model.alert import Post
from dispatcher.model.cap import MsgType
from dispatcher.model.channel import Power, TextLimit, Unit
from dispatcher.model.delivery import Outcome, Reason, Result

# The convention keeps bodies below 20 kB; this leaves room for everything around the text.
_LONGEST_TEXT = 16_000
_TYPES = {MsgType.ALERT: "alert.published", MsgType.UPDATE: "alert.updated", MsgType.CANCEL: "alert.cancelled"}


class Settings(ChannelSettings):
    """A receiver. Its secret (``whsec_`` and Base64) is named by ``secret_file`` or ``secret_env``."""

    address = ("url",)

    url: str = Field(pattern=r"^https?://[^\s/?#@]+(/[^\s#]*)?$")
    secret_file: Path | None = None
    secret_env: str | None = None
    credential: Credential = Field(description="taken from secret_file or secret_env")

    @property
    def base(self) -> str:
        """The receiver."""
        return self.url

    def wall_account(self) -> str:
        """The last part of its address."""
        return self.url.rpartition("/")[2]

    @model_validator(mode="before")
    @classmethod
    def _secret_is_the_credential(cls, data: Any) -> Any:
        if not isinstance(data, dict) or "credential" in data:
            return data
        file, variable = data.get("secret_file"), data.get("secret_env")
        if (file is None) == (variable is None):
            raise ValueError("give secret_file or secret_env, one of them")
        return {**data, "credential": {"token_file": file, "token_env": variable}}


def traits(settings: Settings) -> Traits:  # noqa: ARG001 - the port
    """A text in bytes, corrections and retractions as types of their own, and a key that makes repeats safe."""
    return Traits(TextLimit(Unit.BYTES, _LONGEST_TEXT), frozenset({Power.EDIT, Power.DELETE, Power.KEY}))


def drill(channel: str, secret: str) -> dict[str, object]:
    """The fields that differ in an exercise on the wall; ``secret`` is a file made for it."""
    return {"url": f"wall://hooks/{channel}", "secret_file": secret}


@asynccontextmanager
async def connect(settings: Settings, http: Http) -> AsyncIterator[Channel]:
    """The receiver as a channel.

    Raises `OSError` or `KeyError` where the secret cannot be read and `ValueError` where it is none.
    """
    yield _Webhook(http, settings.url, signing_key(settings.token()))


def signing_key(secret: str) -> bytes:
    """The bytes that sign, from ``whsec_`` and Base64; raises `ValueError`, which does not repeat the secret."""
    try:
        key = base64.b64decode(secret.removeprefix("whsec_"), validate=True)
    except ValueError:
        raise ValueError("a webhook's secret is whsec_ and Base64") from None
    if not secret.startswith("whsec_") or len(key) < 24:
        raise ValueError("a webhook's secret is whsec_ and the Base64 of at least 24 bytes")
    return key


def signature(key: bytes, identifier: str, timestamp: int, body: bytes) -> str:
    """``v1,`` and the Base64 HMAC-SHA256 over identifier, time stamp (Unix seconds) and body, joined by dots."""
    digest = hmac.new(key, f"{identifier}.{timestamp}.".encode() + body, hashlib.sha256).digest()
    return "v1," + base64.b64encode(digest).decode()


class _Webhook(Channel):
    def __init__(self, http: Http, url: str, key: bytes) -> None:
        self._http, self._url, self._key = http, url, key

    async def send(self, post: Post) -> Outcome:
        """An event that says something new, corrects or cancels, by the post's purpose."""
        return await self._deliver(post, _TYPES[post.purpose.msg_type])

    async def edit(self, post: Post) -> Outcome:
        """An ``alert.corrected`` event that names the first."""
        return await self._deliver(post, "alert.corrected")

    async def delete(self, post: Post) -> Outcome:
        """An ``alert.retracted`` event that names the first."""
        return await self._deliver(post, "alert.retracted")

    async def _deliver(self, post: Post, type_: str) -> Outcome:
        identifier, timestamp = post.key.replace(".", "-"), int(time.time())
        body = to_json(_event(post, type_))
        headers = {
            "Content-Type": "application/json",
            "webhook-id": identifier,
            "webhook-timestamp": str(timestamp),
            "webhook-signature": signature(self._key, identifier, timestamp, body),
        }
        request = Request("POST", self._url, headers, body)
        return await settle(self._http, request, lambda answer: _taken(answer, identifier))


def _event(post: Post, type_: str) -> dict[str, Any]:
    data = {
        "incident": post.incident, "alert": post.alert, "code": post.code, "purpose": post.purpose,
        "severity": post.severity, "realm": post.realm, "place": post.place, "regions": list(post.regions),
        "headline": post.text.headline, "text": post.text.body, "languages": list(post.text.languages),
    }  # fmt: skip
    if post.target:
        data["target"] = post.target
    timestamp = post.created_at.astimezone(UTC).isoformat(timespec="seconds").replace("+00:00", "Z")
    return {"type": type_, "timestamp": timestamp, "data": data}


def _taken(answer: Answer, identifier: str) -> Outcome:
    if refused := refusal(answer):
        return refused
    if answer.headers.get("content-type", "").lower().startswith("text/html") and answer.body.strip():
        return Outcome(result=Result.PERMANENT, reason=Reason.AUTH, detail="an HTML page instead of a receipt")
    return Outcome(result=Result.ACCEPTED, provider_id=identifier)
