"""A Matrix room, posted to by an account that is a member of it, over the client-server API v3.

The transaction id of a post is made from its key: the same one again, from the same access token, answers with the first
event, so a doubt is settled by sending once more. Changes are events of their own that name the original; clients that do
not know them show the new text below the old one.
Sources: spec.matrix.org, "Client-Server API", "Sending events to a room", "Event replacements", "Rate limiting"; "Room
Version 12"; what Synapse answers (tests/integration/test_synapse.py).
"""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace
from datetime import timedelta
from typing import Any

from pydantic import Field

from dispatcher.channels._api import Api, Listed, accepted, bearer, find_in, segment, undocumented
from dispatcher.channels.base import Channel, ChannelSettings, Credential, Traits, Url
from dispatcher.channels.http import Answer, Http, bounded, refusal
from dispatcher.model.alert import Post
from dispatcher.model.channel import Power, TextLimit, Unit
from dispatcher.model.delivery import Outcome, Reason, Result

# An event may have 65,536 bytes, its signatures included; a change holds its text twice, and JSON may double every sign.
_LONGEST_TEXT = 15_000
_ONLY_MESSAGES = segment('{"types":["m.room.message"]}')


class Settings(ChannelSettings):
    """A room by its id, for its names may move to another, and the access token of an account that may post there."""

    address = ("room_id",)

    base_url: Url = Field(description="address of the homeserver", examples=["https://matrix.example.org"])
    room_id: str = Field(pattern=r"^![^\s/?#]{1,254}$", description="id of the room", examples=["!leer:matrix.example"])
    credential: Credential

    @property
    def base(self) -> str:
        """The homeserver."""
        return self.base_url


def traits(settings: Settings) -> Traits:  # noqa: ARG001 - the port
    """A text in bytes, every verb, and a key that makes repeats safe."""
    return Traits(TextLimit(Unit.BYTES, _LONGEST_TEXT), frozenset(Power))


def drill(channel: str, secret: str) -> dict[str, object]:  # noqa: ARG001 - alike for all kinds
    """The fields that differ in an exercise on the wall; ``secret`` is a file made for it."""
    return {"base_url": "wall://matrix", "credential": {"token_file": secret}}


@asynccontextmanager
async def connect(settings: Settings, http: Http) -> AsyncIterator[Channel]:
    """The room as a channel; raises `OSError` or `KeyError` where the token cannot be read."""
    api = Api(http, f"{settings.base_url}/_matrix/client/v3", bearer(settings.token()))
    yield _Room(api, settings.room_id)


class _Room(Channel):
    def __init__(self, api: Api, room: str) -> None:
        self._api, self._room, self._path = api, room, f"/rooms/{segment(room)}"

    async def send(self, post: Post) -> Outcome:
        """``PUT .../send/m.room.message/{txnId}``."""
        return await self._api.create(self._message(post), _said(post.text.body), self._posted, method="PUT")

    async def edit(self, post: Post) -> Outcome:
        """An event that replaces the text of the original."""
        event = {
            **_said(f"* {post.text.body}"), "m.new_content": _said(post.text.body),
            "m.relates_to": {"rel_type": "m.replace", "event_id": post.target},
        }  # fmt: skip
        return await self._api.repeat("PUT", self._message(post), self._posted, event)

    async def delete(self, post: Post) -> Outcome:
        """``PUT .../redact/{eventId}/{txnId}``, answered alike when it is redacted already."""
        path = f"{self._path}/redact/{segment(post.target)}/{segment(post.key)}"
        return await self._api.repeat("PUT", path, self._posted, {})

    async def find(self, post: Post) -> Outcome:
        """``GET .../messages``: the room's newest, searched for our code."""
        path = f"{self._path}/messages?dir=b&limit=50&filter={_ONLY_MESSAGES}"
        return await self._api.repeat("GET", path, lambda answer: self._found(answer, post.code))

    async def probe(self) -> Outcome:
        """Who we are, whether we are in the room, and whether its power levels, or having made it, let us post."""
        me = await self._api.repeat("GET", "/account/whoami", _named)
        if me.result is not Result.READY:
            return me
        user = me.provider_id
        member = await self._api.repeat("GET", f"{self._path}/state/m.room.member/{segment(user)}", _joined)
        if member.result is not Result.READY:
            return member
        state = f"{self._path}/state"
        levels = await self._api.repeat("GET", f"{state}/m.room.power_levels", lambda answer: _may_post(answer, user))
        # From room version 12 on, ids name no server, and who made the room stands above all levels.
        if levels.reason is not Reason.AUTH or ":" in self._room:
            return levels
        return await self._api.repeat(
            "GET", f"{state}/m.room.create?format=event", lambda answer: _made(answer, user, levels)
        )

    def _message(self, post: Post) -> str:
        return f"{self._path}/send/m.room.message/{segment(post.key)}"

    def _posted(self, answer: Answer) -> Outcome:
        event = answer.json_object().get("event_id")
        return _refusal(answer) or accepted(answer, event, self._url(event))

    def _found(self, answer: Answer, code: str) -> Outcome:
        events = answer.json_object().get("chunk")
        originals = [event for event in events if not _replaces(event)] if isinstance(events, list) else None
        return _refusal(answer) or find_in(answer, originals, code, self._listed)

    def _listed(self, event: dict[str, Any]) -> Listed:
        return Listed(
            str(event.get("event_id", "")), str(_content(event).get("body", "")), self._url(event.get("event_id"))
        )

    def _url(self, event: Any) -> str:
        server = self._room.partition(":")[2]
        via = f"?via={segment(server)}" if server else ""
        return f"https://matrix.to/#/{segment(self._room)}/{segment(str(event))}{via}"


def _said(text: str) -> dict[str, Any]:
    """Plain text; the empty mentions keep clients from calling everybody for a text that says ``@room``."""
    return {"msgtype": "m.text", "body": text, "m.mentions": {}}


def _content(event: Any) -> dict[str, Any]:
    content = event.get("content") if isinstance(event, dict) else None
    return content if isinstance(content, dict) else {}


def _replaces(event: Any) -> bool:
    """Whether an event only changes an earlier one; what was posted is the original."""
    relation = _content(event).get("m.relates_to")
    return isinstance(relation, dict) and relation.get("rel_type") == "m.replace"


def _named(answer: Answer) -> Outcome:
    """Whose token it is."""
    user = answer.json_object().get("user_id")
    known = Outcome(result=Result.READY, provider_id=user) if isinstance(user, str) and user else undocumented(answer)
    return _refusal(answer) or known


def _joined(answer: Answer) -> Outcome:
    if refused := _refusal(answer):
        return refused
    membership = answer.json_object().get("membership")
    return Outcome(result=Result.READY) if membership == "join" else _denied("the account is not in the room")


def _may_post(answer: Answer, user: str) -> Outcome:
    """By ``m.room.power_levels``; where the room has none, everybody may post."""
    if answer.status == 404:
        return Outcome(result=Result.READY)
    if refused := _refusal(answer):
        return refused
    levels = answer.json_object()
    own = _level(levels, "users", user, "users_default")
    needed = _level(levels, "events", "m.room.message", "events_default")
    return Outcome(result=Result.READY) if own >= needed else _denied(f"power level {own}, but posting needs {needed}")


def _made(answer: Answer, user: str, denied: Outcome) -> Outcome:
    """Ready where the event that made the room names ``user``, as its sender or beside it; else ``denied``."""
    if refused := _refusal(answer):
        return refused
    event = answer.json_object()
    beside = _content(event).get("additional_creators")
    makers = [event.get("sender"), *(beside if isinstance(beside, list) else ())]
    return Outcome(result=Result.READY) if user in makers else denied


def _level(levels: dict[str, Any], table: str, name: str, default: str) -> int:
    named = levels.get(table)
    level = named.get(name) if isinstance(named, dict) else None
    level = levels.get(default) if level is None else level
    return level if isinstance(level, int) else 0


def _denied(detail: str) -> Outcome:
    return Outcome(result=Result.PERMANENT, reason=Reason.AUTH, detail=detail)


def _refusal(answer: Answer) -> Outcome | None:
    said = answer.json_object()
    outcome = refusal(answer, detail=f"{said.get('errcode', '')}: {said.get('error', '')}")
    if outcome is None or outcome.reason is not Reason.RATE_LIMITED:
        return outcome
    return replace(outcome, retry_after=outcome.retry_after or _wait(said))


def _wait(said: dict[str, Any]) -> timedelta | None:
    """``retry_after_ms``, which servers sent before they sent ``Retry-After``; None where it is missing or garbage."""
    wait = said.get("retry_after_ms")
    return bounded(timedelta(milliseconds=min(wait, 86_400_000))) if isinstance(wait, int) and wait > 0 else None
