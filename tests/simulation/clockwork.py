"""An event loop on virtual time: where nothing is ready it jumps to the next timer. It never sleeps and uses no thread."""

from __future__ import annotations

import asyncio
import selectors
from collections.abc import Callable, Mapping
from datetime import UTC, datetime, timedelta
from typing import Any

TURN = 1e-6  # seconds that one turn of the loop takes: without them, who asks again "is it time?" would ask for ever
START = datetime(2026, 11, 20, 9, 40, tzinfo=UTC)


class Stuck(Exception):
    """Nothing is ready and nothing is timed: this loop would wait for ever."""


class _Jumping(selectors.SelectSelector):
    """Watches no file: to wait for them is to let virtual time pass."""

    def __init__(self, jump: Callable[[float], None]) -> None:
        super().__init__()
        self._jump = jump

    def select(self, timeout: float | None = None) -> list[tuple[selectors.SelectorKey, int]]:
        """No file is ever ready; ``timeout`` seconds have passed."""
        if timeout is None:
            raise Stuck
        self._jump(timeout)
        return []


class VirtualLoop(asyncio.SelectorEventLoop):
    """Single-threaded and deterministic: what would run in a thread runs on the next turn."""

    def __init__(self) -> None:
        """Begins at 0 seconds; whatever a task or callback loses is kept in ``lost``."""
        self._now = 0.0
        self.lost: list[str] = []
        super().__init__(_Jumping(self._pass))
        self._clock_resolution = 1e-9
        self.set_exception_handler(lambda _, context: self.lost.append(_told(context)))

    def time(self) -> float:
        """Virtual seconds since the beginning."""
        return self._now

    def _pass(self, seconds: float) -> None:
        self._now += seconds + TURN

    def run_in_executor(self, executor: Any, func: Callable[..., Any], *args: Any) -> asyncio.Future[Any]:
        """Call ``func`` on the next turn."""
        return self.create_task(_called(func, *args))


async def _called(func: Callable[..., Any], *args: Any) -> Any:
    return func(*args)


def _told(context: Mapping[str, Any]) -> str:
    return f"{context['message']}: {context.get('exception')!r}"


class LoopClock:
    """The time of day on a loop's virtual time."""

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        """The day begins with the loop."""
        self._loop = loop

    def now(self) -> datetime:
        """Aware, in UTC."""
        return START + timedelta(seconds=self._loop.time())
