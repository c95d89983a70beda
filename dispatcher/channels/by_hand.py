"""A channel that no program can post to: each delivery is a task for a person, with the text, a link and a reminder.

The official warning desk is one of these where the authority does not operate the warning system itself.
"""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from pydantic import Field

from dispatcher.channels.base import Channel, ChannelSettings, Traits
from dispatcher.channels.departure import leave
from dispatcher.channels.http import Http
from dispatcher.model.alert import Post
from dispatcher.model.channel import TextLimit, Unit
from dispatcher.model.delivery import Outcome, Result


class Settings(ChannelSettings):
    """Nothing is called, so nothing is needed but the room that a text has there."""

    address = ()

    limit: int = Field(default=4_000, ge=20, le=100_000, description="longest text, in characters")


def traits(settings: Settings) -> Traits:
    """The limit as configured; a person does the rest."""
    return Traits(TextLimit(Unit.CHARACTERS, settings.limit))


def drill(channel: str, secret: str) -> dict[str, object]:  # noqa: ARG001 - alike for all kinds
    """The fields that differ in an exercise on the wall; ``secret`` is a file made for it."""
    return {}


@asynccontextmanager
async def connect(settings: Settings, http: Http) -> AsyncIterator[Channel]:  # noqa: ARG001 - the port
    """A channel that only asks."""
    yield _Desk()


class _Desk(Channel):
    async def send(self, post: Post) -> Outcome:  # noqa: ARG002 - the port
        """A task; the fence is asked as before every first byte, so that nobody posts what has ended."""
        leave()
        return Outcome(result=Result.BY_HAND, detail="post it by hand, then confirm")
