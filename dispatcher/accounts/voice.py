"""How an account speaks: the official text under its own line, or not at all."""

from __future__ import annotations

from dataclasses import replace

from dispatcher.channels.base import Channel, Unsupported
from dispatcher.model.alert import Post, Text
from dispatcher.model.cap import Realm
from dispatcher.model.channel import TextLimit
from dispatcher.model.delivery import Outcome, Reason, Result


class Personal(Channel):
    """An account's own channel. What is said first begins with ``line``; a change begins with the correction alone.

    There is no line in an exercise, whose mark comes first, nor where it would take room that the text needs.
    """

    def __init__(self, channel: Channel, line: str, limit: TextLimit) -> None:
        """``line`` may be empty; ``limit`` is the account's own."""
        self._channel, self._line, self._limit = channel, line, limit

    async def send(self, post: Post) -> Outcome | Unsupported:
        """Say it in the owner's name."""
        return await self._channel.send(self._under_line(post))

    async def edit(self, post: Post) -> Outcome | Unsupported:
        """Change what was said."""
        return await self._channel.edit(post)

    async def delete(self, post: Post) -> Outcome | Unsupported:
        """Take it back."""
        return await self._channel.delete(post)

    async def find(self, post: Post) -> Outcome | Unsupported:
        """Look for it as it was said."""
        return await self._channel.find(self._under_line(post))

    async def probe(self) -> Outcome | Unsupported:
        """Whether it could be said."""
        return await self._channel.probe()

    def _under_line(self, post: Post) -> Post:
        if not self._line or post.realm is Realm.EXERCISE:
            return post
        body = f"{self._line}\n\n{post.text.body}"
        if not self._limit.fits(body):
            return post
        return replace(post, text=Text(self._line, body, post.text.languages))


class Silent(Channel):
    """Stands in for an account whose owner does not agree, or does not any more: nothing leaves, and everybody sees why."""

    def __init__(self, why: str) -> None:
        """``why`` is shown beside each delivery."""
        self._outcome = Outcome(result=Result.PERMANENT, reason=Reason.CANCELLED, detail=why)

    async def send(self, post: Post) -> Outcome:  # noqa: ARG002 - the port
        """Nothing is sent."""
        return self._outcome

    async def edit(self, post: Post) -> Outcome:  # noqa: ARG002 - the port
        """Nothing is changed."""
        return self._outcome

    async def delete(self, post: Post) -> Outcome:  # noqa: ARG002 - the port
        """Nothing is deleted."""
        return self._outcome
