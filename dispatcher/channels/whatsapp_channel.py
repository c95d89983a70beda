"""A WhatsApp channel. Meta offers no way for programs to post to one, so by default a person posts by hand.

``via: waha`` posts through WAHA, a self-hosted gateway that drives an ordinary account as a linked device. That breaks
WhatsApp's terms of service and may cost the account; it is here for authorities that have decided so, and for drills.
WAHA has answered 201 for posts that never appeared: only a message id is an acceptance, and a deletion is believed when
the post is gone.
"""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace
from datetime import timedelta
from functools import partial
from typing import Any, Literal, Self

from pydantic import Field, model_validator

from dispatcher.channels._api import Api, Listed, accepted, find_in, segment, undocumented
from dispatcher.channels.base import Channel, ChannelSettings, Traits, Url
from dispatcher.channels.http import Answer, Http, refusal
from dispatcher.model.alert import Post
from dispatcher.model.channel import Power, TextLimit, Unit
from dispatcher.model.delivery import Outcome, Reason, Result

# WhatsApp documents no length for channels; this is what its Cloud API allows.
_LIMIT = TextLimit(Unit.CHARACTERS, 4096)
_LOOK_BACK = timedelta(minutes=1)
_NOT_SENDING = (Result.PERMANENT, Reason.AUTH)


class Settings(ChannelSettings):
    """A channel, posted by hand or through WAHA, which needs ``base_url``, ``chat_id`` and the API key."""

    address = ("chat_id",)

    via: Literal["by_hand", "waha"] = "by_hand"
    invite_url: Url = Field(default="", description="public link of the channel")
    base_url: Url = Field(default="", description="address of WAHA")
    session: str = Field(default="default", pattern=r"^[A-Za-z0-9_-]{1,54}$")
    chat_id: str = Field(default="", pattern=r"^(\d{5,30}@newsletter)?$")
    engine: Literal["NOWEB", "GOWS", "WEBJS", "WPP"] = "NOWEB"

    @property
    def base(self) -> str:
        """WAHA, where it is used."""
        return self.base_url

    @model_validator(mode="after")
    def _complete(self) -> Self:
        if self.via == "waha" and not (self.base_url and self.chat_id and self.credential):
            raise ValueError("via: waha needs base_url, chat_id and credential")
        return self


def traits(settings: Settings) -> Traits:
    """Nothing but posting by hand; through WAHA what its engine can do in channels."""
    if settings.via == "by_hand":
        return Traits(_LIMIT)
    editing = {Power.EDIT} if settings.engine == "NOWEB" else set()
    return Traits(_LIMIT, frozenset({Power.DELETE, Power.FIND, Power.PROBE, *editing}))


def drill(channel: str, secret: str) -> dict[str, object]:  # noqa: ARG001 - alike for all kinds
    """The fields that differ in an exercise on the wall; ``secret`` is a file made for it."""
    return {"base_url": "wall://waha", "credential": {"token_file": secret}}


@asynccontextmanager
async def connect(settings: Settings, http: Http) -> AsyncIterator[Channel]:
    """The channel; raises `OSError` or `KeyError` where the API key cannot be read."""
    if settings.via == "by_hand":
        yield _ByHand(settings.invite_url)
    else:
        yield _Waha(Api(http, settings.base_url, {"X-Api-Key": settings.token()}), settings)


class _ByHand(Channel):
    def __init__(self, invite_url: str) -> None:
        self._invite_url = invite_url

    async def send(self, post: Post) -> Outcome:
        """A task for a person: nothing leaves from here."""
        detail = f"post the text with {post.code} in the WhatsApp app, then confirm here"
        return Outcome(result=Result.BY_HAND, detail=detail, url=self._invite_url)


class _Waha(Channel):
    def __init__(self, api: Api, settings: Settings) -> None:
        self._api, self._settings = api, settings
        self._chat = f"/api/{settings.session}/chats/{segment(settings.chat_id)}/messages"

    async def send(self, post: Post) -> Outcome:
        """``POST /api/sendText``."""
        to = {"session": self._settings.session, "chatId": self._settings.chat_id}
        return await self._api.create("/api/sendText", {**to, "text": post.text.body}, _posted)

    async def edit(self, post: Post) -> Outcome:
        """``PUT /api/{session}/chats/{chatId}/messages/{messageId}``."""
        path = f"{self._chat}/{segment(post.target)}"
        return await self._api.repeat("PUT", path, _done, {"text": post.text.body})

    async def delete(self, post: Post) -> Outcome:
        """``DELETE`` of the message, believed only when it cannot be read back."""
        deleted = await self._api.repeat("DELETE", f"{self._chat}/{segment(post.target)}", _done)
        if deleted.result is not Result.ACCEPTED:
            return deleted
        return await self._api.repeat("GET", self._list(), partial(_gone, target=post.target))

    async def find(self, post: Post) -> Outcome:
        """``GET /api/{session}/chats/{chatId}/messages``: our newest, searched for our code."""
        since = int((post.created_at - _LOOK_BACK).timestamp())
        return await self._api.repeat("GET", self._list(since), partial(_found, code=post.code))

    async def probe(self) -> Outcome:
        """``GET /api/sessions/{session}``: only a session that works can post."""
        return await self._api.repeat("GET", f"/api/sessions/{self._settings.session}", _ready)

    def _list(self, since: int = 0) -> str:
        """GOWS keeps no history of channels; its public preview must do."""
        if self._settings.engine == "GOWS":
            chat = segment(self._settings.chat_id)
            return f"/api/{self._settings.session}/channels/{chat}/messages/preview?downloadMedia=false&limit=100"
        return f"{self._chat}?limit=100&downloadMedia=false&filter.fromMe=true&filter.timestamp.gte={since}"


def _posted(answer: Answer) -> Outcome:
    return _refusal(answer) or accepted(answer, answer.json_object().get("id"))


def _done(answer: Answer) -> Outcome:
    return _refusal(answer) or Outcome(result=Result.ACCEPTED)


def _found(answer: Answer, code: str) -> Outcome:
    return _refusal(answer) or find_in(answer, answer.json(), code, _listed)


def _gone(answer: Answer, target: str) -> Outcome:
    rows = answer.json()
    if refused := _refusal(answer):
        return refused
    if not isinstance(rows, list):
        return undocumented(answer)
    if any(_listed(row).id == target for row in rows if isinstance(row, dict)):
        detail = "WAHA reports the post as deleted, but it is still there: delete it by hand"
        return Outcome(result=Result.PERMANENT, reason=Reason.REJECTED, detail=detail)
    return Outcome(result=Result.ACCEPTED)


def _listed(row: dict[str, Any]) -> Listed:
    """A message, or a preview that holds one."""
    inner = row.get("message")
    message = inner if isinstance(inner, dict) else row
    return Listed(str(message.get("id", "")), str(message.get("body", "")))


def _ready(answer: Answer) -> Outcome:
    if refused := _refusal(answer):
        return refused
    state = str(answer.json_object().get("status", "unknown"))
    return Outcome(result=Result.READY) if state == "WORKING" else _session(state, f"session is {state}")


def _session(state: str, detail: str) -> Outcome:
    result, reason = (Result.TEMPORARY, Reason.SERVER_ERROR) if state == "STARTING" else _NOT_SENDING
    return Outcome(result=result, reason=reason, detail=detail)


def _refusal(answer: Answer) -> Outcome | None:
    said = answer.json_object()
    outcome = refusal(answer, detail=str(said.get("error") or said.get("message") or ""))
    if outcome and answer.status == 422 and "status" in said:
        return _session(str(said["status"]), f"{outcome.detail} (session is {said['status']})")
    if outcome and answer.status == 404:
        return replace(outcome, reason=Reason.AUTH)
    if outcome and answer.status == 501:
        return replace(outcome, result=Result.PERMANENT, reason=Reason.REJECTED)
    return outcome
