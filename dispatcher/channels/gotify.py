"""Gotify: push messages to the phones of a duty team, over a server of one's own.

An application's token can post and nothing else. From Gotify 3 on a client's token posts in the name of an application as
well, and with it what was posted can be looked for and deleted. Nothing can be changed, and there is no key.
Source: github.com/gotify/server, ``docs/spec.json``.
"""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

from pydantic import Field

from dispatcher.channels._api import Api, Listed, accepted, find_in, segment
from dispatcher.channels.base import Channel, ChannelSettings, Credential, Traits, Url
from dispatcher.channels.http import Answer, Http, refusal
from dispatcher.model.alert import Post, Purpose
from dispatcher.model.cap import Severity
from dispatcher.model.channel import Power, TextLimit, Unit
from dispatcher.model.delivery import Outcome, Result

_CLIENT_POWERS = frozenset({Power.DELETE, Power.FIND, Power.PROBE})


class Settings(ChannelSettings):
    """A server, and the token of an application there, or of a client and the number of its application."""

    base_url: Url = Field(description="address of the server", examples=["https://push.example.org"])
    application: int | None = Field(default=None, ge=1, description="number of the application, with a client's token")
    credential: Credential

    @property
    def base(self) -> str:
        """The server."""
        return self.base_url

    def wall_account(self) -> str:
        """The application's number, or the token that speaks for it."""
        return str(self.application or self.token())


def traits(settings: Settings) -> Traits:
    """What a phone shows of a notification and a little more, for Gotify has no limit; powers by whose token it is."""
    return Traits(TextLimit(Unit.CHARACTERS, 4_000), _CLIENT_POWERS if settings.application else frozenset())


def drill(channel: str, secret: str) -> dict[str, object]:  # noqa: ARG001 - alike for all kinds
    """The fields that differ in an exercise on the wall; ``secret`` is a file made for it."""
    return {"base_url": "wall://gotify", "credential": {"token_file": secret}}


@asynccontextmanager
async def connect(settings: Settings, http: Http) -> AsyncIterator[Channel]:
    """The application as a channel; raises `OSError` or `KeyError` where the token cannot be read."""
    api = Api(http, settings.base_url, {"X-Gotify-Key": settings.token()})
    yield _Client(api, settings.application) if settings.application else _Application(api)


class _Application(Channel):
    """What an application's token can do."""

    def __init__(self, api: Api) -> None:
        self._api = api

    async def send(self, post: Post) -> Outcome:
        """``POST /message``."""
        return await self._api.create("/message", self._message(post), _posted)

    def _message(self, post: Post) -> dict[str, Any]:
        headline, body = post.text.headline, post.text.body
        # The title line already says the headline; an empty message would be refused.
        message = body.removeprefix(headline).lstrip() or body
        return {"title": headline, "message": message, "priority": _priority(post)}


class _Client(_Application):
    """What a client's token can do."""

    def __init__(self, api: Api, application: int) -> None:
        super().__init__(api)
        self._application = application

    async def delete(self, post: Post) -> Outcome:
        """``DELETE /message/{id}``; what is gone already counts as done."""
        return await self._api.repeat("DELETE", f"/message/{segment(post.target)}", _deleted)

    async def find(self, post: Post) -> Outcome:
        """The application's newest messages, searched for our code."""
        return await self._api.repeat("GET", self._list(200), lambda answer: _found(answer, post.code))

    async def probe(self) -> Outcome:
        """One own message is read: that proves the token and the application."""
        return await self._api.repeat("GET", self._list(1), _ready)

    def _message(self, post: Post) -> dict[str, Any]:
        return {**super()._message(post), "appid": self._application}

    def _list(self, count: int) -> str:
        return f"/application/{self._application}/message?limit={count}"


def _priority(post: Post) -> int:
    """From 8 on a phone rings as loudly as its owner lets it, from 4 on it makes a sound."""
    if post.purpose is Purpose.PAGE or (post.severity is Severity.EXTREME and not post.purpose.ends):
        return 10
    return 8 if post.purpose.ends or post.severity is Severity.SEVERE else 5


def _posted(answer: Answer) -> Outcome:
    number = answer.json_object().get("id")
    return _refusal(answer) or accepted(answer, str(number) if isinstance(number, int) else None)


def _deleted(answer: Answer) -> Outcome:
    if answer.status == 404:
        return Outcome(result=Result.ACCEPTED, detail="was already gone")
    return _refusal(answer) or Outcome(result=Result.ACCEPTED)


def _found(answer: Answer, code: str) -> Outcome:
    return _refusal(answer) or find_in(answer, answer.json_object().get("messages"), code, _listed)


def _ready(answer: Answer) -> Outcome:
    outcome = _found(answer, "")
    return Outcome(result=Result.READY) if outcome.result in (Result.VISIBLE, Result.ABSENT) else outcome


def _listed(message: dict[str, Any]) -> Listed:
    return Listed(str(message.get("id", "")), f"{message.get('title', '')}\n{message.get('message', '')}")


def _refusal(answer: Answer) -> Outcome | None:
    said = answer.json_object()
    return refusal(answer, detail=f"{said.get('error', '')}: {said.get('errorDescription', '')}")
