"""A flood of bad events must not flood the phones: so many pages of a kind are sent, the rest is told in one."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import datetime, timedelta

from dispatcher.plan.pages import Cause, Page

MOST = 10  # pages of one cause about one source in any `SPAN`
SPAN = timedelta(minutes=1)
# None that an alert waits for people behind: each of those is told.
_DAMPED = frozenset({
    Cause.UNREADABLE, Cause.RETAINED, Cause.REFUSED, Cause.CONFLICT, Cause.NOTHING_MATCHED, Cause.NO_AREA,
    Cause.UNKNOWN_INCIDENT, Cause.SIGNATURE,
})  # fmt: skip


@dataclass(slots=True)
class _Window:
    began: datetime
    sent: set[str] = field(default_factory=set)
    kept_back: set[str] = field(default_factory=set)


@dataclass(slots=True)
class Damper:
    """Counts pages by cause and source. What is kept back is journaled all the same, and counted in the next summary.

    One that is asked about again, because it could not be written or came twice, gets the same answer and counts once.
    """

    _windows: dict[tuple[Cause, str], _Window] = field(default_factory=dict)

    def admits(self, page: Page, source: str, key: str, now: datetime) -> bool:
        """Whether ``page`` about ``source`` is sent by itself; ``key`` is the same whenever it is the same page."""
        if page.cause not in _DAMPED:
            return True
        window = self._windows.setdefault((page.cause, source), _Window(now))
        admitted = key in window.sent or (len(window.sent) < MOST and key not in window.kept_back)
        (window.sent if admitted else window.kept_back).add(key)
        return admitted

    def summaries(self, now: datetime) -> Iterator[tuple[Page, str]]:
        """A page with a key for everything that was kept back in spans that are over."""
        for (cause, source), window in list(self._windows.items()):
            if timedelta(0) <= now - window.began < SPAN:  # or the clock went back
                continue
            if window.kept_back:
                line = f"{len(window.kept_back)} more from {source} since {window.began:%H:%M:%S} UTC, not paged one by one"
                yield Page(cause, (line,)), f"more/{cause}/{source}/{window.began.isoformat()}"
            del self._windows[cause, source]  # only now: a summary that could not be written is told again
