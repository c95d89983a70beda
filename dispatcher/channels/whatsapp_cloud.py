"""WhatsApp messages to people who have asked for them, over Meta's Cloud API: one request for each of them.

Whoever has not written within the last day may only be sent a template that Meta has approved, so the text travels as one of
its variables, on one line. 200 means that Meta took the message, not that a phone has it. There is no key, no way to look,
and nothing that was sent can be changed or taken back.
Sources: developers.facebook.com, WhatsApp Business Platform, "Error codes", "Throughput", "Template messages".
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import replace
from datetime import timedelta
from functools import partial
from typing import Any, Literal

from pydantic import Field, field_validator

from dispatcher.channels._api import Api, accepted, bearer, undocumented
from dispatcher.channels._graph import error_of, graph_refusal, regain
from dispatcher.channels._life import App, Life, graph_life
from dispatcher.channels._recipients import NUMBER, ListSettings, Number, Recipients, Said, Spread, discreet
from dispatcher.channels.base import Channel, Credential, Traits, Url
from dispatcher.channels.http import Answer, Http
from dispatcher.model.alert import Post
from dispatcher.model.channel import Power, TextLimit, Unit
from dispatcher.model.delivery import Outcome, Reason, Result

_AT_ONCE = 20  # requests; a number may send 80 messages a second
_PAIR_LIMIT = 131056
_LONGEST_PATIENCE = 4  # 4 ** 4 seconds
_LINE_ENDS = re.compile(r"(?<=[^\s.!?:])\s*\n\s*")

_REJECTED, _ABOUT_US = (Result.PERMANENT, Reason.REJECTED), (Result.PERMANENT, Reason.AUTH)
_SLOW_DOWN, _BUSY = (Result.TEMPORARY, Reason.RATE_LIMITED), (Result.TEMPORARY, Reason.SERVER_ERROR)
_CODES: Mapping[int, tuple[Result, Reason, str]] = {
    0: (*_ABOUT_US, "who we are could not be verified"),
    33: (*_ABOUT_US, "our number does not exist any more"),
    131005: (*_ABOUT_US, "a permission is missing"),
    130497: (*_ABOUT_US, "our account may not write to this country"),
    131031: (*_ABOUT_US, "our account is locked"),
    131037: (*_ABOUT_US, "our number has no approved name"),
    131042: (*_ABOUT_US, "the account's payment does not work"),
    131045: (*_ABOUT_US, "our number is not registered"),
    133010: (*_ABOUT_US, "our number is not registered"),
    80007: (*_SLOW_DOWN, "the account's limit is reached"),
    80008: (*_SLOW_DOWN, "the account's limit is reached"),
    130429: (*_SLOW_DOWN, "more messages a second than our number may send"),
    131048: (*_SLOW_DOWN, "too many messages were blocked or reported: look at the account"),
    _PAIR_LIMIT: (*_SLOW_DOWN, "too many messages to this person"),
    131064: (*_SLOW_DOWN, "a limit is reached"),
    133016: (*_SLOW_DOWN, "our number was registered too often"),
    131000: (*_BUSY, "an unknown error"),
    131016: (*_BUSY, "the service is not available"),
    131057: (*_BUSY, "the account is being changed by Meta"),
    133004: (*_BUSY, "the service is not available"),
    130403: (*_REJECTED, "this person cannot be written to"),
    130472: (*_REJECTED, "this person is part of an experiment of Meta's"),
    131021: (*_REJECTED, "this number is our own"),
    131026: (*_REJECTED, "not deliverable to this number"),
    131047: (*_REJECTED, "only a template may be sent"),
    131049: (*_REJECTED, "held back by Meta for this person"),
    131050: (*_REJECTED, "this person has opted out"),
    132000: (*_ABOUT_US, "the template has another number of variables"),
    132001: (*_ABOUT_US, "no such template in that language, or not approved"),
    132005: (Result.PERMANENT, Reason.TOO_LONG, "too long for the template"),
    132007: (*_ABOUT_US, "the template is against Meta's rules"),
    132012: (*_ABOUT_US, "the template's variables have another form"),
    132015: (*_ABOUT_US, "the template is paused"),
    132016: (*_ABOUT_US, "the template is switched off"),
    132018: (*_ABOUT_US, "the template's variables are not valid"),
    132068: (*_ABOUT_US, "the template's flow is blocked"),
    132069: (*_ABOUT_US, "the template's flow is throttled"),
}  # fmt: skip

Variable = Literal["headline", "text", "place"]


class Settings(ListSettings):
    """A number of ours, a template, and people who have agreed to be written to, as in +4917012345678, quoted in YAML."""

    phone_number_id: str = Field(pattern=r"^\d{5,20}$", description="of our number, quoted; not the number itself")
    template: str = Field(pattern=r"^[a-z0-9_]{1,512}$", description="name of an approved template")
    end_template: str = Field(
        default="", pattern=r"^[a-z0-9_]{0,512}$", description="another one for all-clear and false alarm"
    )
    template_language: str = Field(default="de", pattern=r"^[a-z]{2,3}(_[A-Z]{2})?$")
    variables: tuple[Variable, ...] = Field(
        default=("headline", "text"), max_length=3, description="of the template's body, in order"
    )
    recipients: tuple[Number, ...] = ()
    credential: Credential
    app: App | None = Field(default=None, description="that the token was made for: it may ask when the token ends")
    business_account_id: str = Field(
        default="", pattern=r"^(\d{5,20})?$", description="quoted; then a probe sees whether the templates are approved"
    )
    max_characters: int = Field(
        default=800, ge=100, le=1_000, description="room for the text; template, headline and text have 1,024"
    )
    base_url: Url = "https://graph.facebook.com"
    version: str = Field(
        default="v26.0", pattern=r"^v\d{1,3}\.\d$", description="of the Graph API; each lives two years"
    )

    @property
    def base(self) -> str:
        """Meta."""
        return self.base_url

    def wall_account(self) -> str:
        """The number that writes."""
        return self.phone_number_id

    @field_validator("variables")
    @classmethod
    def _says_something(cls, value: tuple[Variable, ...]) -> tuple[Variable, ...]:
        if "text" not in value:
            raise ValueError("text is missing: without it nobody is warned of anything")
        return value


def traits(settings: Settings) -> Traits:
    """As much as the template leaves; no key and no way to look."""
    return Traits(TextLimit(Unit.CHARACTERS, settings.max_characters), frozenset({Power.PROBE}))


def drill(channel: str, secret: str) -> dict[str, object]:  # noqa: ARG001 - alike for all kinds
    """The fields that differ in an exercise on the wall; ``secret`` is a file made for it, and no real number is read."""
    return {
        "base_url": "wall://whatsapp-cloud", "credential": {"token_file": secret}, "recipients_file": None,
        "recipients": ["+490000000"],
    }  # fmt: skip


@asynccontextmanager
async def connect(settings: Settings, http: Http) -> AsyncIterator[Channel]:
    """The list as a channel; raises `OSError`, `KeyError` or `ValueError` where secret or list cannot be read."""
    base, token = f"{settings.base_url}/{settings.version}", settings.token()
    api, life = Api(http, base, bearer(token)), graph_life(http, base, token, settings.app)
    yield _People(api, settings, Recipients(settings, re.compile(NUMBER)), life)


class _People(Channel):
    def __init__(self, api: Api, settings: Settings, recipients: Recipients, life: Life) -> None:
        self._api, self._settings, self._recipients, self._life = api, settings, recipients, life
        self._spread = Spread(1, _AT_ONCE)
        self._slowed = Counter[str]()  # how often in a row each person's own limit was reached

    async def send(self, post: Post) -> Outcome:
        """A request for each person whom the post has not reached yet."""
        message = _message(self._settings, post)

        async def speak(numbers: Sequence[str]) -> Said:
            """The same message to one person."""
            return await self._speak(message, numbers[0])

        return await self._spread.send(post.key, self._recipients.current(), speak)

    async def probe(self) -> Outcome:
        """Read our own number, whether its token is good for it, and where the account is known, the templates."""
        number, account = self._settings.phone_number_id, self._settings.business_account_id
        path = f"/{number}?fields=id,verified_name,quality_rating"
        ready = await self._api.repeat("GET", path, lambda answer: _ready(answer, number))
        for template in filter(None, (self._settings.template, self._settings.end_template) if account else ()):
            if ready.result is Result.READY:
                path = f"/{account}/message_templates?name={template}&fields=name,language,status&limit=100"
                judge = partial(_approved, ready=ready, name=template, language=self._settings.template_language)
                ready = await self._api.repeat("GET", path, judge)
        return await self._life.of(ready)

    async def _speak(self, message: Mapping[str, Any], number: str) -> Said:
        """One message. A limit between our number and this person is theirs alone: the others go on."""
        slowed = False

        def judge(answer: Answer) -> Outcome:
            """What became of it, and whether this person alone has to wait."""
            nonlocal slowed
            slowed = error_of(answer).get("code") == _PAIR_LIMIT
            return _sent(answer)

        outcome = await self._api.create(
            f"/{self._settings.phone_number_id}/messages", {**message, "to": number}, judge
        )
        if not slowed:
            self._slowed.pop(number, None)
            return Said({}, outcome)
        wait = timedelta(seconds=4 ** min(self._slowed[number], _LONGEST_PATIENCE))
        self._slowed[number] += 1
        return Said({number: replace(outcome, retry_after=wait)}, outcome, personal=True)


def _message(settings: Settings, post: Post) -> dict[str, Any]:
    """The message but for whom it is to."""
    headline, body = post.text.headline, post.text.body
    text = (body.removeprefix(headline).lstrip() or body) if "headline" in settings.variables else body
    words: Mapping[Variable, str] = {"headline": headline, "text": text, "place": post.place}
    variables = [{"type": "text", "text": _on_one_line(words[name]) or "-"} for name in settings.variables]
    name = settings.end_template if post.purpose.ends and settings.end_template else settings.template
    return {
        "messaging_product": "whatsapp", "recipient_type": "individual", "type": "template",
        "template": {
            "name": name, "language": {"policy": "deterministic", "code": settings.template_language},
            "components": [{"type": "body", "parameters": variables}],
        },
        "biz_opaque_callback_data": post.key,
    }  # fmt: skip


def _on_one_line(text: str) -> str:
    """No variable may hold a line end, a tab or five spaces; a line that is no sentence is set apart by a dot."""
    return " ".join(_LINE_ENDS.sub(" · ", text.strip()).split())


def _sent(answer: Answer) -> Outcome:
    if refused := _refusal(answer):
        return refused
    messages = answer.json_object().get("messages")
    message = messages[0] if isinstance(messages, list) and messages and isinstance(messages[0], dict) else {}
    if message.get("message_status") == "paused":
        return Outcome(result=Result.PERMANENT, reason=Reason.AUTH, detail="the template is paused")
    outcome = accepted(answer, message.get("id"))
    held = message.get("message_status") == "held_for_quality_assessment"
    return replace(outcome, detail="held back until Meta has looked at the template") if held else outcome


def _ready(answer: Answer, number: str) -> Outcome:
    said = answer.json_object()
    if refused := _refusal(answer):
        return refused
    if said.get("id") != number:
        return undocumented(answer)
    if said.get("quality_rating") == "RED":
        detail = "Meta rates our number RED: too many people blocked or reported it"
        return Outcome(result=Result.READY, reason=Reason.REJECTED, detail=detail)
    return Outcome(result=Result.READY)


def _approved(answer: Answer, ready: Outcome, name: str, language: str) -> Outcome:
    """``ready`` where Meta has approved the template; one that is not would be refused in every message."""
    if refused := _refusal(answer):
        return replace(ready, reason=refused.reason, detail=f"the templates cannot be read: {refused.detail}")
    rows = answer.json_object().get("data")
    found = [row for row in rows if isinstance(row, dict)] if isinstance(rows, list) else []
    ours = [str(row.get("status")) for row in found if (row.get("name"), row.get("language")) == (name, language)]
    if "APPROVED" in ours:
        return ready
    detail = f"template {name} in {language} is {ours[0]}" if ours else f"there is no template {name} in {language}"
    return Outcome(result=Result.PERMANENT, reason=Reason.AUTH, detail=detail)


def _refusal(answer: Answer) -> Outcome | None:
    """By its code, in words of ours: Meta's may repeat the person's number."""
    outcome, error = graph_refusal(answer), error_of(answer)
    code, trace = error.get("code"), error.get("fbtrace_id", "unknown")
    if outcome is None or not isinstance(code, int):
        return outcome
    result, reason, words = _CODES.get(code, (outcome.result, outcome.reason, discreet(str(error.get("message", "")))))
    wait = regain(answer) if reason is Reason.RATE_LIMITED else None
    detail = f"error {code}: {words} (trace {trace})"
    return replace(outcome, result=result, reason=reason, detail=detail, retry_after=wait or answer.retry_after)
