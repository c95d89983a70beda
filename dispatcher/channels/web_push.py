"""Push messages to browsers whose owners have signed up on the daemon's own page: one sealed message for each of them.

A push service takes a message and delivers it when the browser is there, without telling. Every attempt has the same topic and
tag, by which service and browser replace what they have, so that a repeat is seen once. Nothing can be changed or taken back.
Endpoints are what strangers wrote: nothing goes anywhere but to the push services that the settings name.
Sources: RFC 8030, RFC 8291, RFC 8292; web.dev, "The Web Push Protocol"; pushpad.xyz, error codes of push services.
"""

from __future__ import annotations

import json
import time
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from typing import Annotated

from pydantic import Field

from dispatcher.channels._api import settle, undocumented
from dispatcher.channels._recipients import Said, Spread
from dispatcher.channels._subscribers import Subscription
from dispatcher.channels._webpush import Vapid, decoded, origin_of, seal
from dispatcher.channels.base import Channel, ChannelSettings, Credential, Traits, Url
from dispatcher.channels.http import Answer, Outbound, Request, refusal
from dispatcher.model.alert import Post
from dispatcher.model.cap import Severity
from dispatcher.model.channel import Power, TextLimit, Unit
from dispatcher.model.delivery import Outcome, Reason, Result
from dispatcher.model.errors import JournalError

_AT_ONCE = 50  # messages
_LONGEST = 2_800  # bytes; with title, tag and link the sealed message stays below what every service takes
_LONGEST_TITLE = 120  # characters; browsers show less
_GONE = frozenset({404, 410})

# The browser of RFC 8291, appendix A, whose keys everybody knows.
_EXAMPLE = "BCVxsr7N_eNgVRqvHtD0zTZsEc6-VV-JvLexhqUzORcxaOzi6-AYWXvTBHm4bjyPjs7Vd8pZGH6SRpkNtoIAiw4"
_EXAMPLE_AUTH = "BTBZMqHH6r4Tts7J_aSIgg"

Service = Annotated[str, Field(pattern=r"^(\*\.)?[a-z0-9-]+(\.[a-z0-9-]+)+$")]


class Settings(ChannelSettings):
    """A key of ours, and the push services that messages may go to. People sign up on the page under ``public``."""

    credential: Credential
    contact: str = Field(
        pattern=r"^(mailto:[^\s<>\"@]+@[^\s<>\"@]+|https://[^\s<>\"]+)$",
        description="where push services reach a person of ours",
    )
    services: tuple[Service, ...] = Field(
        default=(
            "fcm.googleapis.com", "updates.push.services.mozilla.com", "*.push.apple.com", "*.notify.windows.com",
        ),
        min_length=1, description="hosts that messages may go to; *. before one for all below it",
    )  # fmt: skip
    opens: str = Field(default="", max_length=500, pattern=r"^(https://[^\s<>\"\\]+)?$", description="what a tap opens")
    valid_minutes: int = Field(default=60, ge=1, le=1_440, description="a browser that is away longer gets nothing")
    most: int = Field(default=20_000, ge=1, le=100_000, description="people who may sign up")
    base_url: Url | None = Field(
        default=None, description="for exercises: the example of RFC 8291 at this address, instead of who signed up"
    )

    @property
    def base(self) -> str:
        """Where an exercise speaks to; else each message goes to a service of its own."""
        return self.base_url or ""

    def wall_account(self) -> str:
        """The key that browsers have subscribed under."""
        return self.vapid().public

    def vapid(self) -> Vapid:
        """Our key; raises `OSError`, `KeyError` or `ValueError` where it cannot be read."""
        return (Vapid.made_of if self.base_url else Vapid.read)(self.token(), self.contact)


def traits(settings: Settings) -> Traits:  # noqa: ARG001 - the port
    """What a sealed message holds; the tag makes repeats safe."""
    return Traits(TextLimit(Unit.BYTES, _LONGEST, escaped=frozenset('"\\\n')), frozenset({Power.KEY}))


def drill(channel: str, secret: str) -> dict[str, object]:  # noqa: ARG001 - alike for all kinds
    """The fields that differ in an exercise on the wall; ``secret`` is a file made for it, and nobody real is written to."""
    return {"base_url": "wall://push", "credential": {"token_file": secret}}


@asynccontextmanager
async def connect(settings: Settings, http: Outbound) -> AsyncIterator[Channel]:
    """Everybody who signed up as a channel; raises `OSError`, `KeyError` or `ValueError` where the key cannot be read."""
    yield _Browsers(settings, http, settings.vapid())


class _Browsers(Channel):
    def __init__(self, settings: Settings, http: Outbound, vapid: Vapid) -> None:
        self._settings, self._http, self._vapid = settings, http, vapid
        self._spread = Spread(1, _AT_ONCE)

    async def send(self, post: Post) -> Outcome:
        """A message for each browser that the post has not reached yet; those that have left are forgotten."""
        try:
            found = {one.endpoint: one for one in await self._subscribed(post)}
        except JournalError:
            return Outcome(
                result=Result.TEMPORARY, reason=Reason.INTERNAL, detail="the list of subscribers cannot be read"
            )
        if not found:
            return Outcome(result=Result.ACCEPTED, provider_id=post.key, detail="nobody has signed up for this")
        message, gone = _message(self._settings, post), list[str]()

        async def speak(endpoints: Sequence[str]) -> Said:
            """The message to one browser; whatever becomes of it is no word about the others."""
            outcome = await self._speak(message, post, found[endpoints[0]], gone)
            return Said({endpoints[0]: outcome}, outcome, personal=True)

        try:
            return await self._spread.send(post.key, list(found), speak)
        finally:
            if gone:
                await self._http.subscribers.drop(post.channel, gone)

    async def _subscribed(self, post: Post) -> Sequence[Subscription]:
        if self._settings.base_url:
            return [Subscription(f"{self._settings.base_url}/example", decoded(_EXAMPLE), decoded(_EXAMPLE_AUTH))]
        return await self._http.subscribers.of(post.channel, post.regions)

    async def _speak(self, message: bytes, post: Post, to: Subscription, gone: list[str]) -> Outcome:
        origin = self._settings.origin or origin_of(to.endpoint, self._settings.services)
        if not origin:
            return Outcome(result=Result.PERMANENT, reason=Reason.REJECTED, detail="at no push service that is named")
        headers = {
            "TTL": str(60 * self._settings.valid_minutes), "Urgency": _urgency(post), "Topic": post.key,
            "Content-Encoding": "aes128gcm", "Content-Type": "application/octet-stream",
            "Authorization": self._vapid.authorization(origin, int(time.time())),
        }  # fmt: skip

        def judge(answer: Answer) -> Outcome:
            """What became of it, noting who has left."""
            if answer.status in _GONE and not self._settings.base_url:
                gone.append(to.endpoint)
            return _sent(answer, post.key)

        request = Request("POST", to.endpoint, headers, seal(message, to))
        return await settle(self._http, request, judge)


def _message(settings: Settings, post: Post) -> bytes:
    """What the service worker shows."""
    headline, body = _printable(post.text.headline), _printable(post.text.body)
    said = {
        "title": headline[:_LONGEST_TITLE], "body": body.removeprefix(headline).lstrip() or body, "tag": post.key,
        "url": settings.opens, "lang": post.text.languages[0] if post.text.languages else "",
    }  # fmt: skip
    return json.dumps(said, ensure_ascii=False, separators=(",", ":")).encode()


def _printable(text: str) -> str:
    """``text`` without what JSON would write in six signs."""
    return "".join(char for char in text if char >= " " or char == "\n")


def _urgency(post: Post) -> str:
    """RFC 8030: high is shown at once on a phone that saves its battery."""
    return "high" if post.purpose.ends or post.severity in (Severity.EXTREME, Severity.SEVERE) else "normal"


def _sent(answer: Answer, key: str) -> Outcome:
    """201 or 202 is all that a push service says. A refusal is about this browser, such as one subscribed under another key."""
    if answer.status in (201, 202):
        return Outcome(result=Result.ACCEPTED, provider_id=key)
    refused = refusal(answer)
    if refused is None:
        return undocumented(answer)
    if refused.reason is Reason.AUTH:
        return Outcome(
            result=Result.PERMANENT, reason=Reason.REJECTED, detail=f"{refused.detail}: our key, or one not for it"
        )
    return refused
