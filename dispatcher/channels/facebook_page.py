"""A Facebook Page, posted to over Meta's Graph API.

The API knows no idempotency key, so a create that got no clear answer is in doubt and is looked up by its code. Meta
says what went wrong in ``error.code``; the HTTP status only counts where no code came.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from dataclasses import replace
from datetime import timedelta
from typing import Any

from pydantic import Field

from dispatcher.channels._api import Api, Listed, accepted, bearer, find_in, segment, undocumented
from dispatcher.channels.base import Channel, ChannelSettings, Credential, Traits, Url
from dispatcher.channels.http import Answer, Http, bounded, refusal
from dispatcher.model.alert import Post
from dispatcher.model.channel import Power, TextLimit, Unit
from dispatcher.model.delivery import Outcome, Reason, Result

_DUPLICATE = 506  # the text equals the Page's latest post
_LIMITS = frozenset({4, 17, 32, 341, 613, 80001})
_PERMISSIONS = frozenset({3, 10, 102, 190, 368, *range(200, 300)})
_SERVICE = frozenset({1, 2})


class Settings(ChannelSettings):
    """A Page; its token needs ``pages_manage_posts`` and ``pages_read_engagement``."""

    page_id: str = Field(pattern=r"^\d{1,30}$")
    credential: Credential
    base_url: Url = "https://graph.facebook.com"
    version: str = Field(
        default="v26.0", pattern=r"^v\d{1,3}\.\d$", description="of the Graph API; each lives two years"
    )

    @property
    def base(self) -> str:
        """The Graph API."""
        return self.base_url


def traits(settings: Settings) -> Traits:  # noqa: ARG001 - the port
    """Long texts in characters; no key, so a repeat may stand there twice."""
    return Traits(TextLimit(Unit.CHARACTERS, 63_206), frozenset(Power) - {Power.KEY})


def drill(channel: str, secret: str) -> dict[str, object]:  # noqa: ARG001 - alike for all kinds
    """The fields that differ in an exercise on the wall; ``secret`` is a file made for it."""
    return {"base_url": "wall://graph", "credential": {"token_file": secret}}


@asynccontextmanager
async def connect(settings: Settings, http: Http) -> AsyncIterator[Channel]:
    """The Page as a channel; raises `OSError` or `KeyError` where the token cannot be read."""
    api = Api(http, f"{settings.base_url}/{settings.version}", bearer(settings.token()))
    yield _Page(api, settings.page_id)


class _Page(Channel):
    def __init__(self, api: Api, page: str) -> None:
        self._api, self._page = api, page

    async def send(self, post: Post) -> Outcome:
        """``POST /{page-id}/feed``."""
        return await self._api.create(f"/{self._page}/feed", {"message": post.text.body}, _posted)

    async def edit(self, post: Post) -> Outcome:
        """``POST /{page_post_id}`` with the new message; only this app's own posts."""
        return await self._api.repeat("POST", f"/{segment(post.target)}", _done, {"message": post.text.body})

    async def delete(self, post: Post) -> Outcome:
        """``DELETE /{page_post_id}``."""
        return await self._api.repeat("DELETE", f"/{segment(post.target)}", _done)

    async def find(self, post: Post) -> Outcome:
        """``GET /{page-id}/feed``: the newest posts, searched for our code."""
        path = f"/{self._page}/feed?fields=id,message,created_time&limit=25"
        return await self._api.repeat("GET", path, lambda answer: _found(answer, post.code))

    async def probe(self) -> Outcome:
        """``GET /me`` with the page's token, which answers with the page itself."""
        return await self._api.repeat("GET", "/me?fields=id,name", self._ready)

    def _ready(self, answer: Answer) -> Outcome:
        if refused := _refusal(answer):
            return refused
        if answer.json_object().get("id") != self._page:
            return Outcome(result=Result.PERMANENT, reason=Reason.AUTH, detail="the token speaks for another page")
        return Outcome(result=Result.READY, provider_id=self._page)


def _posted(answer: Answer) -> Outcome:
    post = answer.json_object().get("id")
    return _refusal(answer) or accepted(answer, post, _url(post))


def _done(answer: Answer) -> Outcome:
    done = answer.json_object().get("success") is True
    return _refusal(answer) or (Outcome(result=Result.ACCEPTED) if done else undocumented(answer))


def _found(answer: Answer, code: str) -> Outcome:
    return _refusal(answer) or find_in(answer, answer.json_object().get("data"), code, _listed)


def _listed(post: dict[str, Any]) -> Listed:
    return Listed(str(post.get("id", "")), str(post.get("message", "")), _url(post.get("id")))


def _url(post: Any) -> str:
    return f"https://www.facebook.com/{post}"


def _refusal(answer: Answer) -> Outcome | None:
    error = answer.json_object().get("error")
    if isinstance(error, dict) and isinstance(error.get("code"), int):
        return _by_code(answer, error, error["code"])
    outcome = refusal(answer)
    # A 503 of an edge server does not say that the post was not taken.
    return replace(outcome, result=Result.IN_DOUBT) if outcome and answer.status >= 500 else outcome


def _by_code(answer: Answer, error: dict[str, Any], code: int) -> Outcome:
    result, reason = _class_of(code, transient=error.get("is_transient") is True, status=answer.status)
    trace = error.get("fbtrace_id", "unknown")
    detail = f"error {code}/{error.get('error_subcode', 0)}: {error.get('message', '')} (trace {trace})"
    wait = _regain(answer) if reason is Reason.RATE_LIMITED else None
    return Outcome(result=result, reason=reason, detail=detail, retry_after=wait or answer.retry_after)


def _class_of(code: int, *, transient: bool, status: int) -> tuple[Result, Reason]:
    if code == _DUPLICATE:
        return Result.PERMANENT, Reason.DUPLICATE
    if code in _LIMITS:
        return Result.TEMPORARY, Reason.RATE_LIMITED
    if code in _PERMISSIONS:
        return Result.PERMANENT, Reason.AUTH
    if status >= 500:
        return Result.IN_DOUBT, Reason.SERVER_ERROR
    if transient or code in _SERVICE:
        return Result.TEMPORARY, Reason.SERVER_ERROR
    return Result.PERMANENT, Reason.REJECTED


def _regain(answer: Answer) -> timedelta | None:
    """The longest ``estimated_time_to_regain_access`` (minutes) that the usage header names, or None."""
    usage = Answer(answer.status, {}, answer.headers.get("x-business-use-case-usage", "").encode()).json_object()
    minutes = max(_minutes(usage), default=0)
    return bounded(timedelta(minutes=min(minutes, 10_000))) if minutes > 0 else None


def _minutes(usage: dict[str, Any]) -> Iterator[int]:
    for limits in usage.values():
        for limit in limits if isinstance(limits, list) else ():
            wait = limit.get("estimated_time_to_regain_access") if isinstance(limit, dict) else None
            if isinstance(wait, int):
                yield wait
