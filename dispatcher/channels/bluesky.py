"""Bluesky, or any other server of the AT Protocol: a post on one account, written as a record under a key of our own.

The key is made from the post's own, so a repeat writes the same record again and changes nothing: a doubt is settled by
sending once more. Links are no links unless they are named with their place in bytes of UTF-8.
Sources: the lexicons ``com.atproto.repo.putRecord``, ``.uploadBlob``, ``app.bsky.feed.post`` and ``.embed.images``; atproto.com, "TID", "XRPC".
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, replace
from functools import partial
from typing import Any

from pydantic import Field

from dispatcher.channels._api import LINK, Api, accepted, bearer, segment, text_of, undocumented, until
from dispatcher.channels._cards import Cards, Picture, illustrated, taken
from dispatcher.channels.base import Channel, ChannelSettings, Credential, Traits, Url
from dispatcher.channels.http import Answer, Outbound, Request, refusal
from dispatcher.model.alert import Post
from dispatcher.model.channel import Power, TextLimit, Unit
from dispatcher.model.delivery import Outcome, Reason, Result
from dispatcher.telemetry import keep_secret

_COLLECTION = "app.bsky.feed.post"
_ALPHABET = "234567abcdefghijklmnopqrstuvwxyz"
_LOGIN = frozenset(
    {"ExpiredToken", "InvalidToken", "AuthMissing", "AuthenticationRequired", "AuthFactorTokenRequired",
     "AccountTakedown"}
)  # fmt: skip


class Settings(ChannelSettings):
    """An account; its credential is an app password, never the account's own."""

    address = ("identifier",)
    uploads_card = True

    identifier: str = Field(pattern=r"^[A-Za-z0-9.:_-]{3,253}$", description="handle or DID of the account")
    credential: Credential
    card: bool = Field(default=False, description="the alert's card goes with the text, where there is one")
    base_url: Url = Field(default="https://bsky.social", description="the account's server (PDS)")

    @property
    def base(self) -> str:
        """The account's server."""
        return self.base_url


def traits(settings: Settings) -> Traits:  # noqa: ARG001 - the port
    """300 graphemes and 3,000 bytes, every verb, and a key that makes repeats safe."""
    return Traits(TextLimit(Unit.GRAPHEMES, 300, most_bytes=3_000), frozenset(Power))


def drill(channel: str, secret: str) -> dict[str, object]:  # noqa: ARG001 - alike for all kinds
    """The fields that differ in an exercise on the wall; ``secret`` is a file made for it."""
    return {"base_url": "wall://bluesky", "credential": {"token_file": secret}}


@asynccontextmanager
async def connect(settings: Settings, http: Outbound) -> AsyncIterator[Channel]:
    """The account as a channel; it logs in when first used. Raises `OSError` or `KeyError` without its password."""
    api, cards = Api(http, f"{settings.base_url}/xrpc", {}), http.cards if settings.card else None
    yield _Bluesky(api, settings.identifier, settings.token(), cards)


@dataclass(frozen=True, slots=True)
class _Session:
    api: Api
    did: str

    def place(self, key: str) -> dict[str, str]:
        """Where the record ``key`` stands."""
        return {"repo": self.did, "collection": _COLLECTION, "rkey": key}


class _Bluesky(Channel):
    def __init__(self, api: Api, identifier: str, password: str, cards: Cards | None) -> None:
        self._api, self._identifier, self._password, self._cards = api, identifier, password, cards
        self._session: _Session | None = None

    async def send(self, post: Post) -> Outcome:
        """``putRecord`` under a key of our own."""
        return await self._put(post, _key(post))

    async def edit(self, post: Post) -> Outcome:
        """``putRecord`` under the key of the target. Apps may go on showing what they indexed first."""
        return await self._put(post, post.target.rpartition("/")[2])

    async def delete(self, post: Post) -> Outcome:
        """``deleteRecord``, answered alike when it is gone already."""

        async def gone(session: _Session) -> Outcome:
            """Take the record back."""
            data = session.place(post.target.rpartition("/")[2])
            return await session.api.repeat("POST", "/com.atproto.repo.deleteRecord", _deleted, data)

        return await self._ask(gone)

    async def find(self, post: Post) -> Outcome:
        """``getRecord`` under our own key."""

        async def read(session: _Session) -> Outcome:
            """Read the record back."""
            query = "&".join(f"{name}={segment(value)}" for name, value in session.place(_key(post)).items())
            return await session.api.repeat("GET", f"/com.atproto.repo.getRecord?{query}", _found)

        return await self._ask(read)

    async def probe(self) -> Outcome:
        """``getSession``, after a login where there is none yet."""
        return await self._ask(lambda session: session.api.repeat("GET", "/com.atproto.server.getSession", _ready))

    async def _put(self, post: Post, key: str) -> Outcome:
        """The whole record under ``key``, with the card of what it says where there is one."""

        async def say(embed: dict[str, Any] | None) -> Outcome:
            """Write the record."""
            record = {**_record(post), "embed": embed} if embed else _record(post)

            async def put(session: _Session) -> Outcome:
                """Under our key."""
                data = {**session.place(key), "record": record}
                return await session.api.create("/com.atproto.repo.putRecord", data, _posted)

            return await self._ask(put)

        return await illustrated(self._cards, post, self._upload, say)

    async def _upload(self, picture: Picture) -> dict[str, Any]:
        """``uploadBlob``; the embed that shows it. The same bytes have the same name, so a repeat changes nothing."""

        async def put(session: _Session) -> Outcome:
            """The bytes alone."""
            files = replace(session.api, encode=Request.jpeg)
            return await files.repeat("POST", "/com.atproto.repo.uploadBlob", _uploaded, picture.jpeg)

        link = taken(await self._ask(put)).provider_id
        size = len(picture.jpeg)
        blob = {"$type": "blob", "ref": {"$link": link}, "mimeType": "image/jpeg", "size": size}
        width, height = picture.shape.size
        image = {"alt": picture.alt, "image": blob, "aspectRatio": {"width": width, "height": height}}
        return {"$type": "app.bsky.embed.images", "images": [image]}

    async def _ask(self, verb: Callable[[_Session], Awaitable[Outcome]]) -> Outcome:
        """``verb`` in the session that is open; where it is refused, nothing was done, and a new one is opened once."""
        if self._session is not None:
            outcome = await verb(self._session)
            if outcome.reason is not Reason.AUTH:
                return outcome
        opened = await self._login()
        return opened if isinstance(opened, Outcome) else await verb(opened)

    async def _login(self) -> _Session | Outcome:
        """``createSession``: a session, kept for later, or why there is none."""
        sessions: list[_Session] = []
        who = {"identifier": self._identifier, "password": self._password}
        judge = partial(_opened, self._api, sessions)
        outcome = await self._api.repeat("POST", "/com.atproto.server.createSession", judge, who)
        self._session = sessions[0] if sessions else None
        return self._session or outcome


def _key(post: Post) -> str:
    """A record key in the form that posts need: a moment and a number in 13 signs, the same for every attempt.

    The second is that of the alert, so that keys sort by time; what is finer than that comes from the post's key.
    """
    digest = int.from_bytes(hashlib.sha256(post.key.encode()).digest()[:8], "big")
    fraction, clock = digest % 1_000_000, digest // 1_000_000 % 1024
    number = (int(post.created_at.timestamp()) * 1_000_000 + fraction) << 10 | clock
    return "".join(_ALPHABET[number >> shift & 31] for shift in range(60, -5, -5))


def _record(post: Post) -> dict[str, Any]:
    text = post.text.body
    created = post.created_at.isoformat(timespec="milliseconds").replace("+00:00", "Z")
    record = {"$type": _COLLECTION, "text": text, "createdAt": created, "langs": list(post.text.languages[:3])}
    facets = [_facet(text, link) for link in LINK.finditer(text)]
    return {**record, "facets": facets} if facets else record


def _facet(text: str, link: re.Match[str]) -> dict[str, Any]:
    start = len(text[: link.start()].encode())
    index = {"byteStart": start, "byteEnd": start + len(link[0].encode())}
    return {"index": index, "features": [{"$type": "app.bsky.richtext.facet#link", "uri": link[0]}]}


def _opened(api: Api, sessions: list[_Session], answer: Answer) -> Outcome:
    said = answer.json_object()
    token, did = said.get("accessJwt"), said.get("did")
    if refused := _refusal(answer):
        return refused
    if not (isinstance(token, str) and isinstance(did, str) and token and did):
        return undocumented(answer)
    keep_secret(token)
    sessions.append(_Session(replace(api, headers=bearer(token)), did))
    return Outcome(result=Result.READY)


def _posted(answer: Answer) -> Outcome:
    uri = answer.json_object().get("uri")
    return _refusal(answer) or accepted(answer, uri, _url(uri))


def _uploaded(answer: Answer) -> Outcome:
    blob = answer.json_object().get("blob")
    link = blob.get("ref") if isinstance(blob, dict) else None
    named = _refusal(answer) or accepted(answer, link.get("$link") if isinstance(link, dict) else None)
    return replace(named, result=Result.READY) if named.result is Result.ACCEPTED else named


def _deleted(answer: Answer) -> Outcome:
    return _refusal(answer) or Outcome(result=Result.ACCEPTED)


def _found(answer: Answer) -> Outcome:
    if answer.json_object().get("error") == "RecordNotFound":
        return Outcome(result=Result.ABSENT, detail="no record under our key")
    outcome = _posted(answer)
    return replace(outcome, result=Result.VISIBLE) if outcome.result is Result.ACCEPTED else outcome


def _ready(answer: Answer) -> Outcome:
    if refused := _refusal(answer):
        return refused
    if answer.json_object().get("active") is False:
        return Outcome(result=Result.PERMANENT, reason=Reason.AUTH, detail="the account is not active")
    return Outcome(result=Result.READY)


def _url(uri: Any) -> str:
    did, _, key = str(uri).removeprefix("at://").partition(f"/{_COLLECTION}/")
    return f"https://bsky.app/profile/{did}/post/{key}"


def _refusal(answer: Answer) -> Outcome | None:
    said = answer.json_object()
    error = text_of(said.get("error"))
    outcome = refusal(answer, detail=f"{error}: {text_of(said.get('message'))}")
    if outcome and error in _LOGIN:
        return replace(outcome, result=Result.PERMANENT, reason=Reason.AUTH)
    if outcome and answer.status == 429 and outcome.retry_after is None:
        return replace(outcome, retry_after=until(answer.headers.get("ratelimit-reset", "")))
    return outcome
