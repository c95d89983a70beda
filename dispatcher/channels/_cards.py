"""Cards as channels see them: an image of the alert, with the words on it for those who cannot see it.

Some providers fetch it at a public address (`Card`), others are given its bytes before the post (`Picture`). An upload is no
post: nobody sees it, so whatever goes wrong with it leaves no doubt, and the text leaves without it.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, replace
from enum import StrEnum
from typing import Final, Protocol, TypeVar

from dispatcher.channels.departure import preparing
from dispatcher.model.alert import Post
from dispatcher.model.delivery import Outcome, Reason, Result
from dispatcher.model.errors import DispatcherError
from dispatcher.telemetry import logger

log = logger("cards")

PATIENCE: Final = 5.0  # seconds that a text waits for its card; drawing takes a tenth of that, a busy machine more
_AGAIN_SECONDS: Final = 0.2  # between two questions whether an upload is done

_Shown = TypeVar("_Shown")


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


@dataclass(frozen=True, slots=True)
class Picture:
    """A card's bytes, a JPEG of ``shape``; ``alt`` are the words on it, at most 1,000 characters."""

    jpeg: bytes
    alt: str
    shape: Shape


class NoCard(DispatcherError):
    """There is no card; ``outcome`` is that of a post that cannot be without one."""

    def __init__(self, result: Result, reason: Reason, why: str) -> None:
        """``why`` is told to people."""
        self.outcome = Outcome(result=result, reason=reason, detail=f"no card: {why}")
        super().__init__(self.outcome.detail)


class Cards(Protocol):
    """Where channels get cards from; ``patience`` is how long a text waits for one, in seconds."""

    patience: float

    async def of(self, post: Post, shape: Shape) -> Card:
        """The card of ``post`` within a few seconds; raises `NoCard`, or `Fenced` where the post may not leave any more."""

    async def drawn(self, post: Post, shape: Shape) -> Picture:
        """The same as bytes, which needs no address."""


class NoCards:
    """Where no cards are made."""

    patience = 0.0

    async def of(self, post: Post, shape: Shape) -> Card:  # noqa: ARG002 - the port
        """There is none."""
        raise NoCard(Result.PERMANENT, Reason.REJECTED, "cards are not configured")

    async def drawn(self, post: Post, shape: Shape) -> Picture:  # noqa: ARG002 - the port
        """There is none."""
        raise NoCard(Result.PERMANENT, Reason.REJECTED, "none are made here")


async def card_or_none(cards: Cards, post: Post, shape: Shape) -> Card | None:
    """The card of ``post``, or None: the post goes without. Raises `Fenced`."""
    try:
        return await cards.of(post, shape)
    except NoCard as error:
        log.warning("no_card", channel=post.channel, alert=post.alert, why=error.outcome.detail)
        return None


async def illustrated(
    cards: Cards | None,
    post: Post,
    upload: Callable[[Picture], Awaitable[_Shown]],
    say: Callable[[_Shown | None], Awaitable[Outcome]],
) -> Outcome:
    """What ``say`` comes to with the uploaded card of ``post``, or without where there is none or it is refused.

    ``upload`` raises `NoCard` where the provider does not take the picture. Without ``cards`` none is wanted. Why a text
    went without its card is the detail of its acceptance. Raises `Fenced`.
    """
    if cards is None:
        return await say(None)
    try:
        shown = await _uploaded(cards, post, upload)
    except NoCard as error:
        why = error.outcome.detail
    else:
        outcome = await say(shown)
        if not _not_posted(outcome):
            return outcome
        why = f"no card: {outcome.detail}"
    log.warning("no_card", channel=post.channel, alert=post.alert, why=why)
    outcome = await say(None)
    return replace(outcome, detail=why) if outcome.result is Result.ACCEPTED else outcome


async def _uploaded(cards: Cards, post: Post, upload: Callable[[Picture], Awaitable[_Shown]]) -> _Shown:
    """Draw and upload within the patience that a text has; raises `NoCard` and `Fenced`."""
    try:
        with preparing():
            async with asyncio.timeout(cards.patience):
                return await upload(await cards.drawn(post, Shape.LANDSCAPE))
    except TimeoutError:
        raise NoCard(Result.TEMPORARY, Reason.TIMEOUT, "its upload took too long") from None


def _not_posted(outcome: Outcome) -> bool:
    """Whether a refusal may be about the card: nothing was posted, and no text stands there already."""
    refused = outcome.result is Result.PERMANENT and outcome.reason is not Reason.DUPLICATE
    return refused or (outcome.result, outcome.reason) == (Result.TEMPORARY, Reason.SERVER_ERROR)


def taken(outcome: Outcome) -> Outcome:
    """``outcome`` of a step of an upload, where that is done; raises `NoCard` where it is not."""
    if outcome.result is not Result.READY:
        raise NoCard(outcome.result, outcome.reason or Reason.REJECTED, outcome.detail)
    return outcome


async def once_made(ask: Callable[[], Awaitable[Outcome]]) -> Outcome:
    """What ``ask`` answers once it is something else than ABSENT, which means: still in the making."""
    while (outcome := await ask()).result is Result.ABSENT:  # noqa: ASYNC110 - it is far away, and tells by being asked
        await asyncio.sleep(_AGAIN_SECONDS)
    return outcome
