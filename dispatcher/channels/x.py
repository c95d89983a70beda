"""An account on X, posted to over the API v2.

The API knows no idempotency key, and editing is for paying accounts and for an hour only, so this kind does not edit.
Requests are signed with OAuth 1.0a, whose keys have no end. Lengths are X's weighted ones.
Sources: github.com/xdevplatform/docs, "Manage Posts", "Rate limits", "Response codes", "Counting characters", "Media".
"""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace
from datetime import timedelta
from typing import Any

from pydantic import Field

from dispatcher.channels._api import Api, Listed, accepted, bearer, find_in, segment, undocumented, until
from dispatcher.channels._cards import Cards, Picture, illustrated, taken
from dispatcher.channels._oauth import Keys, Signing
from dispatcher.channels.base import Channel, ChannelSettings, Credential, Traits, Url
from dispatcher.channels.http import Answer, Outbound, Request, refusal
from dispatcher.model.alert import Post
from dispatcher.model.channel import Power, TextLimit, Unit
from dispatcher.model.delivery import Outcome, Reason, Result
from dispatcher.telemetry import keep_secret

_DAILY = ("x-user-limit-24hour", "x-app-limit-24hour")


class Settings(ChannelSettings):
    """An account. The secret is four words: API key, its secret, access token, its secret; one word is a bearer token."""

    uploads_card = True

    credential: Credential
    card: bool = Field(default=False, description="the alert's card goes with the text, where there is one")
    base_url: Url = "https://api.x.com"

    @property
    def base(self) -> str:
        """X's API."""
        return self.base_url


def traits(settings: Settings) -> Traits:  # noqa: ARG001 - the port
    """280 by weight; neither edit nor key."""
    return Traits(TextLimit(Unit.WEIGHTED, 280), frozenset({Power.DELETE, Power.FIND, Power.PROBE}))


def drill(channel: str, secret: str) -> dict[str, object]:  # noqa: ARG001 - alike for all kinds
    """The fields that differ in an exercise on the wall; ``secret`` is a file made for it."""
    return {"base_url": "wall://x", "credential": {"token_file": secret}}


@asynccontextmanager
async def connect(settings: Settings, http: Outbound) -> AsyncIterator[Channel]:
    """The account as a channel; raises `OSError`, `KeyError` or `ValueError` where the keys cannot be read."""
    words, cards = settings.token().split(), http.cards if settings.card else None
    for word in words:
        keep_secret(word)
    if len(words) == 1:
        yield _X(Api(http, f"{settings.base_url}/2", bearer(words[0])), cards)
    elif len(words) == 4:
        yield _X(Api(Signing(http, Keys(*words)), f"{settings.base_url}/2", {}), cards)
    else:
        raise ValueError("the secret has to be four words, or one")


class _X(Channel):
    def __init__(self, api: Api, cards: Cards | None) -> None:
        self._api, self._cards = api, cards
        self._files = replace(api, encode=Request.multipart)  # whose parts are not signed

    async def send(self, post: Post) -> Outcome:
        """``POST /2/tweets``, with the card where there is one."""

        async def say(media: str | None) -> Outcome:
            """Post the text."""
            shown = {"media": {"media_ids": [media]}} if media else {}
            return await self._api.create("/tweets", {"text": post.text.body, **shown}, _posted)

        return await illustrated(self._cards, post, self._upload, say)

    async def delete(self, post: Post) -> Outcome:
        """``DELETE /2/tweets/{id}``; what is gone already counts as done."""
        return await self._api.repeat("DELETE", f"/tweets/{segment(post.target)}", _deleted)

    async def find(self, post: Post) -> Outcome:
        """``GET /2/users/{id}/tweets``: our newest, searched for our code."""
        account = await self.probe()
        if account.result is not Result.READY:
            return account
        path = f"/users/{segment(account.provider_id)}/tweets?max_results=25&tweet.fields=created_at"
        return await self._api.repeat("GET", path, lambda answer: _found(answer, post.code))

    async def probe(self) -> Outcome:
        """``GET /2/users/me``: whose keys these are, though not whether they may write."""
        return await self._api.repeat("GET", "/users/me", _ready)

    async def _upload(self, picture: Picture) -> str:
        """``POST /2/media/upload`` in one go, then ``/2/media/metadata`` with the words on it; the image's id."""
        data = {"media": picture.jpeg, "media_category": "tweet_image", "media_type": "image/jpeg"}
        media = taken(await self._files.repeat("POST", "/media/upload", _uploaded, data)).provider_id
        words = {"id": media, "metadata": {"alt_text": {"text": picture.alt}}}
        taken(await self._api.repeat("POST", "/media/metadata", _ready, words))
        return media


def _posted(answer: Answer) -> Outcome:
    post = _data(answer).get("id")
    return _refusal(answer) or accepted(answer, post, _url(post))


def _deleted(answer: Answer) -> Outcome:
    if answer.status == 404:
        return Outcome(result=Result.ACCEPTED, detail="was already gone")
    done = _data(answer).get("deleted") is True
    return _refusal(answer) or (Outcome(result=Result.ACCEPTED) if done else undocumented(answer))


def _found(answer: Answer, code: str) -> Outcome:
    said = answer.json_object()
    rows = said.get("data", [] if "meta" in said else None)  # an account without posts has no list at all
    return _refusal(answer) or find_in(answer, rows, code, _listed)


def _ready(answer: Answer) -> Outcome:
    outcome = _refusal(answer) or accepted(answer, _data(answer).get("id"))
    return replace(outcome, result=Result.READY) if outcome.result is Result.ACCEPTED else outcome


def _uploaded(answer: Answer) -> Outcome:
    """READY at once, as images are."""
    info = _data(answer).get("processing_info")
    if isinstance(info, dict) and info.get("state") != "succeeded":
        return Outcome(result=Result.TEMPORARY, reason=Reason.SERVER_ERROR, detail="it is still being processed")
    return _ready(answer)


def _listed(post: dict[str, Any]) -> Listed:
    return Listed(str(post.get("id", "")), str(post.get("text", "")), _url(post.get("id")))


def _data(answer: Answer) -> dict[str, Any]:
    data = answer.json_object().get("data")
    return data if isinstance(data, dict) else {}


def _url(post: Any) -> str:
    return f"https://x.com/i/web/status/{post}"


def _refusal(answer: Answer) -> Outcome | None:
    said = answer.json_object()
    told = " ".join(str(said[name]) for name in ("title", "detail") if name in said)
    outcome = refusal(answer, detail=told)
    if outcome is None:
        return None
    if answer.status == 403 and "duplicate" in told.lower():
        return replace(outcome, reason=Reason.DUPLICATE)
    if answer.status == 402 or (answer.status == 429 and "usage-capped" in str(said.get("type"))):
        return replace(outcome, result=Result.PERMANENT, reason=Reason.AUTH)  # credits or a cap: a person's business
    if answer.status == 429:
        return replace(outcome, retry_after=_wait(answer) or outcome.retry_after)
    # A 503 of an edge server does not say that the post was not taken.
    return replace(outcome, result=Result.IN_DOUBT) if answer.status >= 500 else outcome


def _wait(answer: Answer) -> timedelta | None:
    """Time until the limit ends that is used up: one of a day where its header says so, else that of the call."""
    used = [name for name in _DAILY if answer.headers.get(f"{name}-remaining") == "0"]
    waits = [until(answer.headers.get(f"{name}-reset", "")) for name in used]
    return max((wait for wait in waits if wait), default=None) or until(answer.headers.get("x-rate-limit-reset", ""))
