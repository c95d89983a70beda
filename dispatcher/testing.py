"""Fakes of the outside world, shipped with the product: a clock that is pushed and a channel that is a function."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta

from dispatcher.channels.base import Channel
from dispatcher.channels.departure import leave
from dispatcher.model.alert import Post
from dispatcher.model.delivery import Outcome, Result


@dataclass(slots=True)
class FakeClock:
    """Stands still until it is pushed."""

    time: datetime = datetime(2026, 11, 20, 9, 40, tzinfo=UTC)

    def now(self) -> datetime:
        """The time it was pushed to."""
        return self.time

    def push(self, span: timedelta) -> None:
        """Let ``span`` pass."""
        self.time += span


@dataclass(slots=True)
class FakeChannel(Channel):
    """Keeps what it is given and answers as ``handler`` says; without one it accepts everything."""

    handler: Callable[[Post], Awaitable[Outcome]] | None = None
    posts: list[Post] = field(default_factory=list)
    edits: list[Post] = field(default_factory=list)
    deletions: list[Post] = field(default_factory=list)

    async def send(self, post: Post) -> Outcome:
        """Leave, keep the post, answer."""
        leave()
        self.posts.append(post)
        if self.handler is not None:
            return await self.handler(post)
        return Outcome(result=Result.ACCEPTED, provider_id=f"fake-{len(self.posts)}")

    async def edit(self, post: Post) -> Outcome:
        """Leave, keep the new text, accept it."""
        leave()
        self.edits.append(post)
        return Outcome(result=Result.ACCEPTED, provider_id=post.target)

    async def delete(self, post: Post) -> Outcome:
        """Leave, keep what was to go, accept it."""
        leave()
        self.deletions.append(post)
        return Outcome(result=Result.ACCEPTED, provider_id=post.target)
