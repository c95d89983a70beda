"""Slack's Web API under ``/slack``; an account is a channel's id."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from html import escape
from typing import Any

from aiohttp import web

from dispatcher.wall.board import Service, Shown
from dispatcher.wall.doubles.base import Double, bearer_of, read_object
from dispatcher.wall.faults import Take

_LONGEST = 4_000
_SCOPES = {"X-OAuth-Scopes": "chat:write,channels:read,channels:history"}


class Slack(Double):
    """Takes any token, whose app is in every channel. Like the real one it answers 200 to refusals too."""

    def routes(self) -> Sequence[web.RouteDef]:
        """Post, edit, delete, list, and what the channel is."""
        return [
            web.post("/slack/chat.postMessage", self.post),
            web.post("/slack/chat.update", self.edit),
            web.post("/slack/chat.delete", self.delete),
            web.get("/slack/conversations.history", self.history),
            web.get("/slack/conversations.info", self.info),
        ]

    async def post(self, request: web.Request) -> web.StreamResponse:
        """Where and when the message was posted, which is its id."""
        data = await read_object(request)
        channel, text = str(data.get("channel", "")), _shown(data)

        def take() -> web.Response:
            """Show the message."""
            if len(text) > _LONGEST:
                return _error("msg_too_long")
            ts = f"{1_790_000_000 + len(self.board)}.000100"
            return _ok(channel=channel, ts=ts, message=_message(self.board.add(Service.SLACK, channel, ts, text)))

        return await self._serve(request, channel, take)

    async def edit(self, request: web.Request) -> web.StreamResponse:
        """The changed message."""
        data = await read_object(request)

        def change(post: Shown) -> web.Response:
            """Change the message."""
            message = _message(self.board.edit(post, _shown(data)))
            return _ok(channel=post.account, ts=post.id, text=message["text"], message=message)

        return await self._change(request, data, change)

    async def delete(self, request: web.Request) -> web.StreamResponse:
        """Where and when the message that is gone was posted."""

        def change(post: Shown) -> web.Response:
            """Take the message back."""
            self.board.delete(post)
            return _ok(channel=post.account, ts=post.id)

        return await self._change(request, await read_object(request), change)

    async def history(self, request: web.Request) -> web.StreamResponse:
        """The channel's messages, newest first."""
        channel = request.query.get("channel", "")

        def take() -> web.Response:
            """One page with all of them."""
            messages = [_message(post) for post in reversed(self.board.of(channel))]
            return _ok(messages=messages, has_more=False, pin_count=0)

        return await self._serve(request, channel, take)

    async def info(self, request: web.Request) -> web.StreamResponse:
        """A channel that the app is in."""
        channel = request.query.get("channel", "")
        return await self._serve(request, channel, lambda: _ok(channel=_about(channel)))

    async def _change(
        self, request: web.Request, data: dict[str, Any], change: Callable[[Shown], web.Response]
    ) -> web.StreamResponse:
        channel = str(data.get("channel", ""))

        def take() -> web.Response:
            """Change what is there."""
            post = self.board.find(channel, str(data.get("ts", "")))
            return change(post) if post else _error("message_not_found")

        return await self._serve(request, channel, take)

    async def _serve(self, request: web.Request, channel: str, take: Take) -> web.StreamResponse:
        known = bool(bearer_of(request))
        return await self.serve(request, channel, take if known else lambda: _error("not_authed"))


def _shown(data: dict[str, Any]) -> str:
    """What the public reads: the elements of the rich text, one after another."""
    sections = [section for block in data.get("blocks", []) for section in block.get("elements", [])]
    elements = [element for section in sections for element in section.get("elements", [])]
    return "".join(str(element.get("text") or element.get("url", "")) for element in elements)


def _message(post: Shown) -> dict[str, Any]:
    text = escape(post.text, quote=False)
    return {"type": "message", "user": "U0123456789", "text": text, "ts": post.id}


def _about(channel: str) -> dict[str, Any]:
    """A public channel of this workspace alone."""
    no = dict.fromkeys((
        "is_archived", "is_general", "is_group", "is_im", "is_mpim", "is_org_shared", "is_private", "is_shared",
    ), False)  # fmt: skip
    words = {"value": "", "creator": "", "last_set": 0}
    name = channel.lower()
    return {
        "id": channel, "name": name, "name_normalized": name, "created": 1_790_000_000, "creator": "U0123456789",
        "is_channel": True, "is_member": True, "topic": words, "purpose": words, **no,
    }  # fmt: skip


def _ok(**said: Any) -> web.Response:
    return web.json_response({"ok": True, **said}, headers=_SCOPES)


def _error(error: str) -> web.Response:
    return web.json_response({"ok": False, "error": error})
