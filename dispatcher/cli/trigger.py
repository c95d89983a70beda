"""``dispatcher trigger``: a playbook started by a person over the running daemon's HTTP interface."""

from __future__ import annotations

import asyncio
import uuid
from collections.abc import Mapping, Sequence
from typing import Any

import aiohttp
import typer
from rich import print_json

from dispatcher.model.errors import DispatcherError


class Refused(DispatcherError):
    """The daemon did not carry the command out."""


def trigger(
    playbook: str, *, place: str, regions: Sequence[str], facts: Mapping[str, str], url: str, token: str
) -> None:
    """Trigger ``playbook`` and print what the daemon made of it; raises `Refused` with the daemon's own words."""
    if not token:
        raise typer.BadParameter(
            "give a token, best by the environment variable DISPATCHER_TOKEN", param_hint="--token"
        )
    body = {"place": place, "regions": list(regions), "facts": dict(facts)}
    answer = asyncio.run(_post(f"{url.rstrip('/')}/api/v1/playbooks/{playbook}/trigger", token, body))
    print_json(data=answer)


async def _post(url: str, token: str, body: dict[str, Any]) -> Any:
    headers = {"Authorization": f"Bearer {token}", "Idempotency-Key": str(uuid.uuid4())}
    try:
        async with (
            aiohttp.ClientSession(timeout=aiohttp.ClientTimeout(total=30)) as session,
            session.post(url, json={k: v for k, v in body.items() if v}, headers=headers) as response,
        ):
            answer = await response.json(content_type=None)
    except (aiohttp.ClientError, TimeoutError, ValueError) as error:
        raise Refused(f"{url}: {error}") from None
    if response.status >= 400:
        raise Refused(f"{response.status}: {answer.get('detail') or answer.get('title')}")
    return answer
