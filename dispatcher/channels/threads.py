"""A Threads account, posted to in two steps over the Threads API.

The API knows no idempotency key and no edit. It documents the token only as a parameter of the URL, so no URL may ever be
told. Source: developers.facebook.com, "Threads API": posts, publishing, deleting, troubleshooting.
"""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, replace

from pydantic import Field

from dispatcher.channels._api import Api, in_url
from dispatcher.channels._cards import Card
from dispatcher.channels._container import ContainerChannel, Dialect
from dispatcher.channels._life import Life, debugged
from dispatcher.channels.base import Channel, ChannelSettings, Credential, Traits, Url
from dispatcher.channels.http import Answer, Http, Outbound, Request
from dispatcher.model.alert import Post
from dispatcher.model.channel import Power, TextLimit, Unit


class Settings(ChannelSettings):
    """The account of a token with ``threads_basic``, ``threads_content_publish`` and ``threads_delete``: 60 days."""

    credential: Credential
    user_id: str = Field(default="me", pattern=r"^(me|\d{1,30})$", description="me: whose token it is")
    card: bool = Field(default=False, description="the alert's card goes with the text, where there is one")
    base_url: Url = "https://graph.threads.net"
    version: str = Field(default="v1.0", pattern=r"^v\d{1,3}\.\d$")

    @property
    def base(self) -> str:
        """The Threads API."""
        return self.base_url


def traits(settings: Settings) -> Traits:  # noqa: ARG001 - the port
    """500 characters, emoji by their bytes; neither edit nor key."""
    return Traits(TextLimit(Unit.EMOJI_BYTES, 500), frozenset({Power.DELETE, Power.FIND, Power.PROBE}))


def drill(channel: str, secret: str) -> dict[str, object]:  # noqa: ARG001 - alike for all kinds
    """The fields that differ in an exercise on the wall; ``secret`` is a file made for it."""
    return {"base_url": "wall://threads", "credential": {"token_file": secret}}


@asynccontextmanager
async def connect(settings: Settings, http: Outbound) -> AsyncIterator[Channel]:
    """The account as a channel; raises `OSError` or `KeyError` where the token cannot be read."""
    base, token = f"{settings.base_url}/{settings.version}", in_url(settings.token())
    own = _WithToken(http, token)
    api = Api(own, base, {}, encode=Request.form)
    life = Life(own, lambda: Request("GET", f"{base}/debug_token?input_token={token}"), debugged)
    user = f"/{settings.user_id}"
    yield ContainerChannel(
        api,
        Dialect(
            posts=f"{user}/threads", publish=f"{user}/threads_publish", quota=f"{user}/threads_publishing_limit",
            state="status", why="error_message", text="text", carded=_carded, bare=_bare,
        ),
        life,
        http.cards if settings.card else None,
    )  # fmt: skip


@dataclass(frozen=True, slots=True)
class _WithToken:
    """The way out, with the token added to every URL."""

    http: Http
    token: str

    async def request(self, request: Request) -> Answer:
        """Send ``request`` once as the account."""
        mark = "&" if "?" in request.url else "?"
        return await self.http.request(replace(request, url=f"{request.url}{mark}access_token={self.token}"))


def _bare(post: Post) -> dict[str, str]:
    return {"media_type": "TEXT", "text": post.text.body}


def _carded(post: Post, card: Card) -> dict[str, str]:
    return {"media_type": "IMAGE", "image_url": card.url, "alt_text": card.alt, "text": post.text.body}
