"""Cards without Pillow, and what it takes to send one by a kind that uploads them."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from typing import Any

from contract.kit import channel, kit_of, names_of
from contract.provider import Behave, Provider, provider, says

from dispatcher.channels._cards import Card, Cards, NoCards, Picture, Shape
from dispatcher.channels.base import Channel, kinds
from dispatcher.channels.departure import allowed
from dispatcher.channels.http import http_client
from dispatcher.model.alert import Post

UPLOADING = [name for kind in kinds() for name in names_of(kind) if kit_of(name).uploads is not None]
BEGIN, END = b"\xff\xd8\xff\xe0", b"\xff\xd9"


@dataclass
class Painted:
    """Cards that are painted at once; each text has bytes of its own."""

    patience: float = 5.0

    async def of(self, post: Post, shape: Shape) -> Card:
        """None has an address."""
        return await NoCards().of(post, shape)

    async def drawn(self, post: Post, shape: Shape) -> Picture:
        """As far as a provider looks, a JPEG."""
        allowed()
        return Picture(painting(post), f"In Worten: {post.text.headline}", shape)


def painting(post: Post) -> bytes:
    """The bytes of a post's card."""
    return BEGIN + post.text.body.encode() + END


def posting(name: str) -> Behave:
    """The good answer to the request that posts."""
    kit = kit_of(name)
    return says(kit.good_status, kit.good, kit.headers)


@asynccontextmanager
async def opened(
    name: str, settings: dict[str, Any], cards: Cards | None = None, **more: Any
) -> AsyncIterator[Channel]:
    """A channel of a kind that wants cards; ``more`` is for the way out."""
    async with AsyncExitStack() as stack:
        http = await stack.enter_async_context(http_client(**more))
        http.cards = cards or Painted()
        yield await stack.enter_async_context(channel(name, {**settings, "card": True}, http))


@asynccontextmanager
async def uploading(
    name: str, *behaves: Behave, steps: int | None = None, cards: Cards | None = None, **more: Any
) -> AsyncIterator[tuple[Channel, Provider]]:
    """The same; its provider is good for so many ``steps`` of an upload, all where that is None, then ``behaves``, the last always."""
    answers = list[Behave]()

    async def behave(request: bytes, writer: asyncio.StreamWriter) -> None:
        await (answers.pop(0) if len(answers) > 1 else answers[0])(request, writer)

    async with provider(behave) as heard:
        good = [*kit_of(name).before, *steps_of(name, heard.url)[:steps]]
        answers += [*(says(*answer) for answer in good), *behaves]
        async with opened(name, kit_of(name).settings(heard.url), cards, **more) as channel_:
            yield channel_, heard


def steps_of(name: str, url: str = "") -> Sequence[tuple[int, Any]]:
    """The good answers while a card is uploaded."""
    uploads = kit_of(name).uploads
    assert uploads is not None
    return uploads(url)
