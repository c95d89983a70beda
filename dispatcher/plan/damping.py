"""A flood of bad events must not flood the phones: so many pages of a kind are sent, the rest is told in one."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import datetime, timedelta

from dispatcher.plan.pages import Cause, Page

MOST = 10  # pages of one cause about one source in any `SPAN`
SPAN = timedelta(minutes=1)
_DAMPED = frozenset({
    Cause.UNREADABLE, Cause.RETAINED, Cause.REFUSED, Cause.CONFLICT, Cause.NOTHING_MATCHED, Cause.NO_AREA,
    Cause.UNKNOWN_INCIDENT, Cause.STALE, Cause.SIGNATURE,
})  # fmt: skip


@dataclass(slots=True)
class _Window:
    began: datetime
    sent: int = 0
    kept_back: int = 0


@dataclass(slots=True)
class Damper:
    """Counts pages by cause and source. What is kept back is journaled all the same, and counted in the next summary."""

    _windows: dict[tuple[Cause, str], _Window] = field(default_factory=dict)

    def admits(self, page: Page, source: str, now: datetime) -> bool:
        """Whether ``page`` about ``source`` is sent by itself."""
        if page.cause not in _DAMPED:
            return True
        window = self._windows.setdefault((page.cause, source), _Window(now))
        if window.sent < MOST:
            window.sent += 1
            return True
        window.kept_back += 1
        return False

    def summaries(self, now: datetime) -> Iterator[tuple[Page, str]]:
        """A page with a key for everything that was kept back in spans that are over."""
        for (cause, source), window in list(self._windows.items()):
            if now - window.began < SPAN:
                continue
            if window.kept_back:
                line = f"{window.kept_back} more from {source} since {window.began:%H:%M:%S} UTC, not paged one by one"
                yield Page(cause, (line,)), f"more/{cause}/{source}/{window.began.isoformat()}"
            del self._windows[cause, source]  # only now: a summary that could not be written is told again
