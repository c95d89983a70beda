"""Push messages to an app of one's own, over Firebase Cloud Messaging: to everybody who has subscribed to one topic.

Google takes the message and delivers it as fast as it can, without telling to whom. Every attempt carries the same tag, by
which a phone replaces what it shows, so that a repeat is seen once. Nothing can be changed or taken back.
Sources: the published description fcm.v1; firebase.google.com, "FCM error codes", "Throttling and quotas".
"""

from __future__ import annotations

import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import replace
from datetime import timedelta
from typing import Any, Literal

from pydantic import Field

from dispatcher.channels._api import Api, accepted, bearer, undocumented
from dispatcher.channels._google import Account, Login, Renewed, Signed
from dispatcher.channels.base import Channel, ChannelSettings, Credential, Traits, Url
from dispatcher.channels.http import Answer, Http, refusal
from dispatcher.model.alert import Post
from dispatcher.model.channel import Power, TextLimit, Unit
from dispatcher.model.delivery import Outcome, Reason, Result

_SCOPE = "https://www.googleapis.com/auth/firebase.messaging"
_LONGEST = 1_400  # bytes; a message to a topic has 2,048 with everything in it
_QUOTA_WAIT = timedelta(minutes=1)  # where Google names none


class Settings(ChannelSettings):
    """A project, a topic of it, and a service account that may send; or a token that another program keeps fresh."""

    address = ("topic",)

    project: str = Field(pattern=r"^[a-z][a-z0-9-]{4,29}$", description="the project's id")
    topic: str = Field(pattern=r"^[A-Za-z0-9_.~%-]{1,200}$", description="without /topics/ before it")
    login: Literal["service_account", "token"] = Field(default="service_account", description="what the credential is")
    credential: Credential
    android_channel: str = Field(default="", max_length=60, description="notification channel that the app has made")
    valid_minutes: int = Field(default=60, ge=1, le=1_440, description="a phone that is off longer gets nothing")
    base_url: Url = "https://fcm.googleapis.com"
    token_url: Url = "https://oauth2.googleapis.com/token"  # noqa: S105 - an address

    @property
    def base(self) -> str:
        """Google."""
        return self.base_url


def traits(settings: Settings) -> Traits:  # noqa: ARG001 - the port
    """What is left of 2,048 bytes; the tag makes repeats safe."""
    return Traits(TextLimit(Unit.BYTES, _LONGEST), frozenset({Power.PROBE, Power.KEY}))


def drill(channel: str, secret: str) -> dict[str, object]:
    """The fields that differ in an exercise on the wall; ``secret`` is a file made for it, and signs nothing."""
    return {
        "base_url": "wall://fcm", "token_url": "wall://fcm/token", "topic": channel, "login": "token",
        "credential": {"token_file": secret},
    }  # fmt: skip


@asynccontextmanager
async def connect(settings: Settings, http: Http) -> AsyncIterator[Channel]:
    """The topic as a channel; raises `OSError`, `KeyError` or `ValueError` where the credential cannot be read."""
    secret = settings.token()
    login: Login = Renewed(settings.token)
    if settings.login == "service_account":
        login = Signed(http, Account.read(secret), _SCOPE, settings.token_url)
    yield _Topic(Api(http, f"{settings.base_url}/v1/projects/{settings.project}", {}), settings, login)


class _Topic(Channel):
    def __init__(self, api: Api, settings: Settings, login: Login) -> None:
        self._api, self._settings, self._login = api, settings, login

    async def send(self, post: Post) -> Outcome:
        """``messages:send``."""
        data = {"message": _message(self._settings, post)}
        sent = await self._ask(lambda who: self._api.create("/messages:send", data, _sent, who))
        return replace(sent, provider_id=post.key) if sent.result is Result.ACCEPTED else sent

    async def probe(self) -> Outcome:
        """The same with ``validateOnly``: everything is checked, nothing is sent."""
        data = {"validateOnly": True, "message": {"topic": self._settings.topic, "notification": {"title": "probe"}}}
        return await self._ask(lambda who: self._api.repeat("POST", "/messages:send", _ready, data, who))

    async def _ask(self, verb: Callable[[dict[str, str]], Awaitable[Outcome]]) -> Outcome:
        """``verb`` with the token that is kept; where that is refused, nothing was done, and a new one is asked for once."""
        known = self._login.known
        if known:
            outcome = await verb(bearer(known))
            if outcome.reason is not Reason.AUTH:
                return outcome
        fresh = await self._login.renew(known)
        return fresh if isinstance(fresh, Outcome) else await verb(bearer(fresh))


def _message(settings: Settings, post: Post) -> dict[str, Any]:
    """No ``collapseKey``: a phone that was off keeps four of them at most, and one warning must not hide another."""
    headline, body = post.text.headline, post.text.body
    seconds = 60 * settings.valid_minutes
    channel = {"channelId": settings.android_channel} if settings.android_channel else {}
    headers = {
        "apns-priority": "10", "apns-collapse-id": post.key, "apns-expiration": str(int(time.time()) + seconds),
    }  # fmt: skip
    return {
        "topic": settings.topic,
        "notification": {"title": headline, "body": body.removeprefix(headline).lstrip() or body},
        "data": {"id": post.key, "code": post.code, "type": post.purpose, "severity": post.severity, "realm": post.realm},
        "android": {"priority": "HIGH", "ttl": f"{seconds}s", "notification": {"tag": post.key, **channel}},
        "apns": {"headers": headers, "payload": {"aps": {"sound": "default"}}},
    }  # fmt: skip


def _sent(answer: Answer) -> Outcome:
    return _refusal(answer) or accepted(answer, answer.json_object().get("name"))


def _ready(answer: Answer) -> Outcome:
    known = isinstance(answer.json_object().get("name"), str)
    return _refusal(answer) or (Outcome(result=Result.READY) if known else undocumented(answer))


def _refusal(answer: Answer) -> Outcome | None:
    """The status decides; what FCM calls it is told, and a quota that names no wait is left alone for a minute."""
    error = answer.json_object().get("error")
    error = error if isinstance(error, dict) else {}
    said = str(error.get("message", ""))
    outcome = refusal(answer, detail=": ".join(filter(None, (_code(error), said))))
    if outcome is None:
        return None
    if answer.status == 400 and "too big" in said.lower():
        return replace(outcome, reason=Reason.TOO_LONG)
    if outcome.reason is Reason.RATE_LIMITED:
        return replace(outcome, retry_after=outcome.retry_after or _QUOTA_WAIT)
    return outcome


def _code(error: dict[str, Any]) -> str:
    """FCM's own code where the details have one, else Google's."""
    details = error.get("details")
    found = [row.get("errorCode") for row in details if isinstance(row, dict)] if isinstance(details, list) else []
    return str(next(filter(None, found), error.get("status", "")))
