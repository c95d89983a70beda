"""SMS providers, each in as few words as possible: what it is asked, and what its answers mean for each number.

None of them has an idempotency key. Twilio and Infobip can be asked afterwards what they took.
"""

from __future__ import annotations

import hashlib
from base64 import b64encode
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any, ClassVar
from urllib.parse import quote, urlencode

from dispatcher.channels._api import accepted, segment, text_of, undocumented
from dispatcher.channels._recipients import discreet
from dispatcher.channels._sms import (
    Fates,
    Login,
    Message,
    Page,
    Provider,
    Table,
    by_number,
    digits,
    named,
    rows_of,
)
from dispatcher.channels.http import Answer, Request, refusal
from dispatcher.model.delivery import Outcome, Reason, Result
from dispatcher.telemetry import keep_secret

_TEMPORARY, _PERMANENT, _IN_DOUBT = Result.TEMPORARY, Result.PERMANENT, Result.IN_DOUBT


class Seven(Provider):
    """seven.io: HTTP 200 whatever happened, with a code for the request and a result for each number."""

    base = "https://gateway.seven.io"
    balance = "/api/balance"
    _codes: ClassVar[Table] = {
        "201": (_PERMANENT, Reason.REJECTED, "the sender is not allowed"),
        "202": (_PERMANENT, Reason.REJECTED, "no such number"),
        "300": (_PERMANENT, Reason.AUTH, "no API key"),
        "301": (_PERMANENT, Reason.REJECTED, "no recipient"),
        "305": (_PERMANENT, Reason.REJECTED, "no text"),
        "401": (_PERMANENT, Reason.TOO_LONG, "the text is too long"),
        "402": (_PERMANENT, Reason.DUPLICATE, "the same text went to this number moments ago"),
        "403": (_PERMANENT, Reason.REJECTED, "the daily limit of this number is reached"),
        "500": (_PERMANENT, Reason.AUTH, "no credit left"),
        "600": (_TEMPORARY, Reason.SERVER_ERROR, "the carrier did not take it"),
        "700": (_IN_DOUBT, Reason.SERVER_ERROR, "an unknown error"),
        "900": (_PERMANENT, Reason.AUTH, "the API key is wrong"),
        "902": (_PERMANENT, Reason.AUTH, "the API is switched off for this key"),
        "903": (_PERMANENT, Reason.AUTH, "calls from this address are not allowed"),
    }

    def headers(self) -> dict[str, str]:
        """Without ``Accept`` it would answer with a bare code."""
        return {"X-Api-Key": self.login.token, "Accept": "application/json"}

    def request(self, message: Message, numbers: Sequence[str]) -> Request:
        """``POST /api/sms`` with all numbers in one field."""
        return self.post("/api/sms", {
            "to": ",".join(map(digits, numbers)), "from": message.sender, "text": message.text,
            "ttl": message.minutes, "foreign_id": message.key,
        })  # fmt: skip

    def refused(self, answer: Answer) -> Outcome | None:
        """A code for the whole request, alone or beside no messages at all."""
        data = answer.json()
        code = text_of(data.get("success")) if isinstance(data, dict) else text_of(data)
        return refusal(answer) or (named(self._codes, code) if code in self._codes else None)

    def fates(self, answer: Answer, message: Message, numbers: Sequence[str]) -> Fates:  # noqa: ARG002 - the port
        """Each number's own result."""
        return by_number(answer, answer.json_object().get("messages"), "recipient", self._one)

    def _one(self, answer: Answer, row: dict[str, Any]) -> Outcome:
        if row.get("success") is True:
            return accepted(answer, text_of(row.get("id")))
        return named(self._codes, text_of(row.get("error"))) if row.get("success") is False else undocumented(answer)

    def credit(self, answer: Answer) -> str:
        """In a field of its own name."""
        return text_of(answer.json_object().get("amount"))


class Twilio(Provider):
    """Twilio: one number for each request; what was sent can be listed afterwards."""

    base, chunk, finds = "https://api.twilio.com", 1, True
    _unsent: ClassVar[frozenset[str]] = frozenset({"failed", "undelivered", "canceled"})
    _codes: ClassVar[Table] = {
        "20003": (_PERMANENT, Reason.AUTH, "account or token is wrong"),
        "20429": (_TEMPORARY, Reason.RATE_LIMITED, "too many requests"),
        "21211": (_PERMANENT, Reason.REJECTED, "no such number"),
        "21408": (_PERMANENT, Reason.REJECTED, "this country is not allowed"),
        "21606": (_PERMANENT, Reason.AUTH, "the sender is not ours"),
        "21608": (_PERMANENT, Reason.AUTH, "a trial account reaches verified numbers only"),
        "21610": (_PERMANENT, Reason.REJECTED, "this number has opted out"),
        "21611": (_TEMPORARY, Reason.RATE_LIMITED, "the sender's queue is full"),
        "21612": (_PERMANENT, Reason.REJECTED, "the sender does not reach this number"),
        "21614": (_PERMANENT, Reason.REJECTED, "not a mobile number"),
        "21617": (_PERMANENT, Reason.TOO_LONG, "the text is too long"),
    }

    def __init__(self, login: Login) -> None:
        """The secret travels in Base64, so that form of it has to stay out of logs as well."""
        super().__init__(login)
        self._basic = b64encode(f"{login.key_id or login.account}:{login.token}".encode()).decode()
        keep_secret(self._basic)
        self.balance = f"{self._path}/Balance.json"

    @property
    def _path(self) -> str:
        return f"/2010-04-01/Accounts/{segment(self.login.account)}"

    def headers(self) -> dict[str, str]:
        """HTTP Basic."""
        return {"Authorization": f"Basic {self._basic}"}

    def request(self, message: Message, numbers: Sequence[str]) -> Request:
        """``POST Messages.json`` as a form; a messaging service may stand in for the sender."""
        sender = "MessagingServiceSid" if message.sender.startswith("MG") and len(message.sender) == 34 else "From"
        form = {"To": numbers[0], sender: message.sender, "Body": message.text, "ValidityPeriod": 60 * message.minutes}
        headers = {**self.headers(), "Content-Type": "application/x-www-form-urlencoded"}
        return Request("POST", f"{self.login.base}{self._path}/Messages.json", headers, urlencode(form).encode())

    def refused(self, answer: Answer) -> Outcome | None:
        """The error's code, whatever status it came with."""
        outcome, code = refusal(answer), text_of(answer.json_object().get("code"))
        if outcome is None or code not in self._codes:
            return outcome
        return replace(named(self._codes, code), retry_after=outcome.retry_after)

    def fates(self, answer: Answer, message: Message, numbers: Sequence[str]) -> Fates:  # noqa: ARG002 - the port
        """The one message."""
        return {numbers[0]: accepted(answer, answer.json_object().get("sid"))}

    def searches(self, message: Message, numbers: Sequence[str], since: datetime) -> Iterator[str]:  # noqa: ARG002 - the port
        """``GET Messages.json`` of the post's day and later."""
        yield f"{self._path}/Messages.json?PageSize=1000&DateSent%3E={since.astimezone(UTC):%Y-%m-%d}"

    def listed(self, answer: Answer, code: str) -> Page | None:
        """Messages with our code in their text that were not given up."""
        page = answer.json_object()
        if not isinstance(page.get("messages"), list):
            return None
        rows = [row for row in rows_of(page["messages"]) if code in text_of(row.get("body"))]
        taken = {
            text_of(row.get("to")): text_of(row.get("sid")) for row in rows if row.get("status") not in self._unsent
        }
        return Page(taken, text_of(page.get("next_page_uri")))


class GatewayApi(Provider):
    """GatewayAPI's messaging interface on its European platform: a message for each number, matched by number."""

    base, probes = "https://messaging.gatewayapi.eu", False

    def headers(self) -> dict[str, str]:
        """A token of the European platform; one of the other is refused with 403."""
        return {"Authorization": f"Token {self.login.token}"}

    def request(self, message: Message, numbers: Sequence[str]) -> Request:
        """``POST /mobile/multi``."""
        common = {
            "sender": message.sender, "message": message.text, "reference": message.key, "priority": "urgent",
            "expiration": f"PT{message.minutes}M",
        }  # fmt: skip
        return self.post("/mobile/multi", {"messages": [{**common, "recipient": int(number)} for number in numbers]})

    def refused(self, answer: Answer) -> Outcome | None:
        """The status decides; a code of its own is told."""
        return refusal(answer, detail=discreet(text_of(answer.json_object().get("code"))))

    def fates(self, answer: Answer, message: Message, numbers: Sequence[str]) -> Fates:  # noqa: ARG002 - the port
        """An id for each number."""
        return by_number(answer, answer.json_object().get("responses"), "recipient", self._one)

    def _one(self, answer: Answer, row: dict[str, Any]) -> Outcome:
        return accepted(answer, text_of(row.get("msg_id")))


class Infobip(Provider):
    """Infobip: our own id for each message, by which its logs of the last 48 hours can be asked."""

    finds = True
    balance = "/account/1/balance"
    _asked_at_once: ClassVar[int] = 100
    _taken: ClassVar[frozenset[str]] = frozenset({"PENDING", "DELIVERED"})
    _names: ClassVar[Table] = {
        "REJECTED_NOT_ENOUGH_CREDITS": (_PERMANENT, Reason.AUTH, "no credit left"),
        "REJECTED_PREPAID_PACKAGE_EXPIRED": (_PERMANENT, Reason.AUTH, "the package has expired"),
        "REJECTED_DUPLICATE_MESSAGE_ID": (_PERMANENT, Reason.DUPLICATE, "it has this message already"),
        "REJECTED_MESSAGE_TOO_LONG": (_PERMANENT, Reason.TOO_LONG, "the text is too long"),
        "REJECTED_SENDER": (_PERMANENT, Reason.AUTH, "the sender is not allowed"),
        "REJECTED_SYSTEM_ERROR": (_TEMPORARY, Reason.SERVER_ERROR, "an error of the provider's"),
    }

    def headers(self) -> dict[str, str]:
        """An API key."""
        return {"Authorization": f"App {self.login.token}", "Accept": "application/json"}

    def request(self, message: Message, numbers: Sequence[str]) -> Request:
        """``POST /sms/3/messages``: one message with many destinations."""
        destinations = [{"to": digits(number), "messageId": _own_id(message.key, number)} for number in numbers]
        return self.post("/sms/3/messages", {"messages": [{
            "sender": message.sender, "destinations": destinations, "content": {"text": message.text},
            "options": {"validityPeriod": {"amount": message.minutes, "timeUnit": "MINUTES"}},
        }]})  # fmt: skip

    def refused(self, answer: Answer) -> Outcome | None:
        """The status decides; the error's name is told."""
        error = answer.json_object()
        wrapped = error.get("requestError")
        inner = wrapped.get("serviceException") if isinstance(wrapped, dict) else None
        name = inner.get("messageId") if isinstance(inner, dict) else error.get("errorCode")
        return refusal(answer, detail=discreet(text_of(name)))

    def fates(self, answer: Answer, message: Message, numbers: Sequence[str]) -> Fates:  # noqa: ARG002 - the port
        """A status for each destination."""
        return by_number(answer, answer.json_object().get("messages"), "destination", self._one)

    def _one(self, answer: Answer, row: dict[str, Any]) -> Outcome:
        group, name = _status(row)
        if group == "REJECTED":
            unknown = Outcome(result=_PERMANENT, reason=Reason.REJECTED, detail=discreet(name))
            return named(self._names, name) if name in self._names else unknown
        return accepted(answer, text_of(row.get("messageId"))) if group in self._taken else undocumented(answer)

    def searches(self, message: Message, numbers: Sequence[str], since: datetime) -> Iterator[str]:  # noqa: ARG002 - the port
        """``GET /sms/3/logs`` by our own ids, some at a time."""
        for start in range(0, len(numbers), self._asked_at_once):
            ids = [_own_id(message.key, number) for number in numbers[start : start + self._asked_at_once]]
            yield "/sms/3/logs?limit=1000&" + "&".join(f"messageId={quote(one)}" for one in ids)

    def listed(self, answer: Answer, code: str) -> Page | None:  # noqa: ARG002 - the ids are our own
        """Messages that were not rejected."""
        rows = answer.json_object().get("results")
        if not isinstance(rows, list):
            return None
        taken = [row for row in rows_of(rows) if _status(row)[0] in self._taken]
        return Page({f"+{text_of(row.get('destination'))}": text_of(row.get("messageId")) for row in taken})


PROVIDERS: Mapping[str, type[Provider]] = {
    "seven": Seven, "twilio": Twilio, "gatewayapi": GatewayApi, "infobip": Infobip,
}  # fmt: skip


def _own_id(key: str, number: str) -> str:
    """An id for one message that is the same in every attempt and tells nobody the number."""
    return hashlib.sha256(f"{key}{number}".encode()).hexdigest()[:32]


def _status(row: dict[str, Any]) -> tuple[str, str]:
    status = row.get("status")
    said = status if isinstance(status, dict) else {}
    return text_of(said.get("groupName")), text_of(said.get("name"))
