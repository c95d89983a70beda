"""Runs the daemon and writes down where its threads spend their CPU time: ``sampler.py STACKS run CONFIG``.

A thread looks at all others every two milliseconds and books the CPU time that each has used since to the stack it is in,
so that waiting costs nothing. On SIGUSR1 the time booked so far is forgotten, on SIGUSR2 it is written, in microseconds, as
collapsed stacks: ``thread;outermost;...;innermost 123``.
"""

from __future__ import annotations

import signal
import sys
import threading
import time
from collections import Counter
from pathlib import Path
from types import FrameType

from dispatcher.cli import main

_EVERY = 0.002  # seconds


class Sampler(threading.Thread):
    """Books CPU nanoseconds by stack, until the process ends."""

    def __init__(self) -> None:
        super().__init__(name="sampler", daemon=True)
        self.booked: Counter[str] = Counter()
        self._used: dict[int, int] = {}

    def run(self) -> None:
        """Look, book, sleep."""
        sys.setswitchinterval(_EVERY / 4)  # a busy thread hands over soon enough to be seen where it is
        while True:
            time.sleep(_EVERY)
            names = {thread.ident: thread.name for thread in threading.enumerate() if thread is not self}
            for thread, frame in sys._current_frames().items():  # noqa: SLF001 - the documented way to see other threads
                if thread in names:
                    self._book(thread, names[thread], frame)

    def _book(self, thread: int, name: str, frame: FrameType) -> None:
        used = time.clock_gettime_ns(time.pthread_getcpuclockid(thread))
        spent = used - self._used.get(thread, used)
        self._used[thread] = used
        if spent:
            self.booked[f"{name};{_stack(frame)}"] += spent

    def write(self, path: Path) -> None:
        """Everything booked so far, whole at once."""
        lines = (f"{stack} {spent // 1000}\n" for stack, spent in self.booked.copy().items())
        path.with_suffix(".part").write_text("".join(lines))
        path.with_suffix(".part").rename(path)


def _stack(frame: FrameType | None) -> str:
    """Functions from the outermost to the innermost."""
    names: list[str] = []
    while frame is not None:
        names.append(f"{frame.f_globals.get('__name__', '?')}.{frame.f_code.co_qualname}")
        frame = frame.f_back
    return ";".join(reversed(names))


if __name__ == "__main__":
    sampler = Sampler()
    stacks = Path(sys.argv.pop(1))
    signal.signal(signal.SIGUSR1, lambda *_: sampler.booked.clear())
    signal.signal(signal.SIGUSR2, lambda *_: sampler.write(stacks))
    sampler.start()
    main()
