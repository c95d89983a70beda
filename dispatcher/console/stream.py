"""The log of facts, live: numbered as in the journal, so that a reader who was away gets exactly what is missing."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable, Sequence
from functools import partial
from typing import Final

from aiohttp import hdrs, web

from dispatcher.console.views import fact_view
from dispatcher.journal import queries
from dispatcher.journal.base import Journal
from dispatcher.journal.queries import Fact
from dispatcher.web import PAGE_HEADERS, Hub, encode

MISSED: Final = 1_000
_WRITE_SECONDS: Final = 10.0
_TRUST_SECONDS: Final = 1.0  # how long an open stream goes on before it is asked again who reads


def facts_to_hub(hub: Hub) -> Callable[[Sequence[Fact]], Awaitable[None]]:
    """A sink for the feed of facts that publishes each to ``hub``'s readers."""

    async def sink(facts: Sequence[Fact]) -> None:
        """Publish each fact under its own number; who comes later finds it in the journal."""
        for fact in facts if len(hub) else ():
            hub.publish(fact_view(fact), id=str(fact.seq))

    return sink


async def stream_facts(
    request: web.Request, hub: Hub, journal: Journal, may_read: Callable[[], Awaitable[bool]]
) -> web.StreamResponse:
    """Stream facts until either side ends it or ``may_read`` says no, from the one after ``Last-Event-ID`` on.

    Where there is none, or more than `MISSED` facts lie between, an event named "snapshot" with the number of the latest
    fact says: look at everything anew.
    """
    response = web.StreamResponse(headers={hdrs.CONTENT_TYPE: "text/event-stream", **PAGE_HEADERS})
    with hub.subscribe() as reader:  # before the journal is read, so that nothing falls between the two
        opening, seq = await _catch_up(request.headers.get("Last-Event-ID", ""), journal)
        await response.prepare(request)
        try:
            await _write(response, opening)
            asked = time.monotonic()
            async for event in reader.events():
                if time.monotonic() - asked > _TRUST_SECONDS:
                    asked = time.monotonic()
                    if not await may_read():
                        break
                if not _known(event, seq):
                    await _write(response, event)
        except (TimeoutError, ConnectionError):
            if request.transport is not None:
                request.transport.abort()
    return response


async def _catch_up(last_id: str, journal: Journal) -> tuple[bytes, int]:
    """What the reader missed, and the number of the latest fact in it."""
    last = await journal.read(queries.last_seq)
    if last_id.isascii() and last_id.isdigit() and len(last_id) < 19 and int(last_id) <= last:
        seen = int(last_id)
        missed = await journal.read(partial(queries.facts_after, seq=seen, limit=MISSED + 1))
        if len(missed) <= MISSED:
            events = (encode(fact_view(fact), id=str(fact.seq)) for fact in missed)
            return b"".join(events), missed[-1].seq if missed else seen
    seq = await journal.read(queries.last_seq)
    return encode({"seq": seq}, event="snapshot", id=str(seq)), seq


def _known(event: bytes, seq: int) -> bool:
    """Whether ``event`` is a fact up to ``seq``: read from the journal and published in the same moment."""
    head, _, _ = event.partition(b"\n")
    number = head.removeprefix(b"id: ")
    return number.isdigit() and int(number) <= seq


async def _write(response: web.StreamResponse, event: bytes) -> None:
    async with asyncio.timeout(_WRITE_SECONDS):
        await response.write(event)
