"""Who has signed up for messages from a channel, as the channel sees them."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from typing import Protocol

from dispatcher.model.channel import ChannelId


@dataclass(frozen=True, slots=True)
class Subscription:
    """One browser: where its push service takes messages for it, its public point (65 bytes) and its secret (16 bytes)."""

    endpoint: str
    p256dh: bytes
    auth: bytes


class Subscribers(Protocol):
    """Who has signed up for messages from a channel."""

    async def of(self, channel: ChannelId, regions: Collection[str]) -> Sequence[Subscription]:
        """Whoever wants to hear of any of ``regions``, or of all; raises `JournalError` where nobody can be read."""

    async def drop(self, channel: ChannelId, endpoints: Sequence[str]) -> None:
        """Forget these. It is tried and never waited for longer than it takes; what fails is tried at the next message."""


class Nobody:
    """No one has signed up."""

    async def of(self, channel: ChannelId, regions: Collection[str]) -> Sequence[Subscription]:  # noqa: ARG002 - the port
        """Nobody."""
        return ()

    async def drop(self, channel: ChannelId, endpoints: Sequence[str]) -> None:
        """Nothing to forget."""
