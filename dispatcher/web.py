"""What every page of this house stands on: live updates by server-sent events, and headers that allow no foreign code.

A reader that falls behind is cut off instead of slowing the others or filling memory. Browsers come back by themselves
with ``Last-Event-ID`` and get what they missed, or a fresh snapshot where that is too long ago.
"""

from __future__ import annotations

import asyncio
import json
import secrets
from collections import deque
from collections.abc import AsyncIterator, Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from functools import partial
from typing import Any, Final

from aiohttp import hdrs, web

HEARTBEAT: Final = 15.0
_END: Final = b""

PAGE_HEADERS: Final[Mapping[str, str]] = {
    "Content-Security-Policy": (
        "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; font-src 'self'; connect-src 'self'; "
        "form-action 'self'; base-uri 'none'; frame-ancestors 'none'"
    ),
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
    "Cache-Control": "no-store",
}


class Reader:
    """One client's bounded queue of encoded events."""

    def __init__(self, size: int, cut: Callable[[], None]) -> None:
        """``size`` is how many events may wait; one more and ``cut()`` ends the connection, stuck as it may be."""
        self._queue = asyncio.Queue[bytes](size)
        self._cut = cut
        self.closed = False

    def offer(self, event: bytes) -> None:
        """Queue one event, or give the reader up where there is no room."""
        if self.closed:
            return
        if self._queue.full():
            self.close()
            self._cut()
        else:
            self._queue.put_nowait(event)

    def close(self) -> None:
        """End `events` at once, whatever still waits."""
        self.closed = True
        if not self._queue.full():
            self._queue.put_nowait(_END)

    async def events(self, heartbeat: float = HEARTBEAT) -> AsyncIterator[bytes]:
        """Events as they come, and a comment after each ``heartbeat`` seconds of silence, until closed."""
        while not self.closed:
            try:
                async with asyncio.timeout(heartbeat):
                    event = await self._queue.get()
            except TimeoutError:
                event = b": still here\n\n"
            if not self.closed:
                yield event


class Hub:
    """Publishes to all readers at once, without waiting for any of them."""

    def __init__(self, *, size: int = 256, history: int = 1024) -> None:
        """``size`` bounds one reader's queue, ``history`` how many events a returning reader can catch up on."""
        self._size = size
        self._readers: set[Reader] = set()
        self._history: deque[tuple[str, bytes]] = deque(maxlen=history)
        # A client that returns after a restart must not mistake new numbers for those it has seen.
        self._run, self._number = secrets.token_hex(4), 0

    def __len__(self) -> int:
        """How many readers are connected."""
        return len(self._readers)

    @property
    def last_id(self) -> str:
        """The id of the newest event; what a snapshot taken now includes."""
        return self._history[-1][0] if self._history else f"{self._run}-{self._number}"

    def publish(self, data: Any, *, event: str = "", id: str = "") -> None:  # noqa: A002 - the standard's own word
        """Send JSON-able ``data`` to every reader; ``id`` defaults to a number that is unique to this run."""
        self._number += 1
        id_ = id or f"{self._run}-{self._number}"
        encoded = encode(data, event=event, id=id_)
        self._history.append((id_, encoded))
        for reader in self._readers:
            reader.offer(encoded)

    @contextmanager
    def subscribe(self, cut: Callable[[], None] = lambda: None) -> Iterator[Reader]:
        """A reader of everything published from now on; ``cut()`` is called once if it falls behind."""
        reader = Reader(self._size, cut)
        self._readers.add(reader)
        try:
            yield reader
        finally:
            self._readers.discard(reader)

    def since(self, last_id: str) -> list[bytes] | None:
        """Encoded events after ``last_id``, or None where that is not remembered."""
        ids = [known for known, _ in self._history]
        if last_id not in ids:
            return None
        start = ids.index(last_id) + 1
        return [encoded for _, encoded in list(self._history)[start:]]

    def close(self) -> None:
        """End every reader, so that the server can stop."""
        for reader in self._readers:
            reader.close()


def encode(data: Any, *, event: str = "", id: str = "") -> bytes:  # noqa: A002 - the standard's own word
    """One event of ``text/event-stream``; JSON keeps line ends out of its data line."""
    lines = [f"id: {id}"] if id else []
    lines += [f"event: {event}"] if event else []
    lines.append("data: " + json.dumps(data, ensure_ascii=False))
    return ("\n".join(lines) + "\n\n").encode()


async def sse_response(
    request: web.Request,
    hub: Hub,
    snapshot: Callable[[], Any],
    *,
    heartbeat: float = HEARTBEAT,
) -> web.StreamResponse:
    """Stream ``hub`` to one client until either side ends it.

    The client gets what it missed since its ``Last-Event-ID``, else ``snapshot()`` as an event named "snapshot".
    """
    response = web.StreamResponse(headers={**PAGE_HEADERS, hdrs.CONTENT_TYPE: "text/event-stream"})
    with hub.subscribe(partial(_abort, request)) as reader:
        missed = hub.since(request.headers.get("Last-Event-ID", ""))
        opening = [encode(snapshot(), event="snapshot", id=hub.last_id)] if missed is None else missed
        await response.prepare(request)
        with suppress(ConnectionError):
            await response.write(b"".join(opening))
            async for event in reader.events(heartbeat):
                await response.write(event)
    return response


def _abort(request: web.Request) -> None:
    if request.transport is not None:
        request.transport.abort()
