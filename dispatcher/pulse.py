"""The event loop's pulse: how late it is, measured all the time, and what holds it where it stands still.

The loop ticks; a thread of its own looks whether it does, and says at which line of the program it does not. Nothing
in here repairs anything: whoever blocks the loop blocks every channel, so it must be seen by name.
"""

from __future__ import annotations

import asyncio
import sys
import threading
import time
from collections import deque
from collections.abc import Callable
from pathlib import Path
from traceback import FrameSummary, StackSummary, walk_stack
from typing import Final

import dispatcher
from dispatcher.telemetry import LOOP_LAG, logger

log = logger("pulse")

TICK_SECONDS: Final = 0.05
LATE_SECONDS: Final = 0.25  # from here on the loop stands still and does not just work
DEEPEST: Final = 12  # frames of a stack that are told
_HOME: Final = str(Path(dispatcher.__file__).parent)


class Pulse:
    """Ticks as long as the loop runs, and remembers the minute's stalls."""

    def __init__(self, monotonic: Callable[[], float] = time.monotonic) -> None:
        """``monotonic`` counts seconds; the loop and the thread that watches it ask the same one."""
        self._monotonic = monotonic
        self._ticked_at = monotonic()
        self._stalls: deque[tuple[float, float]] = deque(maxlen=int(60 / LATE_SECONDS))  # ended at, seconds
        self._held_by, self._last_held_by = "", ""

    async def run(self) -> None:
        """Tick, and be watched, until cancelled."""
        over = threading.Event()
        loop = threading.get_ident()
        threading.Thread(target=self._watch, args=(loop, over), name="pulse", daemon=True).start()
        self._ticked_at = self._monotonic()
        try:
            while True:
                await asyncio.sleep(TICK_SECONDS)
                self.tick()
        finally:
            over.set()

    def tick(self) -> None:
        """The loop is here; how much later than it should be is measured."""
        now = self._monotonic()
        lag, self._ticked_at = max(0.0, now - self._ticked_at - TICK_SECONDS), now
        LOOP_LAG.observe(lag)
        if lag >= LATE_SECONDS:
            self._last_held_by, self._held_by = self._held_by, ""
            self._stalls.append((now, lag))
            log.warning("loop_stood_still", seconds=round(lag, 3), held_by=self._last_held_by)

    def stood_still(self, within: float) -> float:
        """Seconds of all stalls that ended ``within`` so many seconds."""
        return sum(self._recent(within))

    @property
    def steady(self) -> bool:
        """Whether the loop can be relied on: of the last ten seconds it stood still for less than two."""
        return self.stood_still(10) < 2

    @property
    def trouble(self) -> str:
        """What to page: of the last minute five seconds lost at once or ten in all, and to what; else empty.

        A burst of posts keeps a small machine busy for shorter than that, and is nothing to wake somebody for.
        """
        lost = self.stood_still(60)
        if lost < 10 and max(self._recent(60), default=0) < 5:
            return ""
        return f"stood still for {lost:.0f} s of the last minute, last in {self._last_held_by or 'an unknown place'}"

    def _recent(self, within: float) -> list[float]:
        now = self._monotonic()
        return [seconds for ended_at, seconds in self._stalls if now - ended_at <= within]

    def _watch(self, loop: int, over: threading.Event) -> None:
        """On a thread of its own: tell where thread ``loop`` is when it does not tick, again whenever that has doubled."""
        patience = LATE_SECONDS
        while not over.wait(TICK_SECONDS):
            late = self._monotonic() - self._ticked_at - TICK_SECONDS
            if late < LATE_SECONDS:
                patience = LATE_SECONDS
            elif late >= patience:
                patience = 2 * late
                self._tell(loop, late)

    def _tell(self, loop: int, late: float) -> None:
        frame = sys._current_frames().get(loop)  # noqa: SLF001 - documented; the only look into another thread
        stack = StackSummary.extract(walk_stack(frame), limit=DEEPEST, lookup_lines=False) if frame else []
        ours = next((line for line in stack if line.filename.startswith(_HOME)), None)
        self._held_by = _place(ours or stack[0]) if stack else ""
        log.error(
            "loop_blocked", seconds=round(late, 3), held_by=self._held_by, frames=[_place(line) for line in stack]
        )


def _place(line: FrameSummary) -> str:
    """Where a frame stands, such as ``dispatcher/channels/webhook.py:88 send``."""
    return f"{Path(*Path(line.filename).parts[-3:])}:{line.lineno} {line.name}"
