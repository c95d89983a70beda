"""A Telegram channel, posted to by a bot that is its administrator.

The Bot API knows no idempotency key and lets no bot read a channel's history: after a doubt the text goes out once more,
as a repetition that says so. A message with a photo stays one: its text is a caption, and only both are replaced
together. The bot's token is part of every URL, so no URL may ever be told.
Sources: core.telegram.org/bots/api; github.com/tdlib/telegram-bot-api for what its errors mean.
"""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace
from datetime import timedelta
from html import escape
from typing import Any

from pydantic import Field

from dispatcher.channels._api import Api, in_url, undocumented
from dispatcher.channels._cards import Cards, NoCard, Picture, Shape, illustrated
from dispatcher.channels.base import Channel, ChannelSettings, Credential, Traits, Url
from dispatcher.channels.http import Answer, Outbound, Request, bounded, refusal
from dispatcher.model.alert import Post, Text
from dispatcher.model.channel import Power, TextLimit, Unit
from dispatcher.model.delivery import Outcome, Reason, Result

_POWERS = frozenset({Power.EDIT, Power.DELETE, Power.PROBE})
_CAPTION = TextLimit(Unit.UTF16, 1_024)
_PHOTO = "/photo"  # ends the id of a message with one
_NO_RIGHTS = ("not enough rights", "need administrator rights", "chat_write_forbidden")
_UNCHANGED, _GONE = "message is not modified", "message to delete not found"


class Settings(ChannelSettings):
    """A channel by its public name or its number, and the token of a bot that may post there."""

    address = ("chat_id",)
    uploads_card = True

    chat_id: str = Field(pattern=r"^(@[A-Za-z0-9_]{4,32}|-100\d{5,15})$", description="@name or -100...")
    credential: Credential
    card: bool = Field(
        default=False, description="the alert's card goes with a text of at most 1,024 characters, where there is one"
    )
    base_url: Url = "https://api.telegram.org"

    @property
    def base(self) -> str:
        """The Bot API."""
        return self.base_url


def traits(settings: Settings) -> Traits:  # noqa: ARG001 - the port
    """4,096 UTF-16 units of what is read, mark-up left out; no key and no way to look."""
    return Traits(TextLimit(Unit.UTF16, 4_096), _POWERS)


def drill(channel: str, secret: str) -> dict[str, object]:  # noqa: ARG001 - alike for all kinds
    """The fields that differ in an exercise on the wall; ``secret`` is a file made for it."""
    return {"base_url": "wall://telegram", "credential": {"token_file": secret}}


@asynccontextmanager
async def connect(settings: Settings, http: Outbound) -> AsyncIterator[Channel]:
    """The channel; raises `OSError` or `KeyError` where the token cannot be read."""
    api = Api(http, f"{settings.base_url}/bot{in_url(settings.token())}", {})
    yield _Telegram(api, settings.chat_id, http.cards, wanted=settings.card)


class _Telegram(Channel):
    def __init__(self, api: Api, chat: str, cards: Cards, *, wanted: bool) -> None:
        self._api, self._chat, self._cards, self._wanted = api, chat, cards, wanted
        self._files = replace(api, encode=Request.multipart)

    async def send(self, post: Post) -> Outcome:
        """``sendPhoto`` with the card where there is one, else ``sendMessage``; the id names chat and message by number."""

        async def say(card: Picture | None) -> Outcome:
            """Post the text, below its card."""
            if card is None:
                return await self._api.create("/sendMessage", {"chat_id": self._chat, **_said(post.text)}, _posted)
            photo = {"chat_id": self._chat, "photo": card.jpeg, **_caption(post.text)}
            return await self._files.create("/sendPhoto", photo, _posted)

        async def as_it_is(card: Picture) -> Picture:
            """It is uploaded with the post."""
            return card

        cards = self._cards if self._wanted and _CAPTION.fits(post.text.body) else None
        return await illustrated(cards, post, as_it_is, say)

    async def edit(self, post: Post) -> Outcome:
        """``editMessageText``, or ``editMessageMedia`` of a photo; what stands there already counts as done."""
        if post.target.endswith(_PHOTO):
            return await self._replace(post)
        return await self._api.repeat("POST", "/editMessageText", _done, {**self._message(post), **_said(post.text)})

    async def _replace(self, post: Post) -> Outcome:
        """The card of what is said now, with its text; without it the old one would go on saying what is wrong."""
        if not _CAPTION.fits(post.text.body):
            detail = f"the text below an image has at most {_CAPTION.size:,} characters"
            return Outcome(result=Result.PERMANENT, reason=Reason.TOO_LONG, detail=detail)
        try:
            card = await self._cards.drawn(post, Shape.LANDSCAPE)
        except NoCard as error:
            return error.outcome
        media = {"type": "photo", "media": "attach://card", **_caption(post.text)}
        names = {name: str(value) for name, value in self._message(post).items()}
        data = {**names, "media": json.dumps(media), "card": card.jpeg}
        return await self._files.repeat("POST", "/editMessageMedia", _done, data)

    async def delete(self, post: Post) -> Outcome:
        """``deleteMessage``, which Telegram allows for 48 hours; what is gone already counts as done."""
        return await self._api.repeat("POST", "/deleteMessage", _done, self._message(post))

    async def probe(self) -> Outcome:
        """``getMe``, then ``getChatMember``: whether the bot may post there."""
        me = await self._api.repeat("POST", "/getMe", _named)
        if me.result is not Result.READY:
            return me
        member = {"chat_id": self._chat, "user_id": int(me.provider_id)}
        return await self._api.repeat("POST", "/getChatMember", _ready, member)

    def _message(self, post: Post) -> dict[str, Any]:
        chat, _, message = post.target.removesuffix(_PHOTO).rpartition("/")
        return {"chat_id": chat or self._chat, "message_id": int(message) if message.isdecimal() else 0}


def _said(text: Text) -> dict[str, Any]:
    """The text with its headline in bold and every sign meant as it stands; no preview covers it."""
    return {"text": _html(text), "parse_mode": "HTML", "link_preview_options": {"is_disabled": True}}


def _caption(text: Text) -> dict[str, str]:
    return {"caption": _html(text), "parse_mode": "HTML"}


def _html(text: Text) -> str:
    before, headline, after = text.body.partition(text.headline) if text.headline else (text.body, "", "")
    bold = f"<b>{_plain(headline)}</b>" if headline else ""
    return _plain(before) + bold + _plain(after)


def _plain(text: str) -> str:
    return escape(text, quote=False)


def _posted(answer: Answer) -> Outcome:
    if refused := _refusal(answer):
        return refused
    result = _result(answer)
    message, chat = result.get("message_id"), result.get("chat")
    if not isinstance(message, int) or not isinstance(chat, dict) or not isinstance(chat.get("id"), int):
        return undocumented(answer)
    place = chat.get("username") or f"c/{str(chat['id']).removeprefix('-100')}"
    url = f"https://t.me/{place}/{message}"
    shown = _PHOTO if "photo" in result else ""
    return Outcome(result=Result.ACCEPTED, provider_id=f"{chat['id']}/{message}{shown}", url=url)


def _done(answer: Answer) -> Outcome:
    said = _description(answer)
    if answer.status == 400 and (_UNCHANGED in said.lower() or _GONE in said.lower()):
        return Outcome(result=Result.ACCEPTED, detail=said)
    done = answer.json_object().get("ok") is True
    return _refusal(answer) or (Outcome(result=Result.ACCEPTED) if done else undocumented(answer))


def _named(answer: Answer) -> Outcome:
    """The bot's own number."""
    number = _result(answer).get("id")
    known = Outcome(result=Result.READY, provider_id=str(number)) if isinstance(number, int) else undocumented(answer)
    return _refusal(answer) or known


def _ready(answer: Answer) -> Outcome:
    if refused := _refusal(answer):
        return refused
    member = _result(answer)
    if member.get("status") == "creator" or member.get("can_post_messages") is True:
        return Outcome(result=Result.READY)
    detail = "the bot is no administrator that may post in this channel"
    return Outcome(result=Result.PERMANENT, reason=Reason.AUTH, detail=detail)


def _result(answer: Answer) -> dict[str, Any]:
    result = answer.json_object().get("result")
    return result if isinstance(result, dict) else {}


def _description(answer: Answer) -> str:
    """As it was said: only what keeps its letters can be redacted."""
    return str(answer.json_object().get("description", ""))


def _refusal(answer: Answer) -> Outcome | None:
    said = _description(answer)
    outcome = refusal(answer, detail=said)
    if outcome is None:
        return None
    if answer.status == 404 or any(
        words in said.lower() for words in _NO_RIGHTS
    ):  # an unknown path is an unknown token
        return replace(outcome, reason=Reason.AUTH)
    if answer.status == 400 and "message is too long" in said.lower():
        return replace(outcome, reason=Reason.TOO_LONG)
    if answer.status == 429:
        return replace(outcome, retry_after=_wait(answer) or outcome.retry_after)
    return outcome


def _wait(answer: Answer) -> timedelta | None:
    """``parameters.retry_after`` in seconds, None where it is missing or garbage."""
    parameters = answer.json_object().get("parameters")
    seconds = parameters.get("retry_after") if isinstance(parameters, dict) else None
    return bounded(timedelta(seconds=min(seconds, 86_400))) if isinstance(seconds, int) and seconds > 0 else None
