"""Instagram under ``/instagram`` and Threads under ``/threads``: posts in two steps, a container and its publication."""

from __future__ import annotations

import secrets
from abc import abstractmethod
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar
from urllib.parse import parse_qsl

from aiohttp import web

from dispatcher.model.channel import TextLimit, Unit
from dispatcher.wall.board import Board, Service, Shown
from dispatcher.wall.doubles.base import DEBUGGED, Double, bearer_of, graph_time, read_object
from dispatcher.wall.faults import Faults, Take

_LONGEST_ALT = 1_000


@dataclass
class _Container:
    account: str
    text: str
    image: str
    alt: str
    published: bool = False


class _TwoSteps(Double):
    """What both have in common. A container is ready at once and is published once."""

    service: ClassVar[Service]
    limit: ClassVar[TextLimit]
    text: ClassVar[str]

    def __init__(self, board: Board, faults: Faults) -> None:
        """No container yet."""
        super().__init__(board, faults)
        self._containers: dict[str, _Container] = {}

    def paths(self, posts: str, publish: str, quota: str) -> Sequence[web.RouteDef]:
        """Make, publish, list, ask for a state, delete, and what is left of a day's posts."""
        base = f"/{self.service}/{{version:v\\d+\\.\\d+}}"
        user = base + r"/{user:me|\d+}/"
        return [
            web.post(user + posts, self.make),
            web.get(user + posts, self.list),
            web.post(user + publish, self.publish),
            web.get(user + quota, self.quota),
            web.get(base + "/debug_token", self.debug),
            web.get(base + r"/{id:\w+}", self.read),
            web.delete(base + r"/{id:\w+}", self.delete),
        ]

    @abstractmethod
    def account(self, request: web.Request) -> str:
        """Who posts, or an empty text without a credential."""

    @abstractmethod
    async def fields(self, request: web.Request) -> dict[str, Any]:
        """What was sent along."""

    @abstractmethod
    def proper(self, fields: dict[str, Any]) -> bool:
        """Whether a container can be made of it."""

    @abstractmethod
    def told(self, state: str) -> dict[str, str]:
        """A container's state in the service's own fields."""

    async def make(self, request: web.Request) -> web.StreamResponse:
        """200 with the container's id."""
        fields = await self.fields(request)
        text = str(fields.get(self.text, ""))

        def take(account: str) -> web.Response:
            """Keep what is to be shown later."""
            if not self.limit.fits(text):
                return _error(36004, "The caption is too long", 2207010)
            if not self.proper(fields) or len(str(fields.get("alt_text", ""))) > _LONGEST_ALT:
                return _error(100, "Invalid parameter")
            container = str(17_900_000_000_000_000 + len(self._containers))
            self._containers[container] = _Container(
                account, text, str(fields.get("image_url", "")), str(fields.get("alt_text", ""))
            )
            return web.json_response({"id": container})

        return await self._serve(request, take)

    async def publish(self, request: web.Request) -> web.StreamResponse:
        """200 with the post's id."""
        wanted = str((await self.fields(request)).get("creation_id", ""))

        def take(account: str) -> web.Response:
            """Show the container."""
            container = self._containers.get(wanted)
            if container is None or container.account != account or container.published:
                return _error(24, "The requested resource does not exist", 2207006)
            container.published = True
            post = self.board.add(
                self.service, account, str(18_000_000_000_000_000 + secrets.randbelow(10**12)), container.text,
                image=container.image, alt=container.alt,
            )  # fmt: skip
            return web.json_response({"id": post.id})

        return await self._serve(request, take)

    async def debug(self, request: web.Request) -> web.StreamResponse:
        """What the token that is asked about can do, and that it has no end."""
        return await self._serve(request, lambda _: web.json_response(DEBUGGED))

    async def read(self, request: web.Request) -> web.StreamResponse:
        """A container's state."""

        def take(_account: str) -> web.Response:
            """Ready at once."""
            container = self._containers.get(request.match_info["id"])
            if container is None:
                return _error(100, "Unsupported get request", 33)
            state = "PUBLISHED" if container.published else "FINISHED"
            return web.json_response({**self.told(state), "id": request.match_info["id"]})

        return await self._serve(request, take)

    async def list(self, request: web.Request) -> web.StreamResponse:
        """The account's posts, newest first."""
        return await self._serve(
            request,
            lambda account: web.json_response({"data": [self._entry(p) for p in reversed(self.board.of(account))]}),
        )

    async def delete(self, request: web.Request) -> web.StreamResponse:
        """200 with success."""
        id_ = request.match_info["id"]

        def take(account: str) -> web.Response:
            """Take the post back."""
            post = self.board.find(self.board.owner(id_) or account, id_)
            if post is None:
                return _error(100, "Unsupported delete request", 33)
            self.board.delete(post)
            return web.json_response({"success": True, "deleted_id": id_})

        return await self._serve(request, take)

    async def quota(self, request: web.Request) -> web.StreamResponse:
        """Nearly all of it."""
        quota = {"quota_usage": 1, "config": {"quota_total": 50, "quota_duration": 86_400}}
        return await self._serve(request, lambda _account: web.json_response({"data": [quota]}))

    def _entry(self, post: Shown) -> dict[str, Any]:
        link = f"https://www.{self.service}.com/p/{post.id}"
        return {"id": post.id, self.text: post.text, "timestamp": graph_time(post.received_ms), "permalink": link}

    async def _serve(self, request: web.Request, take: Callable[[str], web.Response]) -> web.StreamResponse:
        account = self.account(request)
        refused: Take = lambda: _error(190, "Invalid OAuth access token")  # noqa: E731 - beside the other answer
        return await self.serve(request, account, (lambda: take(account)) if account else refused)


class Instagram(_TwoSteps):
    """Takes any token; an account is the number in the path, or the owner of what the path names."""

    service, text = Service.INSTAGRAM, "caption"
    limit = TextLimit(Unit.UTF16, 2_200)

    def routes(self) -> Sequence[web.RouteDef]:
        """Its names for the six."""
        return self.paths("media", "media_publish", "content_publishing_limit")

    def account(self, request: web.Request) -> str:
        """The number in the path."""
        id_ = request.match_info.get("id", "")
        container = self._containers.get(id_)
        owner = container.account if container else self.board.owner(id_) or "unknown"
        return request.match_info.get("user", owner) if bearer_of(request) else ""

    async def fields(self, request: web.Request) -> dict[str, Any]:
        """JSON."""
        return await read_object(request)

    def proper(self, fields: dict[str, Any]) -> bool:
        """No post without an image."""
        return str(fields.get("image_url", "")).startswith("http")

    def told(self, state: str) -> dict[str, str]:
        """A code, and a sentence that begins with it."""
        return {"status_code": state, "status": f"{state.capitalize()}: the container is on the wall"}


class Threads(_TwoSteps):
    """Takes any token, which is the account."""

    service, text = Service.THREADS, "text"
    limit = TextLimit(Unit.EMOJI_BYTES, 500)

    def routes(self) -> Sequence[web.RouteDef]:
        """Its names for the six."""
        return self.paths("threads", "threads_publish", "threads_publishing_limit")

    def account(self, request: web.Request) -> str:
        """Whose token it is."""
        return request.query.get("access_token", "")

    async def fields(self, request: web.Request) -> dict[str, Any]:
        """A form."""
        return dict(parse_qsl((await request.read()).decode(errors="replace")))

    def proper(self, fields: dict[str, Any]) -> bool:
        """A text, or an image with one."""
        shown = fields.get("media_type") == "IMAGE" and str(fields.get("image_url", "")).startswith("http")
        return (shown or fields.get("media_type") == "TEXT") and bool(fields.get("text"))

    def told(self, state: str) -> dict[str, str]:
        """A code."""
        return {"status": state}


def _error(code: int, message: str, subcode: int = 0) -> web.Response:
    error = {"message": message, "type": "OAuthException", "code": code, "error_subcode": subcode, "fbtrace_id": "A0"}
    return web.json_response({"error": error}, status=400)
