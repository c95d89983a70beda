"""The moment an attempt leaves the house: the fence is checked and the departure noted right before the first byte."""

from __future__ import annotations

from collections.abc import Callable
from contextvars import ContextVar, Token
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


class departing:  # noqa: N801 - a context manager that is read like a verb; as a class it costs half as much
    """Watch the departure of everything this task sends inside the block; without a check the outer watch decides."""

    __slots__ = ("_departure", "_token")

    def __init__(self, check: Callable[[], None] | None = None) -> None:
        """``check`` raises `Fenced` where nothing may leave."""
        self._departure = Departure(check or leave_of(_current.get()))

    def __enter__(self) -> Departure:
        """Begin to watch."""
        self._token: Token[Departure | None] = _current.set(self._departure)
        return self._departure

    def __exit__(self, *_: object) -> None:
        """Whoever watched before does so again."""
        _current.reset(self._token)


def preparing() -> departing:
    """Watch what is sent before the post and shows nothing: the fence is asked, but the attempt does not leave by it."""
    outer = _current.get()
    return departing(outer.check if outer else lambda: None)


def leave_of(outer: Departure | None) -> Callable[[], None]:
    """The outer watch's departure, or nothing to ask."""
    return outer.leave if outer else lambda: None


def leave() -> None:
    """Note that the current attempt leaves now; does nothing where nobody watches."""
    departure = _current.get()
    if departure is not None:
        departure.leave()


def allowed() -> None:
    """Ask, before work is done for the current attempt, whether it may leave at all; raises `Fenced` where not."""
    departure = _current.get()
    if departure is not None:
        departure.check()
