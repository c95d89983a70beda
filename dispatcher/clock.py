"""Time as a value that is handed in: nobody below asks the machine for it."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Protocol


class Clock(Protocol):
    """Tells the time of day; intervals are measured by the event loop's own monotonic time."""

    def now(self) -> datetime:
        """The current time, aware, in UTC."""


class SystemClock:
    """The machine's clock."""

    def now(self) -> datetime:
        """The current time, aware, in UTC."""
        return datetime.now(UTC)
