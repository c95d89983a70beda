"""How many strangers are heard in a second, so that no crowd of them takes the journal's time from alerts."""

from __future__ import annotations

import time
from collections.abc import Callable


class Brake:
    """So many at once, and so many more each second; who they are makes no difference, for behind a proxy nobody knows."""

    def __init__(
        self, at_once: int = 100, each_second: float = 20.0, monotonic: Callable[[], float] = time.monotonic
    ) -> None:
        """Full at the beginning."""
        self._most, self._rate, self._monotonic = float(at_once), each_second, monotonic
        self._left, self._seen = self._most, monotonic()

    def lets_through(self) -> bool:
        """Whether one more may pass now, which counts as passing."""
        now = self._monotonic()
        self._left = min(self._most, self._left + (now - self._seen) * self._rate)
        self._seen = now
        if self._left < 1:
            return False
        self._left -= 1
        return True
