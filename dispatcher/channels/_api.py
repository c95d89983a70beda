"""What the kinds share: one question to a provider, its answer judged, and the words for what several of them find."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from typing import Any
from urllib.parse import quote

from dispatcher.channels.http import Answer, ChannelError, Http, Request, bounded
from dispatcher.model.delivery import Outcome, Reason, Result
from dispatcher.telemetry import keep_secret, redact

Judge = Callable[[Answer], Outcome]

LINK = re.compile(r"https?://[^\s<>\"']*[^\s<>\"'.,;:!?)\]}]")  # what ends a sentence is no part of the address
_LONGEST_DETAIL = 300


async def settle(http: Http, request: Request, judge: Judge, *, repeatable: bool = False) -> Outcome:
    """Send once and turn whatever comes of it into an `Outcome`; raises nothing but `Fenced`.

    ``repeatable`` says that doing it twice does no harm, so a doubt is only a reason to try again. Providers echo what
    they were sent, so details pass the redaction of logs here.
    """
    try:
        outcome = judge(await http.request(request))
    except ChannelError as error:
        outcome = error.outcome
    if repeatable and outcome.result is Result.IN_DOUBT:
        outcome = replace(outcome, result=Result.TEMPORARY)
    return presentable(outcome)


def presentable(outcome: Outcome) -> Outcome:
    """``outcome`` as it may be journaled and shown: without secrets, without endless details."""
    said = (outcome.detail, outcome.provider_id, outcome.url)
    detail, provider_id, url = map(_sound, (redact(outcome.detail)[:_LONGEST_DETAIL], *said[1:]))
    if (detail, provider_id, url) == said:
        return outcome
    return replace(outcome, detail=detail, provider_id=provider_id, url=url)


def _sound(text: str) -> str:
    """``text`` without lone surrogates, which JSON may carry and no journal can keep."""
    return text if text.isascii() else text.encode(errors="replace").decode()


@dataclass(frozen=True, slots=True)
class Api:
    """A provider's API: where it is, who we are there, and how it wants data, as JSON or as a form's fields."""

    http: Http
    base: str
    headers: Mapping[str, str]
    encode: Callable[[str, str, Any, Mapping[str, str]], Request] = Request.json

    async def create(
        self, path: str, data: Any, judge: Judge, headers: Mapping[str, str] | None = None, *, method: str = "POST"
    ) -> Outcome:
        """Say something that would stand there twice if it were sent twice."""
        request = self.encode(method, self.base + path, data, {**self.headers, **(headers or {})})
        return await settle(self.http, request, judge)

    async def repeat(
        self, method: str, path: str, judge: Judge, data: Any = None, headers: Mapping[str, str] | None = None
    ) -> Outcome:
        """Ask for something that does no harm when it is done twice: read, replace, delete."""
        url, headers = self.base + path, {**self.headers, **(headers or {})}
        request = Request(method, url, headers) if data is None else self.encode(method, url, data, headers)
        return await settle(self.http, request, judge, repeatable=True)


@dataclass(frozen=True, slots=True)
class Listed:
    """One entry of a provider's list of posts, as far as finding our own needs it."""

    id: str
    text: str
    url: str = ""


def segment(text: str) -> str:
    """``text`` as one segment of a path, so that no id can name another resource."""
    return quote(text, safe="")


def in_url(secret: str) -> str:
    """``secret`` for a provider that wants it in the URL: kept out of every log in this form as well."""
    encoded = quote(secret, safe=":")
    keep_secret(encoded)
    return encoded


def bearer(token: str) -> dict[str, str]:
    """The header of RFC 6750, or none without a token."""
    return {"Authorization": f"Bearer {token}"} if token else {}


def text_of(value: Any) -> str:
    """A number or text as text; empty for everything else, which would come escaped once more and be known no more."""
    return str(value) if isinstance(value, str | int | float) and not isinstance(value, bool) else ""


def until(value: str) -> timedelta | None:
    """Time until a moment given in Unix seconds, as headers name the end of a limit; None where it is garbage."""
    if not (value.isascii() and value.isdigit() and len(value) <= 11):
        return None
    return bounded(datetime.fromtimestamp(int(value), UTC) - datetime.now(UTC))


def undocumented(answer: Answer) -> Outcome:
    """A status of success without the body that proves it: nobody knows."""
    detail = f"HTTP {answer.status} without the documented body"
    return Outcome(result=Result.IN_DOUBT, reason=Reason.IN_DOUBT, detail=detail)


def accepted(answer: Answer, provider_id: Any, url: Any = "") -> Outcome:
    """ACCEPTED where ``provider_id`` is a text that names the post, else a doubt."""
    if not isinstance(provider_id, str) or not provider_id:
        return undocumented(answer)
    return Outcome(result=Result.ACCEPTED, provider_id=provider_id, url=url if isinstance(url, str) else "")


def find_in(answer: Answer, rows: Any, code: str, read: Callable[[dict[str, Any]], Listed]) -> Outcome:
    """VISIBLE with the first post of ``rows`` whose text carries ``code``, else ABSENT; a doubt where it is no list."""
    if not isinstance(rows, list):
        return undocumented(answer)
    posts = (read(row) for row in rows if isinstance(row, dict))
    ours = next((post for post in posts if code in post.text), None)
    if ours is None:
        return Outcome(result=Result.ABSENT, detail=f"no post with {code}")
    return Outcome(result=Result.VISIBLE, provider_id=ours.id, url=ours.url)
