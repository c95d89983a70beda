"""Time as a value that is handed in: nobody below asks the machine for it."""

from __future__ import annotations

import time
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Protocol


class Clock(Protocol):
    """Tells the time of day; intervals are measured by the event loop's own monotonic time."""

    def now(self) -> datetime:
        """The current time, aware, in UTC."""


def _wall() -> datetime:
    return datetime.now(UTC)


def _steady() -> float:
    """Seconds that nobody can set; they count while the machine sleeps, so that nothing is said too late after it."""
    return time.clock_gettime(time.CLOCK_BOOTTIME)


class SystemClock:
    """The machine's clock at some moment, and from then on the time that really passes, however that clock is set.

    Whoever sets it an hour back or a day ahead moves no retry and no deadline of what is under way; `settle` follows.
    """

    def __init__(self, wall: Callable[[], datetime] = _wall, steady: Callable[[], float] = _steady) -> None:
        """``wall`` is the machine's clock, ``steady`` counts seconds."""
        self._wall, self._steady = wall, steady
        self._began, self._since = wall(), steady()

    def now(self) -> datetime:
        """The current time, aware, in UTC."""
        return self._began + timedelta(seconds=self._steady() - self._since)

    def settle(self) -> timedelta:
        """Take over what the machine's clock says by now, and how much later that is; for when nothing waits for its time."""
        wall = self._wall()
        jump = wall - self.now()
        self._began, self._since = wall, self._steady()
        return jump
