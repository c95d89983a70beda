"""Cards as channels see them: an image of the alert at a public address, with the words on it for those who cannot see it."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import Protocol

from dispatcher.model.alert import Post
from dispatcher.model.delivery import Outcome, Reason, Result
from dispatcher.model.errors import DispatcherError
from dispatcher.telemetry import logger

log = logger("cards")


class Shape(StrEnum):
    """Width and height in pixels: 4:5 for feeds of images, 16:9 for a post with a text above."""

    PORTRAIT = "1080x1350"
    LANDSCAPE = "1200x675"

    @property
    def size(self) -> tuple[int, int]:
        """Width and height."""
        width, _, height = self.value.partition("x")
        return int(width), int(height)


@dataclass(frozen=True, slots=True)
class Card:
    """A JPEG that whoever knows ``url`` can fetch; ``alt`` are the words on it, at most 1,000 characters."""

    url: str
    alt: str


class NoCard(DispatcherError):
    """There is no card; ``outcome`` is that of a post that cannot be without one."""

    def __init__(self, result: Result, reason: Reason, why: str) -> None:
        """``why`` is told to people."""
        self.outcome = Outcome(result=result, reason=reason, detail=f"no card: {why}")
        super().__init__(self.outcome.detail)


class Cards(Protocol):
    """Where channels get cards from."""

    async def of(self, post: Post, shape: Shape) -> Card:
        """The card of ``post`` within a few seconds; raises `NoCard`, or `Fenced` where the post may not leave any more."""


class NoCards:
    """Where cards are not configured."""

    async def of(self, post: Post, shape: Shape) -> Card:  # noqa: ARG002 - the port
        """There is none."""
        raise NoCard(Result.PERMANENT, Reason.REJECTED, "cards are not configured")


async def card_or_none(cards: Cards, post: Post, shape: Shape) -> Card | None:
    """The card of ``post``, or None: the post goes without. Raises `Fenced`."""
    try:
        return await cards.of(post, shape)
    except NoCard as error:
        log.warning("no_card", channel=post.channel, alert=post.alert, why=error.outcome.detail)
        return None
