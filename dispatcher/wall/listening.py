"""Doubles that speak something else than HTTP: a server of tasks, all of which end with it."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager, suppress

Converse = Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]]

_LARGEST_LINE = 256 * 1024


@asynccontextmanager
async def listening_on(listening: socket.socket, converse: Converse) -> AsyncIterator[None]:
    """``converse`` with whoever connects to ``listening``; what a client breaks ends its own connection only."""
    tasks: set[asyncio.Task[None]] = set()

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """One connection, closed whatever ends it."""
        task = asyncio.current_task()
        assert task is not None
        tasks.add(task)
        task.add_done_callback(tasks.discard)
        try:
            with suppress(ConnectionError, EOFError, ValueError):
                await converse(reader, writer)
        finally:
            writer.close()

    server = await asyncio.start_server(serve, sock=listening, limit=_LARGEST_LINE)
    try:
        yield
    finally:
        server.close()
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
