"""ntfy: push messages to the phones of a duty team, by a topic on ntfy.sh or, better, on a server of one's own.

Servers from 2.16 know ``sequence_id``: publishing again with the same one replaces the notification, so repeats are
safe and texts can be changed. For an older server say ``replaces: false``. Deleting withdraws the notification from
the apps that follow it; the server keeps the message in its cache.
"""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace
from datetime import timedelta
from typing import Any

from pydantic import Field

from dispatcher.channels._api import Api, Listed, accepted, bearer, find_in, segment, undocumented
from dispatcher.channels.base import Channel, ChannelSettings, Traits
from dispatcher.channels.http import Answer, Http, refusal
from dispatcher.model.alert import Post, Purpose
from dispatcher.model.cap import MsgType, Realm, Severity
from dispatcher.model.channel import Power, TextLimit, Unit
from dispatcher.model.delivery import Outcome, Reason, Result

_DAILY_LIMITS = frozenset({42905, 42908})  # they end at midnight UTC, too late for an alert: a person must know
_SLOWDOWN = timedelta(seconds=5)  # the default server gives one request back every five seconds
_LOOK_BACK = timedelta(minutes=1)
_TAGS = {
    Purpose.ALERT: "rotating_light", Purpose.PAGE: "rotating_light", Purpose.UPDATE: "warning",
    Purpose.ALL_CLEAR: "white_check_mark", Purpose.FALSE_ALARM: "white_check_mark",
    Purpose.RETRACTION: "white_check_mark", Purpose.FAREWELL: "wave",
}  # fmt: skip


class Settings(ChannelSettings):
    """A topic. Whoever knows the name of an open topic reads it, so a duty team's needs access control and a token."""

    address = ("url",)

    url: str = Field(
        pattern=r"^https?://[^\s/?#@]+(/[^\s?#]*)?/[-_A-Za-z0-9]{1,64}$",
        description="address of the topic",
        examples=["https://ntfy.example.org/duty-team"],
    )
    replaces: bool = Field(default=True, description="whether the server is 2.16 or later")

    @property
    def base(self) -> str:
        """The server."""
        return self.url.rpartition("/")[0]

    @property
    def topic(self) -> str:
        """The topic's name, the last part of its address."""
        return self.url.rpartition("/")[2]

    def wall_account(self) -> str:
        """The topic."""
        return self.topic


def traits(settings: Settings) -> Traits:
    """4,096 bytes, beyond which ntfy makes an attachment of the text; replacing only on servers that can."""
    replacing = {Power.EDIT, Power.DELETE, Power.KEY} if settings.replaces else set()
    return Traits(TextLimit(Unit.BYTES, 4096), frozenset({Power.FIND, Power.PROBE, *replacing}))


def drill(channel: str, secret: str) -> dict[str, object]:
    """The fields that differ in an exercise on the wall; ``secret`` is a file made for it."""
    return {"url": f"wall://ntfy/{channel}", "credential": {"token_file": secret}}


@asynccontextmanager
async def connect(settings: Settings, http: Http) -> AsyncIterator[Channel]:
    """The topic as a channel; raises `OSError` or `KeyError` where the token cannot be read."""
    yield _Topic(Api(http, settings.base, bearer(settings.token())), settings.topic)


class _Topic(Channel):
    def __init__(self, api: Api, topic: str) -> None:
        self._api, self._topic = api, topic

    async def send(self, post: Post) -> Outcome:
        """``POST`` to the server's root, with the topic in the body."""
        return await self._api.create("/", {**self._message(post), "sequence_id": post.key}, _published)

    async def edit(self, post: Post) -> Outcome:
        """Publish again under the same ``sequence_id``, which replaces the notification."""
        return await self._api.repeat("POST", "/", _published, {**self._message(post), "sequence_id": post.target})

    async def delete(self, post: Post) -> Outcome:
        """``DELETE /{topic}/{sequence_id}``."""
        return await self._api.repeat("DELETE", f"/{self._topic}/{segment(post.target)}", _published)

    async def find(self, post: Post) -> Outcome:
        """``GET /{topic}/json?poll=1``: what the server still keeps, searched for our code."""
        since = int((post.created_at - _LOOK_BACK).timestamp())
        path = f"/{self._topic}/json?poll=1&since={since}"
        return await self._api.repeat("GET", path, lambda answer: _found(answer, post.code))

    async def probe(self) -> Outcome:
        """``GET /{topic}/auth``: whether the token may read the topic."""
        health = await self._api.repeat("GET", "/v1/health", _healthy)
        if health.result is not Result.READY:
            return health
        return await self._api.repeat("GET", f"/{self._topic}/auth", _ready)

    def _message(self, post: Post) -> dict[str, Any]:
        tags = [_TAGS[post.purpose], *(["exercise"] if post.realm is Realm.EXERCISE else [])]
        headline, body = post.text.headline, post.text.body
        # The title line already says the headline; an empty message would read "triggered".
        message = body.removeprefix(headline).lstrip() or body
        return {"topic": self._topic, "title": headline, "message": message, "priority": _priority(post), "tags": tags}


def _priority(post: Post) -> int:
    """5 rings through a phone's silence, 3 is an ordinary notification."""
    if post.purpose.msg_type is MsgType.CANCEL:
        return 4
    if post.purpose is Purpose.PAGE or post.severity is Severity.EXTREME:
        return 5
    return 4 if post.severity is Severity.SEVERE else 3


def _published(answer: Answer) -> Outcome:
    message = answer.json_object()
    # What later replaces the message is its sequence; an older server knows only the message itself.
    return _refusal(answer) or accepted(answer, message.get("id") and (message.get("sequence_id") or message["id"]))


def _healthy(answer: Answer) -> Outcome:
    healthy = answer.json_object().get("healthy") is True
    return _refusal(answer) or (Outcome(result=Result.READY) if healthy else undocumented(answer))


def _ready(answer: Answer) -> Outcome:
    return _refusal(answer) or Outcome(result=Result.READY)


def _found(answer: Answer, code: str) -> Outcome:
    """The poll answers with one JSON object per line."""
    if refused := _refusal(answer):
        return refused
    lines = [Answer(answer.status, {}, line).json_object() for line in answer.body.splitlines()]
    return find_in(answer, [line for line in lines if line.get("event") == "message"], code, _listed)


def _listed(message: dict[str, Any]) -> Listed:
    text = f"{message.get('title', '')}\n{message.get('message', '')}"
    return Listed(str(message.get("sequence_id") or message.get("id", "")), text)


def _refusal(answer: Answer) -> Outcome | None:
    error = answer.json_object()
    outcome = refusal(answer, detail=str(error.get("error", "")))
    if outcome is None or outcome.reason is not Reason.RATE_LIMITED:
        return outcome
    if error.get("code") in _DAILY_LIMITS:
        return replace(outcome, result=Result.PERMANENT)
    return replace(outcome, retry_after=outcome.retry_after or _SLOWDOWN)
