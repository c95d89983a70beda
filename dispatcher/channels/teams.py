"""A Teams channel behind a Workflows webhook, which starts a flow that posts the card it is handed.

The answer says only that the flow was started: nothing names the post, so it can be neither changed nor taken back nor
looked for, and after a doubt the text goes out once more, as a repetition that says so. The webhook's address is opaque
and a secret.
Sources: learn.microsoft.com, "Create incoming webhooks with Workflows", "Retirement of Office 365 connectors";
adaptivecards.io, the schema of version 1.4.
"""

from __future__ import annotations

import re
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from dataclasses import replace
from typing import Any
from urllib.parse import parse_qsl, urlsplit

from pydantic import Field, field_validator

from dispatcher.channels._api import LINK, settle
from dispatcher.channels.base import Channel, ChannelSettings, Credential, Traits, Url
from dispatcher.channels.http import Answer, Http, Request, refusal
from dispatcher.model.alert import Post, Text
from dispatcher.model.channel import TextLimit, Unit
from dispatcher.model.delivery import Outcome, Reason, Result
from dispatcher.telemetry import keep_secret

# A message may have 28 kB; this leaves room for what a card adds to each of 200 lines.
_LONGEST_TEXT = 8_000
_MOST_BUTTONS = 6
_RETIRED = re.compile(r"(^|\.)webhook\.office\.com$|^outlook\.office(365)?\.com$")


class Settings(ChannelSettings):
    """A webhook: how its address begins stands here, the whole address or the rest of it is the secret."""

    base_url: Url = Field(
        description="beginning of the webhook's address", examples=["https://prod-1.westeurope.logic.azure.com"]
    )
    credential: Credential

    @property
    def base(self) -> str:
        """Where flows are started."""
        return self.base_url

    def wall_account(self) -> str:
        """The last part of the address that is no secret."""
        return self.base_url.rpartition("/")[2]

    @field_validator("base_url")
    @classmethod
    def _living(cls, url: str) -> str:
        if _RETIRED.search(urlsplit(url).hostname or ""):
            raise ValueError(
                "Office 365 connectors are retired: add a workflow for webhook alerts in the channel and take its address"
            )
        return url


def traits(settings: Settings) -> Traits:  # noqa: ARG001 - the port
    """A text in bytes, and no power at all."""
    return Traits(TextLimit(Unit.BYTES, _LONGEST_TEXT))


def drill(channel: str, secret: str) -> dict[str, object]:
    """The fields that differ in an exercise on the wall; ``secret`` is a file made for it."""
    return {"base_url": f"wall://teams/{channel}", "credential": {"token_file": secret}}


@asynccontextmanager
async def connect(settings: Settings, http: Http) -> AsyncIterator[Channel]:
    """The channel.

    Raises `OSError` or `KeyError` where the secret cannot be read and `ValueError` where it is no address of this webhook.
    """
    yield _Flow(http, _address(settings))


def _address(settings: Settings) -> str:
    """The whole address, kept out of logs with its signature; an error does not repeat it."""
    secret, begin = settings.token(), f"{settings.base_url}/"
    if "://" in secret and not secret.startswith(begin):
        raise ValueError("the address that is the secret does not begin with base_url")
    address = begin + secret.removeprefix(begin).lstrip("/")
    keep_secret(dict(parse_qsl(urlsplit(address).query)).get("sig", ""))
    return address


class _Flow(Channel):
    def __init__(self, http: Http, url: str) -> None:
        self._http, self._url = http, url

    async def send(self, post: Post) -> Outcome:
        """``POST`` of a card; the id is that of the flow's run, by which its history can be searched."""
        request = Request.json("POST", self._url, _message(post.text))
        return await settle(self._http, request, lambda answer: _started(answer, post.key))


def _message(text: Text) -> dict[str, Any]:
    card = {
        "$schema": "http://adaptivecards.io/schemas/adaptive-card.json", "type": "AdaptiveCard", "version": "1.4",
        "body": list(_lines(text)), "actions": list(_buttons(text.body)),
    }  # fmt: skip
    attachment = {"contentType": "application/vnd.microsoft.card.adaptive", "contentUrl": None, "content": card}
    return {"type": "message", "attachments": [attachment]}


def _lines(text: Text) -> Iterator[dict[str, Any]]:
    """Each line as rich text, in which no sign is mark-up and which is never cut off; an empty one is a gap."""
    gap = True
    for line in text.body.splitlines():
        if line.strip():
            bold = {"weight": "Bolder"} if text.headline and text.headline in line else {}
            close = {} if gap else {"spacing": "None"}
            yield {"type": "RichTextBlock", "inlines": [{"type": "TextRun", "text": line, **bold}], **close}
        gap = not line.strip()


def _buttons(text: str) -> Iterator[dict[str, Any]]:
    """Rich text has no links, so each address gets a button."""
    links = dict.fromkeys(link[0] for link in LINK.finditer(text))
    for link in list(links)[:_MOST_BUTTONS]:
        yield {"type": "Action.OpenUrl", "title": link, "url": link}


def _started(answer: Answer, key: str) -> Outcome:
    if refused := _refusal(answer):
        return refused
    if answer.headers.get("content-type", "").lower().startswith("text/html") and answer.body.strip():
        return Outcome(result=Result.PERMANENT, reason=Reason.AUTH, detail="an HTML page instead of a started flow")
    return Outcome(result=Result.ACCEPTED, provider_id=answer.headers.get("x-ms-workflow-run-id") or key)


def _refusal(answer: Answer) -> Outcome | None:
    error = answer.json_object().get("error")
    said = error if isinstance(error, dict) else {}
    outcome = refusal(answer, detail=f"{said.get('code', '')}: {said.get('message', '')}" if said else "")
    if outcome and answer.status in (404, 410):  # the flow was deleted or switched off
        return replace(outcome, reason=Reason.AUTH)
    if outcome and answer.status >= 500:  # no server error says that the flow was not started
        return replace(outcome, result=Result.IN_DOUBT)
    return outcome
