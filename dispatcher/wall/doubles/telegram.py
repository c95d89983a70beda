"""Telegram's Bot API under ``/telegram``; an account is a chat, by name or number."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from html import unescape
from typing import Any

from aiohttp import web

from dispatcher.model.channel import TextLimit, Unit
from dispatcher.wall.board import Service, Shown
from dispatcher.wall.doubles.base import Double, is_jpeg, read_form, read_object

_LIMIT, _CAPTION = TextLimit(Unit.UTF16, 4_096), TextLimit(Unit.UTF16, 1_024)
_TAG = re.compile(r"</?(?:b|strong|i|em|u|s|code|pre)>")
_BOT = {"id": 7_000_000_001, "is_bot": True, "first_name": "Bot", "username": "police_bot"}


class Telegram(Double):
    """Takes any token and any chat, where its bot may post. Like the real one it refuses HTML that it cannot read."""

    def routes(self) -> Sequence[web.RouteDef]:
        """Post, edit, delete, and what the bot is and may."""
        methods = {
            "sendMessage": self.post, "editMessageText": self.edit, "deleteMessage": self.delete,
            "sendPhoto": self.photo, "editMessageMedia": self.edit_photo, "getMe": self.me, "getChatMember": self.member,
        }  # fmt: skip
        return [web.post(f"/telegram/bot{{token}}/{name}", handler) for name, handler in methods.items()]

    async def post(self, request: web.Request) -> web.StreamResponse:
        """200 with the message."""
        data = await read_object(request)
        account = str(data.get("chat_id", ""))

        def take() -> web.Response:
            """Show the message."""
            number = len(self.board) + 1
            text = _shown(data)
            id_ = f"{_number(account)}/{number}"
            return _refused(text) or _ok(_message(self.board.add(Service.TELEGRAM, account, id_, str(text))))

        return await self.serve(request, account, take)

    async def edit(self, request: web.Request) -> web.StreamResponse:
        """200 with the changed message."""
        data = await read_object(request)
        account, post = self._meant(data)

        def take() -> web.Response:
            """Change the message."""
            text = _shown(data)
            if post is None:
                return _error(400, "Bad Request: message to edit not found")
            if post.image:
                return _error(400, "Bad Request: there is no text in the message to edit")
            if post.text == text:
                return _error(400, "Bad Request: message is not modified")
            return _refused(text) or _ok(_message(self.board.edit(post, str(text))))

        return await self.serve(request, account, take)

    async def photo(self, request: web.Request) -> web.StreamResponse:
        """200 with the message."""
        data, jpeg = await read_form(request)
        account = data.get("chat_id", "")

        def take() -> web.Response:
            """Show the photo with its caption."""
            number, text = len(self.board) + 1, _shown(data, "caption")
            if refused := _refused_photo(text, jpeg):
                return refused
            id_ = f"{_number(account)}/{number}"
            image = self.board.upload(id_, jpeg).image
            return _ok(_message(self.board.add(Service.TELEGRAM, account, id_, str(text), image=image)))

        return await self.serve(request, account, take)

    async def edit_photo(self, request: web.Request) -> web.StreamResponse:
        """200 with the changed message."""
        data, jpeg = await read_form(request)
        account, post = self._meant(data)

        def take() -> web.Response:
            """Change photo and caption."""
            text = _shown(json.loads(data.get("media", "{}")), "caption")
            if post is None:
                return _error(400, "Bad Request: message to edit not found")
            if refused := _refused_photo(text, jpeg):
                return refused
            image = self.board.upload(post.id, jpeg).image
            return _ok(_message(self.board.edit(post, str(text), image=image)))

        return await self.serve(request, account, take)

    async def delete(self, request: web.Request) -> web.StreamResponse:
        """200 with true."""
        account, post = self._meant(await read_object(request))

        def take() -> web.Response:
            """Take the message back."""
            if post is None:
                return _error(400, "Bad Request: message to delete not found")
            self.board.delete(post)
            return _ok(result=True)

        return await self.serve(request, account, take)

    async def me(self, _request: web.Request) -> web.StreamResponse:
        """The bot."""
        return _ok(_BOT)

    async def member(self, request: web.Request) -> web.StreamResponse:
        """The bot as administrator of the chat."""
        account = str((await read_object(request)).get("chat_id", ""))
        rights = {"status": "administrator", "can_post_messages": True, "can_edit_messages": True, "user": _BOT}
        return await self.serve(request, account, lambda: _ok(rights))

    def _meant(self, data: Mapping[str, Any]) -> tuple[str, Shown | None]:
        """Account and post that a request is about."""
        id_ = f"{data.get('chat_id')}/{data.get('message_id')}"
        account = self.board.owner(id_)
        return account, self.board.find(account, id_)


def _shown(data: Mapping[str, Any], name: str = "text") -> str | None:
    """What the public reads, or None for HTML that is none."""
    text = _TAG.sub("", str(data.get(name, "")))
    if data.get("parse_mode") != "HTML":
        return str(data.get(name, ""))
    return None if re.search(r"[<>]|&(?!amp;|lt;|gt;|quot;)", text) else unescape(text)


def _refused(text: str | None) -> web.Response | None:
    if text is None:
        return _error(400, "Bad Request: can't parse entities")
    return None if _LIMIT.fits(text) else _error(400, "Bad Request: message is too long")


def _refused_photo(caption: str | None, jpeg: bytes) -> web.Response | None:
    if not is_jpeg(jpeg):
        return _error(400, "Bad Request: IMAGE_PROCESS_FAILED")
    too_long = caption is not None and not _CAPTION.fits(caption)
    return _error(400, "Bad Request: message caption is too long") if too_long else _refused(caption)


def _number(account: str) -> int:
    """The chat's number; a name is given one."""
    return int(account) if account.lstrip("-").isdigit() else -1_001_000_000_000 - sum(account.encode())


def _message(post: Shown) -> dict[str, Any]:
    chat, number = post.id.split("/")
    name = {"username": post.account.removeprefix("@")} if post.account.startswith("@") else {}
    about = {"id": int(chat), "type": "channel", "title": post.title, **name}
    sizes = [{"file_id": post.image, "file_unique_id": post.image, "width": 1200, "height": 675}]
    said = {"photo": sizes, "caption": post.text} if post.image else {"text": post.text}
    return {"message_id": int(number), "date": post.received_ms // 1000, "chat": about, **said}


def _ok(result: Any) -> web.Response:
    return web.json_response({"ok": True, "result": result})


def _error(status: int, description: str) -> web.Response:
    body = {"ok": False, "error_code": status, "description": description}
    return web.json_response(body, status=status)
