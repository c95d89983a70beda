"""What people decide, from a terminal: one request to the running daemon, its answer printed."""

from __future__ import annotations

import asyncio
import uuid
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import aiohttp
import typer
from rich import print_json

from dispatcher.model.errors import DispatcherError


class Refused(DispatcherError):
    """The daemon did not carry the command out."""


@dataclass(frozen=True, slots=True)
class Daemon:
    """A running daemon and who asks it: the base address of its HTTP interface, and a person's token.

    An answer is waited for at most ``seconds``.
    """

    url: str
    token: str
    seconds: float = 30

    def ask(self, method: str, path: str, body: Mapping[str, Any] | None = None) -> Any:
        """The answer to one request below ``/api/v1/``; raises `Refused` with the daemon's own words."""
        if not self.token:
            raise typer.BadParameter("give a token, best by the environment: DISPATCHER_TOKEN", param_hint="--token")
        return asyncio.run(self.answer(method, path, body))

    def show(self, method: str, path: str, body: Mapping[str, Any] | None = None) -> None:
        """Ask, and print the answer."""
        print_json(data=self.ask(method, path, body))

    async def answer(self, method: str, path: str, body: Mapping[str, Any] | None = None) -> Any:
        """The same as `ask`, for who runs a loop already."""
        headers = {"Authorization": f"Bearer {self.token}", "Idempotency-Key": str(uuid.uuid4())}
        said = {key: value for key, value in (body or {}).items() if value} if method == "POST" else None
        url = f"{self.url.rstrip('/')}/api/v1/{path}"
        try:
            async with (
                aiohttp.ClientSession(timeout=aiohttp.ClientTimeout(total=self.seconds)) as session,
                session.request(method, url, json=said, headers=headers) as response,
            ):
                answer = await response.json(content_type=None)
        except (aiohttp.ClientError, TimeoutError, ValueError) as error:
            raise Refused(f"{self.url}: {error}") from None
        if response.status >= 400:
            raise Refused(f"{response.status}: {answer.get('detail') or answer.get('title')}")
        return answer


def release(daemon: Daemon, alert: str, *, digest: str, break_glass: str) -> None:
    """Release ``alert``; without a digest its texts are shown and one is asked for, so that nobody releases unread."""
    if not digest:
        seen = daemon.ask("GET", f"alerts/{alert}")
        for text in seen["texts"]:
            typer.echo(f"\n{', '.join(channel['title'] for channel in text['channels'])}\n\n{text['body']}")
        typer.confirm(f"\nRelease {seen['purpose']} {seen['code']}?", abort=True)
        digest = seen["digest"]
    daemon.show("POST", f"alerts/{alert}/release", {"digest": digest, "break_glass": break_glass})
