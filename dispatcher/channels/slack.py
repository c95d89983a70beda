"""A Slack channel, posted to by an app over the Web API, which answers 200 to refusals too: ``ok`` and ``error`` decide.

Texts leave as rich text, in which no sign is mark-up and no name calls anybody; what notifications show is escaped. There
is no key against repeats, so after a doubt the channel's history is searched for our code.
Sources: docs.slack.dev, "chat.postMessage", "conversations.history", "Rich text block", "Rate limits".
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator, Mapping
from contextlib import asynccontextmanager
from datetime import timedelta
from html import escape
from typing import Any

from pydantic import Field

from dispatcher.channels._api import LINK, Api, Listed, accepted, bearer, find_in, segment
from dispatcher.channels.base import Channel, ChannelSettings, Credential, Traits, Url
from dispatcher.channels.http import Answer, Http, refusal
from dispatcher.model.alert import Post, Text
from dispatcher.model.channel import Power, TextLimit, Unit
from dispatcher.model.delivery import Outcome, Reason, Result

_POWERS = frozenset({Power.EDIT, Power.DELETE, Power.FIND, Power.PROBE})
_LOOK_BACK = timedelta(minutes=1)

Class = tuple[Result, Reason]

_REJECTED: Class = (Result.PERMANENT, Reason.REJECTED)
_DENIED: Class = (Result.PERMANENT, Reason.AUTH)
_TOO_LONG: Class = (Result.PERMANENT, Reason.TOO_LONG)
_SLOW_DOWN: Class = (Result.TEMPORARY, Reason.RATE_LIMITED)
_NOT_TAKEN: Class = (Result.TEMPORARY, Reason.SERVER_ERROR)
_DOUBT: Class = (Result.IN_DOUBT, Reason.SERVER_ERROR)
_ERRORS: Mapping[str, Class] = {
    **dict.fromkeys(("invalid_auth", "not_authed", "account_inactive", "token_revoked", "token_expired"), _DENIED),
    **dict.fromkeys(("missing_scope", "not_in_channel", "not_allowed_token_type", "no_permission"), _DENIED),
    **dict.fromkeys(("msg_too_long", "msg_blocks_too_long"), _TOO_LONG),
    **dict.fromkeys(("ratelimited", "rate_limited"), _SLOW_DOWN),
    **dict.fromkeys(("service_unavailable", "request_timeout", "team_added_to_org"), _NOT_TAKEN),
    **dict.fromkeys(("fatal_error", "internal_error"), _DOUBT),  # the post may stand there
}


class Settings(ChannelSettings):
    """A channel by its id, for changes and look-ups take no name, and the token of an app that may post there."""

    address = ("channel_id",)

    channel_id: str = Field(pattern=r"^[CGD][A-Z0-9]{8,30}$", description="id of the channel", examples=["C0123456789"])
    credential: Credential
    base_url: Url = "https://slack.com/api"

    @property
    def base(self) -> str:
        """The Web API."""
        return self.base_url


def traits(settings: Settings) -> Traits:  # noqa: ARG001 - the port
    """3,000 signs, which Slack takes in every block of text; no key, but a history to look into."""
    return Traits(TextLimit(Unit.UTF16, 3_000), _POWERS)


def drill(channel: str, secret: str) -> dict[str, object]:  # noqa: ARG001 - alike for all kinds
    """The fields that differ in an exercise on the wall; ``secret`` is a file made for it."""
    return {"base_url": "wall://slack", "credential": {"token_file": secret}}


@asynccontextmanager
async def connect(settings: Settings, http: Http) -> AsyncIterator[Channel]:
    """The channel; raises `OSError` or `KeyError` where the token cannot be read."""
    yield _Slack(Api(http, settings.base_url, bearer(settings.token())), settings.channel_id)


class _Slack(Channel):
    def __init__(self, api: Api, channel: str) -> None:
        self._api, self._channel = api, channel

    async def send(self, post: Post) -> Outcome:
        """``chat.postMessage``; no preview of a link covers the text."""
        data = {"channel": self._channel, **_said(post.text), "unfurl_links": False, "unfurl_media": False}
        return await self._api.create("/chat.postMessage", data, _posted)

    async def edit(self, post: Post) -> Outcome:
        """``chat.update``."""
        return await self._api.repeat("POST", "/chat.update", _posted, {**self._message(post), **_said(post.text)})

    async def delete(self, post: Post) -> Outcome:
        """``chat.delete``; what is gone already counts as done."""
        return await self._api.repeat("POST", "/chat.delete", _deleted, self._message(post))

    async def find(self, post: Post) -> Outcome:
        """``conversations.history`` since the alert, searched for our code."""
        since = (post.created_at - _LOOK_BACK).timestamp()
        path = f"/conversations.history?channel={segment(self._channel)}&oldest={since:.6f}&limit=200"
        return await self._api.repeat("GET", path, lambda answer: self._found(answer, post.code))

    async def probe(self) -> Outcome:
        """``conversations.info``, whose headers tell what the token may do."""
        return await self._api.repeat("GET", f"/conversations.info?channel={segment(self._channel)}", _ready)

    def _message(self, post: Post) -> dict[str, Any]:
        channel, _, ts = post.target.rpartition("/")
        return {"channel": channel or self._channel, "ts": ts}

    def _found(self, answer: Answer, code: str) -> Outcome:
        return _refusal(answer) or find_in(answer, answer.json_object().get("messages"), code, self._listed)

    def _listed(self, message: dict[str, Any]) -> Listed:
        return Listed(f"{self._channel}/{message.get('ts', '')}", str(message.get("text", "")))


def _said(text: Text) -> dict[str, Any]:
    """The text as rich text with its headline in bold, and for notifications."""
    section = {"type": "rich_text_section", "elements": list(_elements(text))}
    return {"text": escape(text.body, quote=False), "blocks": [{"type": "rich_text", "elements": [section]}]}


def _elements(text: Text) -> Iterator[dict[str, Any]]:
    before, headline, after = text.body.partition(text.headline) if text.headline else (text.body, "", "")
    yield from _plain(before)
    if headline:
        yield {"type": "text", "text": headline, "style": {"bold": True}}
    yield from _plain(after)


def _plain(text: str) -> Iterator[dict[str, Any]]:
    """``text`` with its links as such; an element without text would be refused."""
    end = 0
    for link in LINK.finditer(text):
        if between := text[end : link.start()]:
            yield {"type": "text", "text": between}
        yield {"type": "link", "url": link[0]}
        end = link.end()
    if rest := text[end:]:
        yield {"type": "text", "text": rest}


def _posted(answer: Answer) -> Outcome:
    """The id names channel and message, which is a time stamp there."""
    said = answer.json_object()
    channel, ts = said.get("channel"), said.get("ts")
    known = isinstance(channel, str) and isinstance(ts, str) and channel and ts
    return _refusal(answer) or accepted(answer, f"{channel}/{ts}" if known else None)


def _deleted(answer: Answer) -> Outcome:
    if answer.json_object().get("error") == "message_not_found":
        return Outcome(result=Result.ACCEPTED, detail="was already gone")
    return _posted(answer)


def _ready(answer: Answer) -> Outcome:
    if refused := _refusal(answer):
        return refused
    channel, scopes = answer.json_object().get("channel"), answer.headers.get("x-oauth-scopes", "")
    may = {scope.strip() for scope in scopes.split(",")}
    if not isinstance(channel, dict) or channel.get("is_archived") is True:
        return Outcome(result=Result.PERMANENT, reason=Reason.REJECTED, detail="the channel is archived")
    if scopes and "chat:write" not in may:
        return Outcome(result=Result.PERMANENT, reason=Reason.AUTH, detail="the token lacks the scope chat:write")
    if channel.get("is_member") is not True and "chat:write.public" not in may:
        return Outcome(result=Result.PERMANENT, reason=Reason.AUTH, detail="the app is not in the channel: invite it")
    return Outcome(result=Result.READY)


def _refusal(answer: Answer) -> Outcome | None:
    said = answer.json_object()
    error = str(said.get("error", ""))
    detail = f"{error}, needed: {said['needed']}" if "needed" in said else error
    if outcome := refusal(answer, detail=detail):
        return outcome
    if said.get("ok") is not False:
        return None
    result, reason = _DENIED if error.startswith("restricted_action") else _ERRORS.get(error, _REJECTED)
    return Outcome(result=result, reason=reason, detail=detail, retry_after=answer.retry_after)
