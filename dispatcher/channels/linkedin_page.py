r"""A LinkedIn page of an organisation, posted to over the Posts API.

The API knows no idempotency key, so a create that got no clear answer is in doubt and is looked up by its code. Texts are
"little text": a reserved sign without a backslash before it cuts the post off there, and LinkedIn still answers 201.
Sources: learn.microsoft.com/en-us/linkedin, "Posts API", "Images API", "little text format", "versioning", "error handling".
"""

from __future__ import annotations

import re
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, replace
from typing import Any

from pydantic import Field

from dispatcher.channels._api import Api, Listed, accepted, bearer, find_in, segment, settle, undocumented
from dispatcher.channels._cards import Cards, NoCard, Picture, illustrated, once_made, taken
from dispatcher.channels._life import App, Life, linkedin_life
from dispatcher.channels.base import Channel, ChannelSettings, Credential, Traits, Url
from dispatcher.channels.http import Answer, Outbound, Request, refusal
from dispatcher.model.alert import Post
from dispatcher.model.channel import Power, TextLimit, Unit
from dispatcher.model.delivery import Outcome, Reason, Result

_RESERVED = frozenset(r"\|{}@[]()<>#*_~")
_POST = re.compile(r"urn:li:(?:share|ugcPost):\d+")
_UPLOAD = re.compile(r"https://(?:[a-z0-9-]+\.)*linkedin\.com/[!-~]*")
_DISTRIBUTION = {"feedDistribution": "MAIN_FEED", "targetEntities": [], "thirdPartyDistributionChannels": []}
_PARTIAL_UPDATE = {"X-RestLi-Method": "PARTIAL_UPDATE"}


class Settings(ChannelSettings):
    """A page; its token needs ``w_organization_social`` and ``r_organization_social`` and dies after 60 days."""

    address = ("organization_id",)
    uploads_card = True

    organization_id: str = Field(pattern=r"^\d{1,20}$")
    credential: Credential
    app: App | None = Field(default=None, description="that the token was made for: it may ask when the token ends")
    card: bool = Field(default=False, description="the alert's card goes with the text; such a post cannot be changed")
    base_url: Url = "https://api.linkedin.com"
    login_url: Url = Field(default="https://www.linkedin.com", description="where it asks")
    version: str = Field(default="202609", pattern=r"^20\d{4}$", description="of the API; each lives a year at least")

    @property
    def base(self) -> str:
        """LinkedIn's API."""
        return self.base_url


def traits(settings: Settings) -> Traits:
    """3,000 with every backslash counted, for nothing says that they are not; no key, so a repeat may stand there twice.

    An edit changes the text alone, never what a card says.
    """
    without = {Power.KEY, Power.EDIT} if settings.card else {Power.KEY}
    return Traits(TextLimit(Unit.UTF16, 3_000, escaped=_RESERVED), frozenset(Power) - without)


def drill(channel: str, secret: str) -> dict[str, object]:  # noqa: ARG001 - alike for all kinds
    """The fields that differ in an exercise on the wall; ``secret`` is a file made for it."""
    return {"base_url": "wall://linkedin", "credential": {"token_file": secret}}


@asynccontextmanager
async def connect(settings: Settings, http: Outbound) -> AsyncIterator[Channel]:
    """The page as a channel; raises `OSError` or `KeyError` where the token cannot be read."""
    versions = {"LinkedIn-Version": settings.version, "X-Restli-Protocol-Version": "2.0.0"}
    token = settings.token()
    api = Api(http, f"{settings.base_url}/rest", {**bearer(token), **versions})
    life = linkedin_life(http, settings.login_url, token, settings.app) if settings.app else None
    author = f"urn:li:organization:{settings.organization_id}"
    yield _Page(api, author, life, _Images(api, author, settings.origin), http.cards if settings.card else None)


@dataclass(frozen=True, slots=True)
class _Images:
    """Where images go before their posts; ``origin`` is the API's own place."""

    api: Api
    author: str
    origin: str

    async def upload(self, picture: Picture) -> dict[str, str]:
        """``initializeUpload``, ``PUT`` of the bytes, then asked for until it is there; what a post shows of it."""
        asked = {"initializeUploadRequest": {"owner": self.author}}
        begun = taken(await self.api.repeat("POST", "/images?action=initializeUpload", _begun, asked))
        if not (_UPLOAD.fullmatch(begun.url) or begun.url.startswith(f"{self.origin}/")):
            raise NoCard(Result.PERMANENT, Reason.REJECTED, "it was to be uploaded to a place that is not LinkedIn's")
        token = {"Authorization": self.api.headers["Authorization"]}
        request = Request.jpeg("PUT", begun.url, picture.jpeg, token)
        taken(await settle(self.api.http, request, _put, repeatable=True))
        path = f"/images/{segment(begun.provider_id)}"
        taken(await once_made(lambda: self.api.repeat("GET", path, _available)))
        return {"id": begun.provider_id, "altText": picture.alt}


class _Page(Channel):
    def __init__(self, api: Api, author: str, life: Life | None, images: _Images, cards: Cards | None) -> None:
        self._api, self._author, self._life, self._images, self._cards = api, author, life, images, cards

    async def send(self, post: Post) -> Outcome:
        """``POST /rest/posts``, with the card where there is one; the id comes in a header."""
        data = {
            "author": self._author, "commentary": _little(post.text.body), "visibility": "PUBLIC",
            "distribution": _DISTRIBUTION, "lifecycleState": "PUBLISHED", "isReshareDisabledByAuthor": False,
        }  # fmt: skip

        async def say(image: dict[str, str] | None) -> Outcome:
            """Post the text."""
            shown = {"content": {"media": image}} if image else {}
            return await self._api.create("/posts", {**data, **shown}, _posted)

        return await illustrated(self._cards, post, self._images.upload, say)

    async def edit(self, post: Post) -> Outcome:
        """A partial update of the commentary."""
        patch = {"patch": {"$set": {"commentary": _little(post.text.body)}}}
        return await self._api.repeat("POST", f"/posts/{segment(post.target)}", _done, patch, _PARTIAL_UPDATE)

    async def delete(self, post: Post) -> Outcome:
        """``DELETE /rest/posts/{urn}``, answered alike when it is gone already."""
        return await self._api.repeat("DELETE", f"/posts/{segment(post.target)}", _done)

    async def find(self, post: Post) -> Outcome:
        """Our newest posts, searched for our code."""
        return await self._api.repeat("GET", self._list(25), lambda answer: _found(answer, post.code))

    async def probe(self) -> Outcome:
        """One own post is read: that proves token, version and role, though not the right to write."""
        ready = await self._api.repeat("GET", self._list(1), _ready)
        return await self._life.of(ready) if self._life else ready

    def _list(self, count: int) -> str:
        return f"/posts?author={segment(self._author)}&q=author&count={count}&sortBy=LAST_MODIFIED"


def _little(text: str) -> str:
    """``text`` in LinkedIn's format, every reserved sign meant as it stands."""
    return "".join(f"\\{sign}" if sign in _RESERVED else sign for sign in text)


def _posted(answer: Answer) -> Outcome:
    post = answer.headers.get("x-restli-id")
    return _refusal(answer) or accepted(answer, post, _url(post))


def _begun(answer: Answer) -> Outcome:
    """READY with the image's name, and where its bytes are wanted."""
    value = answer.json_object().get("value")
    told = value if isinstance(value, dict) else {}
    begun = _refusal(answer) or accepted(answer, told.get("image"), told.get("uploadUrl"))
    return replace(begun, result=Result.READY) if begun.result is Result.ACCEPTED else begun


def _put(answer: Answer) -> Outcome:
    return _refusal(answer) or Outcome(result=Result.READY)


def _available(answer: Answer) -> Outcome:
    """READY, or ABSENT as long as it is being processed."""
    if refused := _refusal(answer):
        return refused
    state = answer.json_object().get("status")
    if state == "PROCESSING_FAILED":
        return Outcome(result=Result.PERMANENT, reason=Reason.REJECTED, detail=str(state))
    known = {"AVAILABLE": Result.READY, "WAITING_UPLOAD": Result.ABSENT, "PROCESSING": Result.ABSENT}
    return Outcome(result=known[state]) if state in known else undocumented(answer)


def _done(answer: Answer) -> Outcome:
    return _refusal(answer) or Outcome(result=Result.ACCEPTED)


def _found(answer: Answer, code: str) -> Outcome:
    return _refusal(answer) or find_in(answer, answer.json_object().get("elements"), code, _listed)


def _ready(answer: Answer) -> Outcome:
    outcome = _found(answer, "")
    return Outcome(result=Result.READY) if outcome.result in (Result.VISIBLE, Result.ABSENT) else outcome


def _listed(post: dict[str, Any]) -> Listed:
    return Listed(str(post.get("id", "")), str(post.get("commentary", "")), _url(post.get("id")))


def _url(post: Any) -> str:
    return f"https://www.linkedin.com/feed/update/{post}/"


def _refusal(answer: Answer) -> Outcome | None:
    said = answer.json_object()
    message = str(said.get("message", ""))
    told = f"{said.get('code', '')} {message} {said.get('errorDetails', '')}".strip()
    outcome = refusal(answer, detail=f"{told} (request {answer.headers.get('x-li-uuid', 'unknown')})")
    if outcome is None:
        return None
    if answer.status == 422 and "DUPLICATE_POST" in told:
        known = _POST.search(message)
        return replace(outcome, reason=Reason.DUPLICATE, provider_id=known[0] if known else "")
    if answer.status == 400 and "FIELD_LENGTH_TOO_LONG" in told:
        return replace(outcome, reason=Reason.TOO_LONG)
    if answer.status == 426:
        return replace(outcome, reason=Reason.AUTH)
    if answer.status == 409 or answer.status >= 500:  # whether the post was taken is not said
        return replace(outcome, result=Result.IN_DOUBT, reason=Reason.SERVER_ERROR)
    return outcome
