"""A Signal group, written to by a number of one's own over the gateway signal-cli-rest-api; Signal itself has no API.

The gateway answers 400 to nearly everything that goes wrong, so the words decide; what they do not tell may have been
sent. There is no key and no history: after a doubt the text goes out once more, as a repetition that says so.
Sources: github.com/bbernhard/signal-cli-rest-api, its ``src/docs/swagger.json`` and ``src/api``; github.com/AsamK/signal-cli.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace
from typing import Any

from pydantic import Field

from dispatcher.channels._api import Api, accepted, bearer, segment
from dispatcher.channels.base import Channel, ChannelSettings, Traits, Url
from dispatcher.channels.http import Answer, Http, refusal
from dispatcher.model.alert import Post
from dispatcher.model.channel import Power, TextLimit, Unit
from dispatcher.model.delivery import Outcome, Reason, Result

_POWERS = frozenset({Power.EDIT, Power.DELETE, Power.PROBE})

Class = tuple[Result, Reason]

_REJECTED: Class = (Result.PERMANENT, Reason.REJECTED)
_DENIED: Class = (Result.PERMANENT, Reason.AUTH)
_SLOW_DOWN: Class = (Result.TEMPORARY, Reason.RATE_LIMITED)
_UNTOLD: Class = (Result.IN_DOUBT, Reason.SERVER_ERROR)
_WORDS = {
    "invalid group id": _REJECTED, "invalid recipient type": _REJECTED, "cannot be specified together": _REJECTED,
    "more than one group": _REJECTED, "unregistered user": _REJECTED, "not registered": _DENIED,
    "update your profile": _DENIED, "untrusted": _DENIED, "rate limit": _SLOW_DOWN,
}  # fmt: skip
_FAILURE = re.compile(r"[A-Z_]{1,40}")


class Settings(ChannelSettings):
    """A group, and who writes to it. The gateway asks for no secret; a proxy before it may, for a bearer token."""

    address = ("group",)

    base_url: Url = Field(description="address of signal-cli-rest-api", examples=["http://127.0.0.1:8080"])
    number: str = Field(pattern=r"^\+[1-9]\d{6,14}$", description="who writes", examples=["+4917012345678"])
    group: str = Field(
        pattern=r"^group\.[A-Za-z0-9+/=_-]{1,200}$", description="id of the group", examples=["group.bGVlcg=="]
    )

    @property
    def base(self) -> str:
        """The gateway."""
        return self.base_url


def traits(settings: Settings) -> Traits:  # noqa: ARG001 - the port
    """2,000 bytes, beyond which Signal makes an attachment of the text; no key and no way to look."""
    return Traits(TextLimit(Unit.BYTES, 2_000), _POWERS)


def drill(channel: str, secret: str) -> dict[str, object]:  # noqa: ARG001 - alike for all kinds
    """The fields that differ in an exercise on the wall; ``secret`` is a file made for it."""
    return {"base_url": "wall://signal", "credential": {"token_file": secret}}


@asynccontextmanager
async def connect(settings: Settings, http: Http) -> AsyncIterator[Channel]:
    """The group as a channel; raises `OSError` or `KeyError` where a token is named and cannot be read."""
    yield _Group(Api(http, settings.base_url, bearer(settings.token())), settings.number, settings.group)


class _Group(Channel):
    def __init__(self, api: Api, number: str, group: str) -> None:
        self._api, self._number, self._group = api, number, group

    async def send(self, post: Post) -> Outcome:
        """``POST /v2/send``; the message's time stamp is its id."""
        return await self._api.create("/v2/send", self._message(post), _posted)

    async def edit(self, post: Post) -> Outcome:
        """The same with the time stamp of the message that it changes."""
        message = {**self._message(post), "edit_timestamp": _timestamp(post)}
        return await self._api.repeat("POST", "/v2/send", _posted, message)

    async def delete(self, post: Post) -> Outcome:
        """``DELETE /v1/remote-delete/{number}``."""
        data = {"recipient": self._group, "timestamp": _timestamp(post)}
        return await self._api.repeat("DELETE", f"/v1/remote-delete/{segment(self._number)}", _posted, data)

    async def probe(self) -> Outcome:
        """``GET /v1/groups/{number}/{groupid}``: whether the number is there and in the group."""
        return await self._api.repeat("GET", f"/v1/groups/{segment(self._number)}/{segment(self._group)}", _ready)

    def _message(self, post: Post) -> dict[str, Any]:
        """In mode ``normal`` no sign is mark-up."""
        recipients = [self._group]
        return {"number": self._number, "recipients": recipients, "message": post.text.body, "text_mode": "normal"}


def _timestamp(post: Post) -> int:
    return int(post.target) if post.target.isdecimal() else 0


def _posted(answer: Answer) -> Outcome:
    """Newer gateways answer with a list of one, which also names whom the message did not reach."""
    said = answer.json()
    first = said[0] if isinstance(said, list) and said else said
    first = first if isinstance(first, dict) else {}
    stamp = str(first.get("timestamp", ""))
    outcome = _refusal(answer) or accepted(answer, stamp if stamp.isdecimal() else None)
    return replace(outcome, detail=_missed(first)) if outcome.result is Result.ACCEPTED else outcome


def _missed(said: dict[str, Any]) -> str:
    """How many members a message did not reach, and why; never who."""
    errors = said.get("errors")
    members = errors.get("recipients") if isinstance(errors, dict) else None
    if not isinstance(members, list) or not members:
        return ""
    reasons = (str(member.get("reason", "")) for member in members if isinstance(member, dict))
    counted = Counter(reason for reason in reasons if _FAILURE.fullmatch(reason))
    why = ", ".join(f"{count} {reason}" for reason, count in counted.items())
    return f"did not reach {len(members)} of the group" + (f": {why}" if why else "")


def _ready(answer: Answer) -> Outcome:
    group = answer.json_object()
    if refused := refusal(answer, detail=str(group.get("error", ""))):
        return refused
    if group.get("member") is not True or group.get("blocked") is True:
        return Outcome(
            result=Result.PERMANENT, reason=Reason.AUTH, detail="the number is not in the group, or blocked it"
        )
    return Outcome(result=Result.READY)


def _refusal(answer: Answer) -> Outcome | None:
    said = answer.json_object()
    error = str(said.get("error", ""))
    outcome = refusal(answer, detail=error)
    if outcome is None:
        return None
    if answer.status == 429 and said.get("challenge_tokens"):
        return replace(outcome, result=Result.PERMANENT, detail=f"a person has to solve a captcha: {error}")
    if answer.status != 400:
        return outcome
    known = (class_ for words, class_ in _WORDS.items() if words in error.lower())
    result, reason = next(known, _UNTOLD)
    return replace(outcome, result=result, reason=reason)
