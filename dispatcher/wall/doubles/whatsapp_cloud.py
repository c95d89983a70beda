"""Meta's WhatsApp Cloud API under ``/whatsapp-cloud``; an account is the id of the number that writes."""

from __future__ import annotations

import re
import secrets
from collections.abc import Sequence
from typing import Any

from aiohttp import web

from dispatcher.wall.board import Service
from dispatcher.wall.doubles.base import DEBUGGED, Double, bearer_of, read_object
from dispatcher.wall.faults import Take

_LONGEST = 1_024
_NOT_ON_ONE_LINE = re.compile(r"[\n\t]| {5}")


class WhatsAppCloud(Double):
    """Takes any token and knows every template, which shows its variables one below the other.

    Like the real one it refuses variables with line ends and what is longer than a template may be.
    """

    def routes(self) -> Sequence[web.RouteDef]:
        """Send, and what the number is."""
        version = r"/whatsapp-cloud/{version:v\d+\.\d+}"
        number = version + r"/{number:\d+}"
        return [
            web.post(f"{number}/messages", self.post),
            web.get(number, self.read),
            web.get(f"{number}/message_templates", self.templates),
            web.get(f"{version}/debug_token", self.debug),
        ]

    async def post(self, request: web.Request) -> web.StreamResponse:
        """200 with the message's id."""
        account, data = request.match_info["number"], await read_object(request)
        return await self._serve(request, account, lambda: self._take(account, data))

    async def read(self, request: web.Request) -> web.StreamResponse:
        """200 with the number's public name."""
        account = request.match_info["number"]
        about = {"id": account, "verified_name": self.board.titles.get(account, account), "quality_rating": "GREEN"}
        return await self._serve(request, account, lambda: web.json_response(about))

    async def templates(self, request: web.Request) -> web.StreamResponse:
        """200 with the template that is asked for, approved in German and English."""
        name = request.query.get("name", "")
        rows = [{"name": name, "language": language, "status": "APPROVED"} for language in ("de", "en")]
        return await self._serve(request, request.match_info["number"], lambda: web.json_response({"data": rows}))

    async def debug(self, request: web.Request) -> web.StreamResponse:
        """What the token that is asked about can do, and that it has no end."""
        return await self._serve(request, "", lambda: web.json_response(DEBUGGED))

    def _take(self, account: str, data: dict[str, Any]) -> web.Response:
        variables = _variables(data)
        text = "\n".join(variables)
        if not variables or not str(data.get("to", "")).startswith("+"):
            return _error(100, "Invalid parameter")
        if any(_NOT_ON_ONE_LINE.search(variable) for variable in variables):
            return _error(132018, "There's an issue with the parameters in your template")
        if len(text) > _LONGEST:
            return _error(132005, "Translated text too long")
        post = self.board.add(Service.WHATSAPP_CLOUD, account, f"wamid.{secrets.token_hex(12).upper()}", text)
        return web.json_response({
            "messaging_product": "whatsapp", "contacts": [{"input": data["to"], "wa_id": data["to"].lstrip("+")}],
            "messages": [{"id": post.id, "message_status": "accepted"}],
        })  # fmt: skip

    async def _serve(self, request: web.Request, account: str, take: Take) -> web.StreamResponse:
        known = bool(bearer_of(request))
        return await self.serve(request, account, take if known else lambda: _error(190, "Invalid access token"))


def _variables(data: dict[str, Any]) -> list[str]:
    """The variables of a template's body; none where it is no template message."""
    try:
        [body] = data["template"]["components"]
        return [str(variable["text"]) for variable in body["parameters"]]
    except (KeyError, TypeError, ValueError):
        return []


def _error(code: int, message: str) -> web.Response:
    error = {"message": f"(#{code}) {message}", "type": "OAuthException", "code": code, "fbtrace_id": "A" + "0" * 10}
    return web.json_response({"error": error}, status=400)
