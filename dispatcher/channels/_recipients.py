"""One post to many people: sent in chunks, each with a fate of its own, and what all of them make of the delivery.

A delivery has one outcome, so the worst fate decides, within what is true of it as a whole:

- everyone accepted, or the rest refused by name (no such number, opted out): ACCEPTED, with the counts;
- anyone in doubt, or some accepted and the others not yet: IN_DOUBT, for a part of the audience has read it, and a
  follow-up must reach them whatever becomes of the rest;
- nobody accepted and none in doubt: TEMPORARY where any of them may be tried again, else PERMANENT.

Whoever has been accepted is not sent the same post again while the process lives, however often it is tried.
"""

from __future__ import annotations

import asyncio
import re
from collections import Counter, OrderedDict
from collections.abc import Awaitable, Callable, Iterator, Mapping, Sequence
from dataclasses import replace
from datetime import timedelta
from itertools import islice
from pathlib import Path
from typing import Self

from pydantic import Field, model_validator

from dispatcher.channels.base import ChannelSettings
from dispatcher.model.delivery import Outcome, Reason, Result
from dispatcher.model.errors import Fenced
from dispatcher.telemetry import logger

log = logger("recipients")

Fates = Mapping[str, Outcome]
Speak = Callable[[Sequence[str]], Awaitable[Fates]]

_MOST = 50_000
_LARGEST_FILE = 4 * 1024 * 1024
_POSTS = 64  # whose recipients are remembered
_UNSENT = Outcome(result=Result.TEMPORARY, reason=Reason.CANCELLED)
_BY_NAME = frozenset({Reason.REJECTED, Reason.DUPLICATE})
_PERSONAL = re.compile(r"[^\s<>\"'=:]+@[^\s<>\"']+|\+?\d[\d /().-]{5,}\d")


class ListSettings(ChannelSettings):
    """Whom a channel writes to: a list in the settings, or a file with one on each line, read again when it changes."""

    recipients: tuple[str, ...] = Field(default=(), max_length=_MOST)
    recipients_file: Path | None = Field(default=None, description="one on each line; # begins a remark")

    @model_validator(mode="after")
    def _one_list(self) -> Self:
        if bool(self.recipients) == (self.recipients_file is not None):
            raise ValueError("give recipients or recipients_file, one of them")
        return self


class Recipients:
    """Who is on the list right now. A file that has become wrong leaves the last good list in place."""

    def __init__(self, settings: ListSettings, valid: re.Pattern[str]) -> None:
        """Raises `OSError` or `ValueError`, which names the line and not the person, where there is no good list."""
        self._file, self._valid = settings.recipients_file, valid
        self._read_at = 0
        self._list = tuple(dict.fromkeys(settings.recipients))
        if self._file:
            self._read(self._file)

    def current(self) -> tuple[str, ...]:
        """Everyone, each once, in the order of the list."""
        if self._file:
            try:
                self._read(self._file)
            except (OSError, ValueError) as error:
                log.error("recipients_kept", file=str(self._file), error=str(error))  # noqa: TRY400 - no trace: people
        return self._list

    def _read(self, file: Path) -> None:
        state = file.stat()
        if state.st_mtime_ns == self._read_at:
            return
        if state.st_size > _LARGEST_FILE:
            raise ValueError(f"{file} has more than {_LARGEST_FILE} bytes")
        self._list = tuple(dict.fromkeys(self._lines(file)))
        self._read_at = state.st_mtime_ns

    def _lines(self, file: Path) -> list[str]:
        lines = [line.partition("#")[0].strip() for line in file.read_text(encoding="utf-8").splitlines()]
        wrong = [number for number, line in enumerate(lines, 1) if line and not self._valid.fullmatch(line)]
        found = [line for line in lines if line]
        if wrong or not 1 <= len(found) <= _MOST:
            raise ValueError(f"{file}: line {wrong[0]} names nobody" if wrong else f"{file} lists {len(found)} recipients")
        return found


class Spread:
    """Sends posts to lists of people in chunks, several at once, and remembers whom each post has reached."""

    def __init__(self, chunk: int, at_once: int) -> None:
        """``chunk`` is how many people one request may name."""
        self._chunk, self._at_once = chunk, at_once
        self._settled: OrderedDict[str, dict[str, Outcome]] = OrderedDict()

    async def send(self, key: str, recipients: Sequence[str], speak: Speak) -> Outcome:
        """Send to whom it has not reached yet; raises `Fenced` where a stop came before anyone may have read it."""
        settled = self.reached(key)
        if not any(_accepted(fate) for fate in settled.values()):
            settled.clear()  # nobody but the refused: a person who sends it again wants them tried again
        fates = dict(settled)
        due = [recipient for recipient in recipients if recipient not in settled]
        run = _Run(_chunks(due, self._chunk), speak, fates, settled)
        async with asyncio.TaskGroup() as group:
            for _ in range(min(self._at_once, len(due))):
                group.create_task(run.work())
        if run.fenced and not any(_out(fate) for fate in fates.values()):
            raise Fenced("stopped before anyone was sent it")
        return verdict([fates.get(recipient, _UNSENT) for recipient in recipients])

    def reached(self, key: str) -> dict[str, Outcome]:
        """Who needs no further try of the post ``key``: accepted, or refused by name."""
        settled = self._settled.setdefault(key, {})
        self._settled.move_to_end(key)
        if len(self._settled) > _POSTS:
            self._settled.popitem(last=False)
        return settled


class _Run:
    """One attempt over all chunks. The first refusal that is not about single people keeps further chunks from starting."""

    def __init__(self, chunks: Iterator[list[str]], speak: Speak, fates: dict[str, Outcome],
                 settled: dict[str, Outcome]) -> None:  # fmt: skip
        self._chunks, self._speak, self._fates, self._settled = chunks, speak, fates, settled
        self.fenced = self._halted = False

    async def work(self) -> None:
        """Take chunk after chunk; several of these share them out. What is known stays known if this is cancelled."""
        for chunk in self._chunks:
            try:
                said = await self._speak(chunk)
            except Fenced:
                self.fenced = self._halted = True
                return
            self._fates.update(said)
            self._settled.update({who: fate for who, fate in said.items() if _accepted(fate) or _refused(fate)})
            self._halted = self._halted or not all(_accepted(fate) or _refused(fate) for fate in said.values())
            if self._halted:
                return


def verdict(fates: Sequence[Outcome]) -> Outcome:
    """What the fates of all recipients make of the delivery; its detail counts them and names nobody."""
    if len(fates) == 1:
        return fates[0]
    worst = max(fates, key=_weight)
    accepted = next((fate for fate in fates if _accepted(fate)), None)
    detail = ": ".join(part for part in (_counts(fates), worst.detail) if part)
    if accepted and all(_accepted(fate) or _refused(fate) for fate in fates):
        return replace(accepted, detail=detail)
    result = Result.IN_DOUBT if any(_out(fate) for fate in fates) else _hope(fates)
    return Outcome(result=result, reason=worst.reason, detail=detail, retry_after=_longest_wait(fates))


def discreet(text: str) -> str:
    """``text`` without the numbers and addresses of people, which providers like to repeat in what they refuse."""
    return _PERSONAL.sub("…", text)


def _hope(fates: Sequence[Outcome]) -> Result:
    again = any(fate.result is Result.TEMPORARY and fate is not _UNSENT for fate in fates)
    return Result.TEMPORARY if again or all(fate is _UNSENT for fate in fates) else Result.PERMANENT


def _longest_wait(fates: Sequence[Outcome]) -> timedelta | None:
    return max((fate.retry_after for fate in fates if fate.retry_after is not None), default=None)


def _weight(fate: Outcome) -> int:
    if fate.result is Result.IN_DOUBT:
        return 5
    if fate.result is Result.PERMANENT:
        return 1 if _refused(fate) else 4
    return 0 if _accepted(fate) else 2 if fate is _UNSENT else 3


def _counts(fates: Sequence[Outcome]) -> str:
    words = ["accepted", "refused", "unsent", "to be tried again", "refused", "in doubt"]
    found = Counter(words[_weight(fate)] for fate in fates)
    return ", ".join(f"{found[word]} of {len(fates)} {word}" for word in dict.fromkeys(words) if found[word])


def _accepted(fate: Outcome) -> bool:
    return fate.result is Result.ACCEPTED


def _refused(fate: Outcome) -> bool:
    """Refused by name: another try of the same person is useless, and it says nothing about the others."""
    return fate.result is Result.PERMANENT and fate.reason in _BY_NAME


def _out(fate: Outcome) -> bool:
    return fate.result in (Result.ACCEPTED, Result.IN_DOUBT)


def _chunks(recipients: Sequence[str], size: int) -> Iterator[list[str]]:
    rest = iter(recipients)
    while chunk := list(islice(rest, size)):
        yield chunk
