"""Answers that many ask for at once: made once for each state of the journal, off the event loop.

So a room full of screens costs hardly more than one, and looking never slows sending.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, Final

from aiohttp import web
from sqlalchemy import Connection

from dispatcher.console.views import encoded
from dispatcher.journal import queries
from dispatcher.journal.base import Journal
from dispatcher.journal.units import T, Unit

Look = Callable[[Connection], Mapping[str, Any] | None]


@dataclass(slots=True)
class Shared:
    """JSON texts by key, until the log of facts moves on."""

    journal: Journal
    _lock: asyncio.Lock = field(default_factory=asyncio.Lock)
    _seq: int = -1
    _texts: dict[str, str] = field(default_factory=dict)
    _long: asyncio.Lock = field(default_factory=asyncio.Lock)

    async def text(self, key: str, look: Look) -> str | None:
        """What ``look`` sees in the journal as it is now, as JSON; None where it finds nothing."""
        async with self._lock:
            seq = await self.journal.read(queries.last_seq)
            if seq != self._seq:
                self._seq, self._texts = seq, {}
            if key not in self._texts:
                found = await self.journal.read(lambda connection: _text(look(connection)))
                if found is None:
                    return None
                self._texts[key] = found
            return self._texts[key]

    async def long(self, look: Unit[T]) -> T:
        """What ``look`` finds in all of history; one at a time, for two would keep everybody else from the journal."""
        async with self._long:
            return await self.journal.read(look)


def _text(found: Mapping[str, Any] | None) -> str | None:
    return None if found is None else encoded(found)


SHARED: Final = web.AppKey("shared", Shared)
