"""Firebase Cloud Messaging under ``/fcm``, and Google's tokens at ``/fcm/token``; an account is a topic."""

from __future__ import annotations

import json
import secrets
from base64 import urlsafe_b64decode
from collections.abc import Mapping, Sequence
from typing import Any

from aiohttp import web

from dispatcher.wall.board import Service
from dispatcher.wall.doubles.base import Double, bearer_of, read_object

_LONGEST = 2_048
_CLAIMS = ("iss", "scope", "aud", "iat", "exp")


class Fcm(Double):
    """Believes every signature and takes any token. A message with the tag of one that is shown replaces it, as phones do."""

    def routes(self) -> Sequence[web.RouteDef]:
        """Exchange a claim for a token, and send."""
        return [web.post("/fcm/token", self.token), web.post("/fcm/v1/projects/{project}/messages:send", self.post)]

    async def token(self, request: web.Request) -> web.StreamResponse:
        """200 with a token for a claim that is complete."""
        claims = _claims(str((await request.post()).get("assertion", "")))
        if not all(claims.get(name) for name in _CLAIMS):
            return web.json_response({"error": "invalid_grant", "error_description": "Invalid JWT"}, status=400)
        granted = {"access_token": f"ya29.{secrets.token_hex(16)}", "expires_in": 3_599, "token_type": "Bearer"}
        return web.json_response(granted)

    async def post(self, request: web.Request) -> web.StreamResponse:
        """200 with the message's name."""
        data = await read_object(request)
        found = data.get("message")
        message = found if isinstance(found, dict) else {}
        topic, known = str(message.get("topic", "")), bool(bearer_of(request))

        def take() -> web.Response:
            """Show the message, unless it was only to be checked."""
            if not known:
                return _error(401, "UNAUTHENTICATED", "Request had invalid authentication credentials.")
            if not topic or len(json.dumps(message, ensure_ascii=False).encode()) > _LONGEST:
                return _error(400, "INVALID_ARGUMENT", "Message is too big" if topic else "Recipient is not set.")
            if not data.get("validateOnly"):
                self._show(topic, message)
            return web.json_response(
                {"name": f"projects/{request.match_info['project']}/messages/{secrets.randbits(62)}"}
            )

        return await self.serve(request, topic, take)

    def _show(self, topic: str, message: Mapping[str, Any]) -> None:
        said = message.get("notification", {})
        text = f"{said.get('title', '')}\n{said.get('body', '')}"
        tag = str(message.get("android", {}).get("notification", {}).get("tag", ""))
        if known := self.board.by_key(topic, tag):
            self.board.edit(self.board.repeat(known), text)
        else:
            self.board.add(Service.FCM, topic, tag or secrets.token_hex(8), text, key=tag)


def _claims(assertion: str) -> dict[str, Any]:
    """What a signed claim says; nothing where it is none."""
    try:
        _, payload, _ = assertion.split(".")
        said = json.loads(urlsafe_b64decode(payload + "=" * (-len(payload) % 4)))
    except ValueError:
        return {}
    return said if isinstance(said, dict) else {}


def _error(status: int, code: str, message: str) -> web.Response:
    detail = {"@type": "type.googleapis.com/google.firebase.fcm.v1.FcmError", "errorCode": code}
    error = {"code": status, "message": message, "status": code, "details": [detail]}
    return web.json_response({"error": error}, status=status)
