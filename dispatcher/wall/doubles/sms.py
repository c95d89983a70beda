"""The SMS providers, under ``/seven``, ``/twilio``, ``/gatewayapi`` and ``/infobip``; an account is the secret that calls.

One request is one card on the wall, however many numbers it names.
"""

from __future__ import annotations

import base64
import secrets
from abc import abstractmethod
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar

from aiohttp import web

from dispatcher.wall.board import Board, Service
from dispatcher.wall.doubles.base import Double, read_object
from dispatcher.wall.faults import Faults, Take

_CREDIT = 42.5


@dataclass(frozen=True, slots=True)
class _Sent:
    """One message, for who asks afterwards."""

    account: str
    id: str
    number: str
    text: str


class _Sms(Double):
    """What the four have in common."""

    scheme: ClassVar[str] = ""

    def __init__(self, board: Board, faults: Faults) -> None:
        super().__init__(board, faults)
        self._sent: list[_Sent] = []

    async def serve(self, request: web.Request, account: str, take: Take) -> web.StreamResponse:
        """Refuse who does not say who they are."""
        return await super().serve(request, account, take if account else self.denied)

    @abstractmethod
    def denied(self) -> web.Response:
        """How this provider refuses a caller without a secret."""

    def account(self, request: web.Request) -> str:
        """The secret behind this provider's word for it in ``Authorization``."""
        scheme, _, secret = request.headers.get("Authorization", "").partition(" ")
        return secret if scheme == self.scheme else ""

    def show(self, account: str, text: str, numbers: Iterable[str], ids: Iterable[str] = ()) -> list[_Sent]:
        """Put one card on the wall and remember a message for each number, under our ids or made-up ones."""
        known = iter(ids)
        sent = [_Sent(account, next(known, None) or secrets.token_hex(16), number, text) for number in numbers]
        if sent:
            self.board.add(Service.SMS, account, sent[0].id, text)
        self._sent += sent
        return sent

    def sent(self, account: str) -> list[_Sent]:
        """Everything that was sent for ``account``."""
        return [one for one in self._sent if one.account == account]


class Seven(_Sms):
    """Answers 200 whatever happens, with a code inside; refuses the number 0."""

    def routes(self) -> Sequence[web.RouteDef]:
        """Send, and the credit."""
        return [web.post("/seven/api/sms", self.post), web.get("/seven/api/balance", self.balance)]

    def account(self, request: web.Request) -> str:
        """In a header of its own."""
        return request.headers.get("X-Api-Key", "")

    def denied(self) -> web.Response:
        """A bare code."""
        return web.json_response(900)

    async def post(self, request: web.Request) -> web.StreamResponse:
        """200 with a result for each number."""
        data, account = await read_object(request), self.account(request)
        return await self.serve(request, account, lambda: self._take(account, data))

    async def balance(self, request: web.Request) -> web.StreamResponse:
        """200 with the credit."""
        credit = {"amount": _CREDIT, "currency": "EUR"}
        return await self.serve(request, self.account(request), lambda: web.json_response(credit))

    def _take(self, account: str, data: dict[str, Any]) -> web.Response:
        text, numbers = str(data.get("text", "")), [to for to in str(data.get("to", "")).split(",") if to]
        if not text or not numbers:
            return web.json_response({"success": "305" if numbers else "301", "messages": []})
        good = self.show(account, text, [number for number in numbers if number != "0"])
        rows = [{**self._row(one.number, text), "id": one.id, "success": True, "error": None} for one in good]
        rows += [{**self._row(to, text), "id": None, "success": False, "error": "202"} for to in numbers if to == "0"]
        code = "100" if len(good) == len(rows) else "101" if good else "202"
        return web.json_response({"success": code, "total_price": 0, "balance": _CREDIT, "messages": rows})

    def _row(self, number: str, text: str) -> dict[str, Any]:
        return {"recipient": number, "text": text, "parts": 1, "encoding": "gsm", "price": 0, "error_text": None}


class Twilio(_Sms):
    """One number for each request; lists what was sent."""

    def routes(self) -> Sequence[web.RouteDef]:
        """Send, list, and the credit."""
        base = "/twilio/2010-04-01/Accounts/{account}"
        return [
            web.post(base + "/Messages.json", self.post),
            web.get(base + "/Messages.json", self.messages),
            web.get(base + "/Balance.json", self.balance),
        ]

    def account(self, request: web.Request) -> str:
        """The password of HTTP Basic."""
        scheme, _, encoded = request.headers.get("Authorization", "").partition(" ")
        return base64.b64decode(encoded).decode().partition(":")[2] if scheme == "Basic" else ""

    def denied(self) -> web.Response:
        """An error of its own."""
        return self._error(401, 20003, "Authenticate")

    async def post(self, request: web.Request) -> web.StreamResponse:
        """201 with the message."""
        form, account = await request.post(), self.account(request)
        to, text = str(form.get("To", "")), str(form.get("Body", ""))
        return await self.serve(request, account, lambda: self._take(account, to, text))

    async def messages(self, request: web.Request) -> web.StreamResponse:
        """200 with what was sent, newest first."""
        account = self.account(request)

        def take() -> web.Response:
            """The one page."""
            rows = [self._message(one) for one in reversed(self.sent(account))]
            return web.json_response({"messages": rows, "next_page_uri": None, "page": 0, "page_size": 1000})

        return await self.serve(request, account, take)

    async def balance(self, request: web.Request) -> web.StreamResponse:
        """200 with the credit."""
        credit = {"account_sid": request.match_info["account"], "balance": str(_CREDIT), "currency": "EUR"}
        return await self.serve(request, self.account(request), lambda: web.json_response(credit))

    def _take(self, account: str, to: str, text: str) -> web.Response:
        if not to.startswith("+"):
            return self._error(400, 21211, f"The 'To' number {to} is not a valid phone number.")
        if len(text) > 1600:
            return self._error(400, 21617, "The concatenated message body exceeds the 1600 character limit")
        [sent] = self.show(account, text, [to])
        return web.json_response(self._message(sent), status=201)

    def _message(self, sent: _Sent) -> dict[str, Any]:
        return {
            "sid": f"SM{sent.id}", "to": sent.number, "body": sent.text, "status": "queued", "num_segments": "1",
            "error_code": None, "error_message": None, "direction": "outbound-api",
        }  # fmt: skip

    def _error(self, status: int, code: int, message: str) -> web.Response:
        error = {"code": code, "message": message, "more_info": f"https://www.twilio.com/docs/errors/{code}"}
        return web.json_response({**error, "status": status}, status=status)


class GatewayApi(_Sms):
    """Many messages in one request, matched by number."""

    scheme = "Token"

    def routes(self) -> Sequence[web.RouteDef]:
        """Send."""
        return [web.post("/gatewayapi/mobile/multi", self.post)]

    def denied(self) -> web.Response:
        """A message."""
        return web.json_response({"message": "Unauthorized"}, status=401)

    async def post(self, request: web.Request) -> web.StreamResponse:
        """202 with an id for each message."""
        data, account = await read_object(request), self.account(request)
        return await self.serve(request, account, lambda: self._take(account, data.get("messages")))

    def _take(self, account: str, messages: Any) -> web.Response:
        if not isinstance(messages, list) or not all(type(one.get("recipient")) is int for one in messages):
            return web.json_response({"detail": [{"type": "int_type", "loc": ["body", "messages"]}]}, status=422)
        sent = self.show(account, str(messages[0].get("message")), [str(one["recipient"]) for one in messages])
        rows = [
            {"msg_id": one.id, "recipient": int(one.number), "reference": asked.get("reference")}
            for one, asked in zip(sent, messages, strict=True)
        ]
        return web.json_response({"responses": rows}, status=202)


class Infobip(_Sms):
    """Takes our own ids and can be asked about them."""

    scheme = "App"

    def routes(self) -> Sequence[web.RouteDef]:
        """Send, the logs, and the credit."""
        return [
            web.post("/infobip/sms/3/messages", self.post),
            web.get("/infobip/sms/3/logs", self.logs),
            web.get("/infobip/account/1/balance", self.balance),
        ]

    def denied(self) -> web.Response:
        """An error in an error."""
        error = {"messageId": "UNAUTHORIZED", "text": "Invalid login details"}
        return web.json_response({"requestError": {"serviceException": error}}, status=401)

    async def post(self, request: web.Request) -> web.StreamResponse:
        """200 with a status for each destination."""
        data, account = await read_object(request), self.account(request)
        return await self.serve(request, account, lambda: self._take(account, data["messages"][0]))

    async def logs(self, request: web.Request) -> web.StreamResponse:
        """200 with those of the messages asked for that were sent."""
        account, asked = self.account(request), set(request.query.getall("messageId", []))

        def take() -> web.Response:
            """The one page."""
            rows = [self._row(one) for one in self.sent(account) if one.id in asked]
            return web.json_response({"results": rows})

        return await self.serve(request, account, take)

    async def balance(self, request: web.Request) -> web.StreamResponse:
        """200 with the credit."""
        credit = {"balance": _CREDIT, "currency": "EUR"}
        return await self.serve(request, self.account(request), lambda: web.json_response(credit))

    def _take(self, account: str, message: dict[str, Any]) -> web.Response:
        destinations = message["destinations"]
        numbers, ids = ([one[field] for one in destinations] for field in ("to", "messageId"))
        sent = self.show(account, message["content"]["text"], numbers, ids)
        return web.json_response({"bulkId": secrets.token_hex(8), "messages": [self._row(one) for one in sent]})

    def _row(self, sent: _Sent) -> dict[str, Any]:
        status = {"groupId": 1, "groupName": "PENDING", "id": 26, "name": "PENDING_ACCEPTED"}
        return {
            "messageId": sent.id,
            "destination": sent.number,
            "status": {**status, "description": "Message accepted"},
        }
