"""A Facebook Page, posted to over Meta's Graph API.

The API knows no idempotency key, so a create that got no clear answer is in doubt and is looked up by its code.
"""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

from pydantic import Field

from dispatcher.channels._api import Api, Listed, accepted, bearer, find_in, segment
from dispatcher.channels._cards import Cards, Shape, card_or_none
from dispatcher.channels._graph import graph_done, graph_refusal
from dispatcher.channels._life import App, Life, graph_life
from dispatcher.channels.base import Channel, ChannelSettings, Credential, Traits, Url
from dispatcher.channels.http import Answer, Outbound
from dispatcher.model.alert import Post
from dispatcher.model.channel import Power, TextLimit, Unit
from dispatcher.model.delivery import Outcome, Reason, Result

_NO_IMAGE = {(Result.PERMANENT, Reason.REJECTED), (Result.TEMPORARY, Reason.SERVER_ERROR)}  # nothing was posted


class Settings(ChannelSettings):
    """A Page; its token needs ``pages_manage_posts`` and ``pages_read_engagement``."""

    address = ("page_id",)

    page_id: str = Field(pattern=r"^\d{1,30}$")
    credential: Credential
    app: App | None = Field(default=None, description="that the token was made for: it may ask when the token ends")
    card: bool = Field(default=False, description="the alert's card goes with the text; such a post cannot be changed")
    base_url: Url = "https://graph.facebook.com"
    version: str = Field(
        default="v26.0", pattern=r"^v\d{1,3}\.\d$", description="of the Graph API; each lives two years"
    )

    @property
    def base(self) -> str:
        """The Graph API."""
        return self.base_url


def traits(settings: Settings) -> Traits:
    """Long texts in characters; no key, so a repeat may stand there twice. No edit would change what a card says."""
    without = {Power.KEY, Power.EDIT} if settings.card else {Power.KEY}
    return Traits(TextLimit(Unit.CHARACTERS, 63_206), frozenset(Power) - without)


def drill(channel: str, secret: str) -> dict[str, object]:  # noqa: ARG001 - alike for all kinds
    """The fields that differ in an exercise on the wall; ``secret`` is a file made for it."""
    return {"base_url": "wall://graph", "credential": {"token_file": secret}}


@asynccontextmanager
async def connect(settings: Settings, http: Outbound) -> AsyncIterator[Channel]:
    """The Page as a channel; raises `OSError` or `KeyError` where the token cannot be read."""
    base, token = f"{settings.base_url}/{settings.version}", settings.token()
    life = graph_life(http, base, token, settings.app)
    yield _Page(Api(http, base, bearer(token)), settings.page_id, life, http.cards if settings.card else None)


class _Page(Channel):
    def __init__(self, api: Api, page: str, life: Life, cards: Cards | None) -> None:
        self._api, self._page, self._life, self._cards = api, page, life, cards

    async def send(self, post: Post) -> Outcome:
        """``POST /{page-id}/photos`` with the card where there is one, else, or where that is refused, ``/{page-id}/feed``."""
        card = await card_or_none(self._cards, post, Shape.LANDSCAPE) if self._cards else None
        if card is not None:
            image = {"url": card.url, "message": post.text.body, "alt_text_custom": card.alt}
            outcome = await self._api.create(f"/{self._page}/photos", image, _posted)
            if (outcome.result, outcome.reason) not in _NO_IMAGE:
                return outcome
        return await self._api.create(f"/{self._page}/feed", {"message": post.text.body}, _posted)

    async def edit(self, post: Post) -> Outcome:
        """``POST /{page_post_id}`` with the new message; only this app's own posts."""
        return await self._api.repeat("POST", f"/{segment(post.target)}", graph_done, {"message": post.text.body})

    async def delete(self, post: Post) -> Outcome:
        """``DELETE /{page_post_id}``."""
        return await self._api.repeat("DELETE", f"/{segment(post.target)}", graph_done)

    async def find(self, post: Post) -> Outcome:
        """``GET /{page-id}/feed``: the newest posts, searched for our code."""
        path = f"/{self._page}/feed?fields=id,message,created_time&limit=25"
        return await self._api.repeat("GET", path, lambda answer: _found(answer, post.code))

    async def probe(self) -> Outcome:
        """``GET /me`` with the page's token, which answers with the page itself; now and then, when the token ends."""
        return await self._life.of(await self._api.repeat("GET", "/me?fields=id,name", self._ready))

    def _ready(self, answer: Answer) -> Outcome:
        if refused := graph_refusal(answer):
            return refused
        if answer.json_object().get("id") != self._page:
            return Outcome(result=Result.PERMANENT, reason=Reason.AUTH, detail="the token speaks for another page")
        return Outcome(result=Result.READY, provider_id=self._page)


def _posted(answer: Answer) -> Outcome:
    said = answer.json_object()
    post = said.get("post_id") or said.get("id")  # an image has an id of its own beside its post's
    return graph_refusal(answer) or accepted(answer, post, _url(post))


def _found(answer: Answer, code: str) -> Outcome:
    return graph_refusal(answer) or find_in(answer, answer.json_object().get("data"), code, _listed)


def _listed(post: dict[str, Any]) -> Listed:
    return Listed(str(post.get("id", "")), str(post.get("message", "")), _url(post.get("id")))


def _url(post: Any) -> str:
    return f"https://www.facebook.com/{post}"
