"""Kinds that are wrong on purpose: the contract has to find each of them out."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass

from dispatcher.channels.base import Channel, ChannelSettings, Traits
from dispatcher.channels.http import ChannelError, Http, Request
from dispatcher.model.alert import Post
from dispatcher.model.channel import TextLimit, Unit
from dispatcher.model.delivery import Outcome, Reason, Result


class BrokenSettings(ChannelSettings):
    """An address and a token."""

    url: str


class BrokenChannel(Channel):
    """Sends the text as it is; what it makes of the answer is its subclasses' mistake."""

    def __init__(self, settings: BrokenSettings, http: Http) -> None:
        """Keep what the mistakes need."""
        self.http, self.token = http, settings.token()
        headers = {"Authorization": f"Bearer {self.token}"}
        self.request = Request("POST", settings.url, headers, b"{}")


class Believer(BrokenChannel):
    """Takes every answer, and none, for an acceptance."""

    async def send(self, post: Post) -> Outcome:
        """Accepted, always."""
        with suppress(ChannelError):
            await self.http.request(self.request)
        return Outcome(result=Result.ACCEPTED, provider_id=post.key)


class Thrower(BrokenChannel):
    """Lets errors through to its caller."""

    async def send(self, _post: Post) -> Outcome:
        """Whatever comes."""
        await self.http.request(self.request)
        return Outcome(result=Result.ACCEPTED, provider_id="1")


class Gossip(BrokenChannel):
    """Tells its secret."""

    async def send(self, _post: Post) -> Outcome:
        """Refused, with too much detail."""
        await self.http.request(self.request)
        return Outcome(result=Result.PERMANENT, reason=Reason.REJECTED, detail=f"refused {self.token}")


class Insister(BrokenChannel):
    """Sends again by itself."""

    async def send(self, _post: Post) -> Outcome:
        """Twice."""
        await self.http.request(self.request)
        answer = await self.http.request(self.request)
        return Outcome(result=Result.PERMANENT, reason=Reason.REJECTED, detail=f"HTTP {answer.status}")


@dataclass(frozen=True)
class BrokenKind:
    """A kind's module, made of one broken channel."""

    make: Callable[[BrokenSettings, Http], Channel]
    Settings: type[ChannelSettings] = BrokenSettings

    def traits(self, _settings: ChannelSettings) -> Traits:
        """Anything fits."""
        return Traits(TextLimit(Unit.CHARACTERS, 1000))

    @asynccontextmanager
    async def connect(self, settings: BrokenSettings, http: Http) -> AsyncIterator[Channel]:
        """The broken channel."""
        yield self.make(settings, http)
