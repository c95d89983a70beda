"""An Instagram account, posted to in two steps over Meta's Graph API: an image with the text as its caption.

There is no post without an image: the alert's card, or a standing one at a public address. The API knows no idempotency key
and cannot change a caption. Source: developers.facebook.com, "Instagram Platform": content publishing, error codes.
"""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from functools import partial
from typing import Literal

from pydantic import Field

from dispatcher.channels._api import Api, bearer
from dispatcher.channels._cards import Card
from dispatcher.channels._container import ContainerChannel, Dialect
from dispatcher.channels._life import App, graph_life
from dispatcher.channels.base import Channel, ChannelSettings, Credential, Traits, Url
from dispatcher.channels.http import Outbound
from dispatcher.model.alert import Post
from dispatcher.model.channel import Power, TextLimit, Unit

_HOSTS = {"facebook": "https://graph.facebook.com", "instagram": "https://graph.instagram.com"}


class Settings(ChannelSettings):
    """A professional account. Through Facebook's login posts can be deleted, through Instagram's they cannot."""

    address = ("user_id",)

    user_id: str = Field(pattern=r"^\d{1,30}$", description="number of the professional account")
    credential: Credential
    app: App | None = Field(default=None, description="with Facebook's login: the app may ask when its token ends")
    card: bool = Field(default=True, description="the alert's card goes with the text, where cards are configured")
    image_url: Url = Field(
        default="",
        description="public address of the JPEG that goes with a text where there is no card; Meta fetches it each time",
    )
    image_text: str = Field(
        default="", max_length=1_000, description="what the image shows, for those who cannot see it"
    )
    login: Literal["facebook", "instagram"] = "facebook"
    base_url: Url = Field(default="", description="the Graph API, where it is not Meta's own")
    version: str = Field(
        default="v26.0", pattern=r"^v\d{1,3}\.\d$", description="of the Graph API; each lives two years"
    )

    @property
    def base(self) -> str:
        """The Graph API of the login."""
        return self.base_url or _HOSTS[self.login]

    @property
    def needs_card(self) -> bool:
        """Without a standing image there is nothing else to show."""
        return not self.image_url


def traits(settings: Settings) -> Traits:
    """2,200 in the stricter unit; no edit, no key, deletion by Facebook's login only."""
    deleting = {Power.DELETE} if settings.login == "facebook" else set()
    return Traits(TextLimit(Unit.UTF16, 2_200), frozenset({Power.FIND, Power.PROBE, *deleting}))


def drill(channel: str, secret: str) -> dict[str, object]:  # noqa: ARG001 - alike for all kinds
    """The fields that differ in an exercise on the wall; ``secret`` is a file made for it."""
    return {"base_url": "wall://instagram", "credential": {"token_file": secret}}


@asynccontextmanager
async def connect(settings: Settings, http: Outbound) -> AsyncIterator[Channel]:
    """The account as a channel; raises `OSError` or `KeyError` where the token cannot be read."""
    base, token = f"{settings.base}/{settings.version}", settings.token()
    api = Api(http, base, bearer(token))
    user = f"/{settings.user_id}"

    yield ContainerChannel(
        api,
        Dialect(
            posts=f"{user}/media", publish=f"{user}/media_publish", quota=f"{user}/content_publishing_limit",
            state="status_code", why="status", text="caption", carded=_fields,
            bare=None if settings.needs_card else partial(_fields, card=Card(settings.image_url, settings.image_text)),
            can_delete=settings.login == "facebook",
        ),
        graph_life(http, base, token, settings.app) if settings.login == "facebook" else None,
        http.cards if settings.card else None,
    )  # fmt: skip


def _fields(post: Post, card: Card) -> dict[str, str]:
    """The image, described where its words are known, and the text below it."""
    described = {"alt_text": card.alt} if card.alt else {}
    return {"image_url": card.url, "caption": post.text.body, **described}
