"""Mastodon: a public status on an account of any instance, posted over the client API v1.

A repeat with the same ``Idempotency-Key`` answers with the first status for an hour, so a doubt may be settled by
sending again. Lengths are counted in graphemes with 23 for every link; an instance may allow more than 500. An edit
names all media of a status: what becomes of those that it is silent about differs between versions.
"""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

from pydantic import Field

from dispatcher.channels._api import Api, Listed, accepted, bearer, find_in, segment, undocumented
from dispatcher.channels._cards import Cards, Picture, illustrated, once_made, taken
from dispatcher.channels.base import Channel, ChannelSettings, Credential, Traits, Url
from dispatcher.channels.http import Answer, Outbound, Request, bounded, refusal
from dispatcher.model.alert import Post
from dispatcher.model.channel import Power, TextLimit, Unit
from dispatcher.model.delivery import Outcome, Reason, Result

_LINK_LENGTH = 23


class Settings(ChannelSettings):
    """An account on an instance; its token needs ``write:statuses``, ``write:media`` for cards and, to look things up, ``read``."""

    uploads_card = True

    base_url: Url = Field(description="address of the instance", examples=["https://social.example.org"])
    credential: Credential
    card: bool = Field(default=False, description="the alert's card goes with the text, where there is one")
    max_characters: int = Field(default=500, ge=200, le=100_000, description="the instance's own limit in graphemes")

    @property
    def base(self) -> str:
        """The instance."""
        return self.base_url


def traits(settings: Settings) -> Traits:
    """Every verb, and a key that makes repeats safe."""
    return Traits(TextLimit(Unit.GRAPHEMES, settings.max_characters, _LINK_LENGTH), frozenset(Power))


def drill(channel: str, secret: str) -> dict[str, object]:  # noqa: ARG001 - alike for all kinds
    """The fields that differ in an exercise on the wall; ``secret`` is a file made for it."""
    return {"base_url": "wall://mastodon", "credential": {"token_file": secret}}


@asynccontextmanager
async def connect(settings: Settings, http: Outbound) -> AsyncIterator[Channel]:
    """The account as a channel; raises `OSError` or `KeyError` where the token cannot be read."""
    api = Api(http, settings.base_url, bearer(settings.token()))
    yield _Mastodon(api, http.cards if settings.card else None)


class _Mastodon(Channel):
    def __init__(self, api: Api, cards: Cards | None) -> None:
        self._api, self._cards = api, cards
        self._files = replace(api, encode=Request.multipart)

    async def send(self, post: Post) -> Outcome:
        """``POST /api/v1/statuses`` with the post's key as ``Idempotency-Key``, and its card where there is one."""

        async def say(media: str | None) -> Outcome:
            """Post the status."""
            status = {**_status(post, media), "visibility": "public"}
            return await self._api.create("/api/v1/statuses", status, _posted, {"Idempotency-Key": post.key})

        return await illustrated(self._cards, post, self._upload, say)

    async def edit(self, post: Post) -> Outcome:
        """``PUT /api/v1/statuses/{id}`` with the whole new content: the card of what is said now, or none."""

        async def say(media: str | None) -> Outcome:
            """Change the status."""
            path = f"/api/v1/statuses/{segment(post.target)}"
            return await self._api.repeat("PUT", path, _posted, {"media_ids": [], **_status(post, media)})

        return await illustrated(self._cards, post, self._upload, say)

    async def delete(self, post: Post) -> Outcome:
        """``DELETE /api/v1/statuses/{id}``; what is gone already counts as done."""
        return await self._api.repeat("DELETE", f"/api/v1/statuses/{segment(post.target)}", _deleted)

    async def find(self, post: Post) -> Outcome:
        """``GET /api/v1/accounts/{id}/statuses``: our newest, searched for our code."""
        account = await self.probe()
        if account.result is not Result.READY:
            return account
        path = f"/api/v1/accounts/{segment(account.provider_id)}/statuses?limit=40&exclude_replies=true"
        return await self._api.repeat("GET", path, lambda answer: _found(answer, post.code))

    async def probe(self) -> Outcome:
        """``GET /api/v1/accounts/verify_credentials``."""
        return await self._api.repeat("GET", "/api/v1/accounts/verify_credentials", _ready)

    async def _upload(self, picture: Picture) -> str:
        """``POST /api/v2/media``, then ``GET /api/v1/media/{id}`` until it is processed; its id."""
        data = {"file": picture.jpeg, "description": picture.alt}
        sent = await self._files.repeat("POST", "/api/v2/media", _processed, data)
        if sent.result is Result.ABSENT:
            path = f"/api/v1/media/{segment(sent.provider_id)}"
            sent = await once_made(lambda: self._api.repeat("GET", path, _processed))
        return taken(sent).provider_id


def _status(post: Post, media: str | None) -> dict[str, Any]:
    status: dict[str, Any] = {"status": post.text.body, "language": next(iter(post.text.languages), None)}
    return {**status, "media_ids": [media]} if media else status


def _processed(answer: Answer) -> Outcome:
    """READY, or ABSENT with its id while it is being processed: 202 to the upload, 206 to the question."""
    media = answer.json_object().get("id")
    if refused := _refusal(answer):
        return refused
    if not isinstance(media, str) or not media:
        return undocumented(answer)
    return Outcome(result=Result.ABSENT if answer.status in (202, 206) else Result.READY, provider_id=media)


def _posted(answer: Answer) -> Outcome:
    status = answer.json_object()
    return _refusal(answer) or accepted(answer, status.get("id"), status.get("url"))


def _deleted(answer: Answer) -> Outcome:
    if answer.status in (404, 410):
        return Outcome(result=Result.ACCEPTED, detail="was already gone")
    return _posted(answer)


def _ready(answer: Answer) -> Outcome:
    outcome = _posted(answer)
    return replace(outcome, result=Result.READY) if outcome.result is Result.ACCEPTED else outcome


def _found(answer: Answer, code: str) -> Outcome:
    return _refusal(answer) or find_in(answer, answer.json(), code, _listed)


def _listed(status: dict[str, Any]) -> Listed:
    return Listed(str(status.get("id", "")), str(status.get("content", "")), str(status.get("url", "")))


def _refusal(answer: Answer) -> Outcome | None:
    said = str(answer.json_object().get("error", ""))
    outcome = refusal(answer, detail=said)
    if outcome is None:
        return None
    if answer.status == 422 and "not finished processing" in said:
        return replace(outcome, result=Result.TEMPORARY, reason=Reason.SERVER_ERROR)
    if answer.status == 422 and "character limit" in said:
        return replace(outcome, reason=Reason.TOO_LONG)
    if answer.status == 429:
        reset = _reset(answer)
        return outcome if reset is None else replace(outcome, retry_after=reset)
    return outcome


def _reset(answer: Answer) -> timedelta | None:
    """Time until ``X-RateLimit-Reset``, which is an ISO 8601 time stamp; None where it is missing or garbage."""
    try:
        return bounded(datetime.fromisoformat(answer.headers.get("x-ratelimit-reset", "")) - datetime.now(UTC))
    except (ValueError, TypeError, OverflowError):
        return None
