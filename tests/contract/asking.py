"""Ask a kind for one verb while a provider of bytes behaves in some way."""

from __future__ import annotations

from contextlib import AsyncExitStack
from typing import Any

from contract.kit import channel, kit_of, post
from contract.provider import Behave, Provider, in_turn, provider, says

from dispatcher.channels.http import http_client
from dispatcher.model.delivery import Outcome


async def ask(kind: str, behave: Behave, verb: str = "send", **changes: Any) -> tuple[Outcome, Provider]:
    """One verb of ``kind`` while its provider behaves so."""
    asked = () if verb == "probe" else (post(**changes),)
    async with AsyncExitStack() as stack:
        heard = await stack.enter_async_context(provider(behave))
        http = await stack.enter_async_context(http_client(total=5))
        opened = await stack.enter_async_context(channel(kind, kit_of(kind).settings(heard.url), http))
        return await getattr(opened, verb)(*asked), heard


async def ask_last(kind: str, behave: Behave, **changes: Any) -> tuple[Outcome, Provider]:
    """Send by ``kind`` while its provider behaves so in the posting request, and well in those before it."""
    before = [says(*answer) for answer in kit_of(kind).before]
    return await ask(kind, in_turn(*before, behave), **changes)
