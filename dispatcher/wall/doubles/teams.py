"""Workflows webhooks of Teams under ``/teams``; an account is the first part of a webhook's path."""

from __future__ import annotations

import secrets
from collections.abc import Sequence
from typing import Any

from aiohttp import web

from dispatcher.wall.board import Service
from dispatcher.wall.doubles.base import Double, read_object

_LARGEST = 28 * 1024
_CARD = "application/vnd.microsoft.card.adaptive"


class Teams(Double):
    """Starts a flow at every address, whose rest may be anything, and shows the card."""

    def routes(self) -> Sequence[web.RouteDef]:
        """The one call there is."""
        return [web.post("/teams/{webhook}/{secret:.+}", self.start)]

    async def start(self, request: web.Request) -> web.StreamResponse:
        """202 without a body; a header names the run."""
        webhook, data = request.match_info["webhook"], await read_object(request)

        def take() -> web.Response:
            """Show the card."""
            if (request.content_length or 0) > _LARGEST:
                return _error(413, "RequestEntityTooLarge")
            cards = [one.get("content") for one in data.get("attachments", []) if one.get("contentType") == _CARD]
            if not cards:
                return _error(400, "TriggerInputSchemaMismatch")
            run = secrets.token_hex(12).upper()
            self.board.add(Service.TEAMS, webhook, run, _shown(cards[0]))
            return web.Response(status=202, headers={"x-ms-workflow-run-id": run})

        return await self.serve(request, webhook, take)


def _shown(card: dict[str, Any]) -> str:
    """What the channel reads: a block with a gap above it begins a paragraph."""
    text = ""
    for block in card.get("body", []):
        text += "\n" if block.get("spacing") == "None" else "\n\n"
        text += "".join(str(run.get("text", "")) for run in block.get("inlines", []))
    return text.lstrip("\n")


def _error(status: int, code: str) -> web.Response:
    return web.json_response({"error": {"code": code, "message": "refused by the wall"}}, status=status)
