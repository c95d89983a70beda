"""The moment an attempt leaves the house: the fence is checked and the departure noted right before the first byte."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass


@dataclass(slots=True)
class Departure:
    """One attempt on its way out. ``left`` turns true when the first request head is about to be written."""

    check: Callable[[], None]
    left: bool = False

    def leave(self) -> None:
        """Call synchronously before the first byte; raises `Fenced` when a stop or an end came first."""
        self.check()
        self.left = True


_current: ContextVar[Departure | None] = ContextVar("departure", default=None)


@contextmanager
def departing(check: Callable[[], None] | None = None) -> Iterator[Departure]:
    """Watch the departure of everything this task sends inside the block; without a check the outer watch decides."""
    departure = Departure(check or leave_of(_current.get()))
    token = _current.set(departure)
    try:
        yield departure
    finally:
        _current.reset(token)


def leave_of(outer: Departure | None) -> Callable[[], None]:
    """The outer watch's departure, or nothing to ask."""
    return outer.leave if outer else lambda: None


def leave() -> None:
    """Note that the current attempt leaves now; does nothing where nobody watches."""
    departure = _current.get()
    if departure is not None:
        departure.leave()
