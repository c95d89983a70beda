"""WAHA, the gateway to WhatsApp channels, under ``/waha``; an account is a chat id."""

from __future__ import annotations

import secrets
from collections.abc import Sequence
from typing import Any

from aiohttp import web

from dispatcher.wall.board import Service, Shown, now_ms
from dispatcher.wall.doubles.base import Double, read_object
from dispatcher.wall.faults import Take

_CHAT = "/waha/api/{session}/chats/{chat}/messages"


class Waha(Double):
    """Takes any API key; every session is ``WORKING``."""

    def routes(self) -> Sequence[web.RouteDef]:
        """Send, list, edit, delete, and the state of a session."""
        return [
            web.post("/waha/api/sendText", self.send),
            web.get(_CHAT, self.messages),
            web.put(_CHAT + "/{id}", self.edit),
            web.delete(_CHAT + "/{id}", self.delete),
            web.get("/waha/api/{session}/channels/{chat}/messages/preview", self.preview),
            web.get("/waha/api/sessions/{session}", self.session),
        ]

    async def send(self, request: web.Request) -> web.StreamResponse:
        """201 with the message."""
        data = await read_object(request)
        chat, text = str(data.get("chatId", "")), str(data.get("text", ""))

        def take() -> web.Response:
            """Put the post on the wall and answer as WAHA does."""
            identifier = f"true_{chat}_{secrets.token_hex(10).upper()}"
            return web.json_response(_message(self.board.add(Service.WHATSAPP, chat, identifier, text)), status=201)

        return await self._serve(request, chat, take)

    async def messages(self, request: web.Request) -> web.StreamResponse:
        """The chat's messages, newest first."""
        chat = request.match_info["chat"]
        return await self._serve(request, chat, lambda: web.json_response(self._messages(chat)))

    async def preview(self, request: web.Request) -> web.StreamResponse:
        """The same as the public sees it, wrapped as WAHA does."""
        chat = request.match_info["chat"]
        return await self._serve(
            request, chat, lambda: web.json_response([{"message": message} for message in self._messages(chat)])
        )

    async def edit(self, request: web.Request) -> web.StreamResponse:
        """200 with the changed message."""
        text = str((await read_object(request)).get("text", ""))
        return await self._change(request, lambda post: self.board.edit(post, text))

    async def delete(self, request: web.Request) -> web.StreamResponse:
        """200, and the message is gone."""
        return await self._change(request, self.board.delete)

    async def session(self, request: web.Request) -> web.StreamResponse:
        """A session that can send."""
        state = {
            "name": request.match_info["session"], "status": "WORKING", "presence": {}, "timestamps": {"activity": now_ms()},
        }  # fmt: skip
        return await self._serve(request, request.match_info["session"], lambda: web.json_response(state))

    def _messages(self, chat: str) -> list[dict[str, Any]]:
        return [_message(post) for post in reversed(self.board.of(chat))]

    async def _change(self, request: web.Request, change: Any) -> web.StreamResponse:
        chat, identifier = request.match_info["chat"], request.match_info["id"]

        def take() -> web.Response:
            """Replace or take back the post."""
            post = self.board.find(chat, identifier)
            if post is None:
                return _error(500, "message not found")
            return web.json_response(_message(change(post)))

        return await self._serve(request, chat, take)

    async def _serve(self, request: web.Request, account: str, take: Take) -> web.StreamResponse:
        known = "X-Api-Key" in request.headers
        return await self.serve(request, account, take if known else lambda: _error(401, "Unauthorized"))


def _message(post: Shown) -> dict[str, Any]:
    return {
        "id": post.id, "timestamp": post.received_ms // 1000, "from": post.account, "fromMe": True, "to": post.account,
        "body": post.text, "ack": 1, "ackName": "SERVER", "hasMedia": False, "_data": {},
        "source": "api", "participant": "", "mediaUrl": "",
    }  # fmt: skip


def _error(status: int, message: str) -> web.Response:
    return web.json_response({"message": message, "statusCode": status}, status=status)
