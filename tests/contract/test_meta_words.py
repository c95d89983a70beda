"""What Meta's kinds ask and what the wall answers, held to Meta's own tables, collection and description."""

from __future__ import annotations

import json
from collections.abc import Callable
from contextlib import AsyncExitStack
from dataclasses import dataclass, replace
from typing import Any

import jsonschema
import pytest
from contract.described import Book
from contract.descriptions import DESCRIPTIONS, all_verbs
from contract.kit import channel, post
from contract.test_verbs import AT_THE_WALL

from dispatcher.channels._cards import Card, NoCards, Picture, Shape
from dispatcher.channels.http import Answer, Request, http_client
from dispatcher.model.alert import Post
from dispatcher.model.delivery import Result
from dispatcher.wall.app import running_wall

Said = tuple[Request, Answer]
Change = Callable[[Request, Answer], Said]
WRONG = (jsonschema.ValidationError, AssertionError, KeyError, ValueError)


@dataclass
class Hung:
    """Cards that hang at an address."""

    patience: float = 5.0

    async def of(self, post: Post, shape: Shape) -> Card:
        """One whose words are the headline."""
        return Card("https://polizei.example/card.jpg", f"In Worten: {post.text.headline}")

    async def drawn(self, post: Post, shape: Shape) -> Picture:
        """No bytes are asked for."""
        return await NoCards().drawn(post, shape)


def url(old: str, new: str) -> Change:
    """The same, asked elsewhere."""
    return lambda request, answer: (replace(request, url=request.url.replace(old, new)), answer)


def body(**fields: Any) -> Change:
    """The same JSON with other fields."""
    return lambda request, answer: (
        replace(request, body=json.dumps({**json.loads(request.body), **fields}).encode()),
        answer,
    )


def form(text: str) -> Change:
    """The same with another form."""
    return lambda request, answer: (replace(request, body=text.encode()), answer)


def said(data: Any) -> Change:
    """The same with another answer."""
    return lambda request, answer: (request, replace(answer, body=json.dumps(data).encode()))


TEMPLATE = {"name": "warnung", "language": {"policy": "deterministic", "code": "de"}}

# The call by the end of its address or what stands there, and what Meta does not know of it.
REFUSED: dict[str, tuple[str, str, Change]] = {
    "a parameter": ("facebook_page", "POST /feed", body(colour="red")),
    "a number for a text": ("facebook_page", "POST /feed", body(message=7)),
    "a value of a list of values": ("facebook_page", "POST /feed", body(formatting="BOLD")),
    "an edge": ("facebook_page", "POST /feed", url("/feed", "/feeds")),
    "a field to read": ("facebook_page", "GET /feed", url("created_time", "created_at")),
    "a length": ("facebook_page", "GET /feed", url("limit=25", "limit=all")),
    "a field of an answer": ("facebook_page", "POST /feed", said({"id": "1_1", "colour": "red"})),
    "an answer without an id": ("facebook_page", "POST /feed", said({})),
    "a time": ("facebook_page", "GET /feed", said({"data": [{"id": "1", "message": "", "created_time": "2026-11-21T18:00:00Z"}]})),
    "an empty list": ("facebook_page", "GET /feed", said({"data": []})),
    "a change of a page's post": ("facebook_page", "POST _", body(text="Anders.")),
    "a container's parameter": ("instagram", "POST /media", body(text="Polizeieinsatz")),
    "a container's state": ("instagram", "GET fields=status_code", url("status_code,", "state,")),
    "a publication of nothing": ("instagram", "POST /media_publish", lambda q, a: (replace(q, body=b"{}"), a)),
    "a publication of a name": ("instagram", "POST /media_publish", body(creation_id="first")),
    "a deletion with a parameter": ("instagram", "DELETE /18", lambda q, a: (replace(q, url=f"{q.url}?colour=red"), a)),
    "a post without its text": ("threads", "POST /threads?", form("media_type=TEXT")),
    "another medium": ("threads", "POST /threads?", form("media_type=CARD&text=Polizeieinsatz")),
    "a text with an image's fields": ("threads", "POST /threads?", form("media_type=TEXT&text=a&image_url=b&alt_text=c")),
    "another name of a field": ("threads", "GET error_message", url("error_message", "error")),
    "a publication without a container": ("threads", "POST /threads_publish", form("")),
    "an answer without what was asked": ("threads", "GET /threads?", said({"data": [{"id": "1"}]})),
    "a deletion that names nothing": ("threads", "DELETE /18", said({"success": True})),
    "a template's field": ("whatsapp_cloud", "POST /messages", body(template={**TEMPLATE, "colour": "red"})),
    "a component's field": ("whatsapp_cloud", "POST /messages", body(template={**TEMPLATE, "components": [{"type": "body", "colour": "red"}]})),
    "a message's field": ("whatsapp_cloud", "POST /messages", body(key="0123")),
    "a quality": ("whatsapp_cloud", "GET quality_rating", said({"id": "1", "quality_rating": "green"})),
    "a quota in words": ("threads", "GET quota", said({"data": [{"quota_usage": "1", "config": {}}]})),
}  # fmt: skip


@pytest.mark.parametrize("what", REFUSED)
async def test_what_meta_does_not_know_is_found_out(what: str) -> None:
    """A request or an answer that Meta has published otherwise does not pass for one that they have."""
    kind, which, change = REFUSED[what]
    method, _, part = which.partition(" ")
    pair = next(pair for pair in await all_verbs(kind) if pair[0].method == method and part in pair[0].url)
    assert DESCRIPTIONS[kind](*pair)[0]
    with pytest.raises(WRONG):
        DESCRIPTIONS[kind](*change(*pair))


@pytest.mark.parametrize(
    ("kind", "field"), [("facebook_page", "alt_text_custom"), ("instagram", "alt_text"), ("threads", "alt_text")]
)
async def test_a_card_is_posted_as_described(kind: str, field: str) -> None:
    """A post with a card, its words beside it, is one that Meta describes, and so is what the wall answers."""
    async with AsyncExitStack() as stack:
        wall = await stack.enter_async_context(running_wall())
        book = Book(await stack.enter_async_context(http_client()), cards=Hung())
        settings = {**AT_THE_WALL[kind](wall.url), "card": True}
        opened = await stack.enter_async_context(channel(kind, settings, book))
        assert (await opened.send(post())).result is Result.ACCEPTED
    assert field in book.said[0][0].body.decode()
    assert [DESCRIPTIONS[kind](*pair) for pair in book.said] == [(True, True)] * len(book.said)
