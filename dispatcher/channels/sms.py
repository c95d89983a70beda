"""SMS to a list of numbers, over seven.io, Twilio, GatewayAPI or Infobip.

The limit is counted in segments, as phones and bills count. Long lists go out in chunks, each with a doubt of its own;
how their fates become one outcome stands in `_recipients`. Nothing that was sent can be changed or taken back.
"""

from __future__ import annotations

import re
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from typing import Literal, Self

from pydantic import Field, model_validator

from dispatcher.channels._api import Judge, presentable, settle, undocumented
from dispatcher.channels._recipients import NUMBER, ListSettings, Number, Recipients, Said, Spread
from dispatcher.channels._sms import Login, Message, Provider
from dispatcher.channels._sms_providers import PROVIDERS
from dispatcher.channels.base import Channel, Credential, Traits, Unsupported, Url
from dispatcher.channels.http import Answer, Http, Request
from dispatcher.model.alert import Post
from dispatcher.model.channel import Power, TextLimit, Unit
from dispatcher.model.delivery import Outcome, Result
from dispatcher.model.gsm import plain

_AT_ONCE = 10  # requests
_MORE_PAGES = 20  # beyond the first of each search


class Settings(ListSettings):
    """An account with a provider, and the numbers it writes to, as in +4917012345678, quoted in YAML."""

    via: Literal["seven", "twilio", "gatewayapi", "infobip"]
    sender: str = Field(
        pattern=r"^([A-Za-z0-9 ._-]{1,11}|\+?\d{3,16}|MG[0-9a-f]{32})$",
        description="what phones show: a name of up to 11 signs, a number, or Twilio's messaging service",
    )
    recipients: tuple[Number, ...] = ()
    credential: Credential
    account: str = Field(default="", description="Twilio's account, AC...", pattern=r"^(AC[0-9A-Za-z]{8,64})?$")
    key_id: str = Field(default="", description="Twilio's API key, SK..., where the secret is a key's")
    base_url: Url | None = Field(default=None, description="the provider's address; Infobip gives each customer one")
    max_segments: int = Field(default=8, ge=1, le=10, description="longest text, in SMS of 153 or 67 signs each")
    chunk: int = Field(default=100, ge=1, le=500, description="numbers in one request, where it takes several")
    valid_minutes: int = Field(default=60, ge=1, le=600, description="a phone that is off longer gets nothing")

    @property
    def base(self) -> str:
        """The provider."""
        return self.base_url or PROVIDERS[self.via].base

    @model_validator(mode="after")
    def _known_there(self) -> Self:
        if self.via == "twilio" and not self.account:
            raise ValueError("account is missing: Twilio's account, AC...")
        if not self.base:
            raise ValueError("base_url is missing: your own address at Infobip")
        return self


def traits(settings: Settings) -> Traits:
    """Segments; what can be asked differs by provider, and no provider can edit, recall or recognise a repeat."""
    provider = PROVIDERS[settings.via]
    powers = {Power.FIND: provider.finds, Power.PROBE: provider.probes}
    return Traits(TextLimit(Unit.SEGMENTS, settings.max_segments), frozenset(p for p, has in powers.items() if has))


def drill(channel: str, secret: str) -> dict[str, object]:  # noqa: ARG001 - alike for all kinds
    """The fields that differ in an exercise on the wall; ``secret`` is a file made for it, and no real number is read."""
    return {
        "via": "seven", "base_url": "wall://seven", "credential": {"token_file": secret}, "recipients_file": None,
        "recipients": ["+490000000"],
    }  # fmt: skip


@asynccontextmanager
async def connect(settings: Settings, http: Http) -> AsyncIterator[Channel]:
    """The list as a channel; raises `OSError`, `KeyError` or `ValueError` where secret or list cannot be read."""
    login = Login(settings.base, settings.token(), settings.account, settings.key_id)
    recipients = Recipients(settings, re.compile(NUMBER))
    yield _Sms(http, PROVIDERS[settings.via](login), settings, recipients)


class _Sms(Channel):
    def __init__(self, http: Http, provider: Provider, settings: Settings, recipients: Recipients) -> None:
        self._http, self._provider, self._settings, self._recipients = http, provider, settings, recipients
        self._spread = Spread(min(provider.chunk, settings.chunk), _AT_ONCE, divides=True)

    async def send(self, post: Post) -> Outcome:
        """A request for each chunk of numbers that the post has not reached yet."""
        message = self._message(post)

        async def speak(numbers: Sequence[str]) -> Said:
            """The same message to one part of the list."""
            return await self._speak(message, numbers)

        return await self._spread.send(post.key, self._recipients.current(), speak)

    async def find(self, post: Post) -> Outcome | Unsupported:
        """Ask whom the provider took it for: VISIBLE where that is everyone. Only the others are sent it next."""
        if not self._provider.finds:
            return Unsupported("find")
        numbers = self._recipients.current()
        outcome, taken = await self._look_up(post, numbers)
        ours = {
            number: Outcome(result=Result.ACCEPTED, provider_id=taken[number]) for number in numbers if number in taken
        }
        self._spread.settled(post.key).update(ours)
        if outcome is not None:
            return outcome
        detail = f"{len(ours)} of {len(numbers)} found"
        if len(ours) < len(numbers):
            return Outcome(result=Result.ABSENT, detail=detail)
        return presentable(Outcome(result=Result.VISIBLE, provider_id=taken[numbers[0]], detail=detail))

    async def probe(self) -> Outcome | Unsupported:
        """Ask for the account's credit, where that can be asked."""
        if not self._provider.probes:
            return Unsupported("probe")
        return await self._ask(self._provider.balance, self._credit)

    def _message(self, post: Post) -> Message:
        return Message(self._settings.sender, plain(post.text.body), post.key, self._settings.valid_minutes)

    async def _speak(self, message: Message, numbers: Sequence[str]) -> Said:
        """One request; numbers that its answer does not speak of are in doubt."""
        fates: dict[str, Outcome] = {}

        def judge(answer: Answer) -> Outcome:
            """A refusal of all, or what became of each number."""
            if refused := self._provider.refused(answer):
                return refused
            fates.update(self._provider.fates(answer, message, numbers))
            return undocumented(answer)

        rest = await settle(self._http, self._provider.request(message, numbers), judge)
        return Said({number: presentable(fate) for number, fate in fates.items()}, rest)

    async def _look_up(self, post: Post, numbers: Sequence[str]) -> tuple[Outcome | None, dict[str, str]]:
        """Ids by number of all that was taken, and why the rest could not be asked."""
        taken: dict[str, str] = {}
        paths = list(self._provider.searches(self._message(post), numbers, post.created_at))
        for _ in range(len(paths) + _MORE_PAGES):
            if not paths:
                break
            outcome = await self._ask(paths.pop(), lambda answer: self._page(answer, post.code, taken, paths))
            if outcome.result is not Result.READY:
                return outcome, taken
        return None, taken

    def _page(self, answer: Answer, code: str, taken: dict[str, str], paths: list[str]) -> Outcome:
        if refused := self._provider.refused(answer):
            return refused
        page = self._provider.listed(answer, code)
        if page is None:
            return undocumented(answer)
        taken.update(page.taken)
        paths += [page.next] if page.next.startswith("/") else []
        return Outcome(result=Result.READY)

    async def _ask(self, path: str, judge: Judge) -> Outcome:
        request = Request("GET", self._provider.login.base + path, self._provider.headers())
        return await settle(self._http, request, judge, repeatable=True)

    def _credit(self, answer: Answer) -> Outcome:
        credit = self._provider.credit(answer)
        ready = Outcome(result=Result.READY, detail=f"credit {credit}") if credit else undocumented(answer)
        return self._provider.refused(answer) or ready
