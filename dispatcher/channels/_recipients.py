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
from collections import Counter, OrderedDict, deque
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import timedelta
from pathlib import Path
from typing import Annotated, Self

from pydantic import Field, model_validator

from dispatcher.channels.base import ChannelSettings
from dispatcher.model.delivery import Outcome, Reason, Result
from dispatcher.model.errors import Fenced
from dispatcher.telemetry import logger, redact

log = logger("recipients")

Speak = Callable[[Sequence[str]], Awaitable["Said"]]

NUMBER = r"\+[1-9]\d{6,14}"  # E.164

Number = Annotated[str, Field(pattern=f"^{NUMBER}$")]

_MOST = 50_000
_LARGEST_FILE = 4 * 1024 * 1024
_POSTS = 64  # whose recipients are remembered
_MOST_DIVISIONS = 32  # of refused chunks in one attempt
_WORDS = {
    Result.ACCEPTED: "accepted", Result.PERMANENT: "refused", Result.TEMPORARY: "to be tried again",
    Result.IN_DOUBT: "in doubt",
}  # fmt: skip
_WEIGHTS = {Result.ACCEPTED: 0, Result.TEMPORARY: 3, Result.PERMANENT: 4, Result.IN_DOUBT: 5}
_UNSENT = Outcome(result=Result.TEMPORARY, reason=Reason.CANCELLED)
_BY_NAME = frozenset({Reason.REJECTED, Reason.DUPLICATE})
_ABOUT_US = frozenset({Reason.AUTH, Reason.RATE_LIMITED, Reason.TOO_LONG})
_PERSONAL = re.compile(r"[^\s<>\"'=:]+@[^\s<>\"']+|\+?\d[\d /().-]{5,}\d")


class ListSettings(ChannelSettings):
    """Whom a channel writes to: a list in the settings, or a file with one on each line, read again when it changes."""

    address = ("recipients", "recipients_file")

    recipients: tuple[str, ...] = Field(default=(), max_length=_MOST)
    recipients_file: Path | None = Field(default=None, description="one on each line; # begins a remark")

    def wall_account(self) -> str:
        """Nobody on the list, but the secret that writes to them."""
        return self.token()

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
            raise ValueError(
                f"{file}: line {wrong[0]} names nobody" if wrong else f"{file} lists {len(found)} recipients"
            )
        return found


@dataclass(frozen=True, slots=True)
class Said:
    """What came of one request: ``named`` for people whom the answer names, ``rest`` for everyone else it was about.

    ``personal``: whatever was limited is limited for those people alone, so that the others go on.
    """

    named: Mapping[str, Outcome]
    rest: Outcome
    personal: bool = False


class Spread:
    """Sends posts to lists of people in chunks, several at once, and remembers whom each post has reached."""

    def __init__(self, chunk: int, at_once: int, *, divides: bool = False) -> None:
        """``chunk`` is how many people one request may name, ``at_once`` how many requests are under way together.

        ``divides``: a request that is refused as a whole, and so reached nobody, is made again in halves, so that one
        wrong number does not cost the others their warning.
        """
        self._chunk, self._at_once, self._divides = chunk, at_once, divides
        self._settled: OrderedDict[str, dict[str, Outcome]] = OrderedDict()

    async def send(self, key: str, recipients: Sequence[str], speak: Speak) -> Outcome:
        """Send to whom it has not reached yet; raises `Fenced` where a stop came before anyone may have read it."""
        settled = self.settled(key)
        if not any(_accepted(fate) for fate in settled.values()):
            settled.clear()  # nobody but the refused: who sends it again wants them tried again
        run = _Run(speak, dict(settled), settled, _MOST_DIVISIONS if self._divides else 0)
        run.add([recipient for recipient in recipients if recipient not in settled], self._chunk)
        async with asyncio.TaskGroup() as group:
            for _ in range(min(self._at_once, len(run.chunks))):
                group.create_task(run.work())
        if run.fenced and not any(_out(fate) for fate in run.fates.values()):
            raise Fenced("stopped before anyone was sent it")
        closed = all(recipient in settled for recipient in recipients)
        return verdict([run.fates.get(recipient, _UNSENT) for recipient in recipients], closed=closed)

    def settled(self, key: str) -> dict[str, Outcome]:
        """Who needs no further try of the post ``key``: accepted, or refused by name."""
        settled = self._settled.setdefault(key, {})
        self._settled.move_to_end(key)
        if len(self._settled) > _POSTS:
            self._settled.popitem(last=False)
        return settled


@dataclass(slots=True)
class _Run:
    """One attempt over all chunks. A refusal that is not about single people keeps further chunks from starting."""

    speak: Speak
    fates: dict[str, Outcome]
    settled: dict[str, Outcome]
    divisions: int
    chunks: deque[Sequence[str]] = field(default_factory=deque)
    fenced: bool = False
    halted: bool = False

    def add(self, recipients: Sequence[str], size: int) -> None:
        """Queue ``recipients`` in chunks of at most ``size``."""
        self.chunks.extend(recipients[start : start + size] for start in range(0, len(recipients), size))

    async def work(self) -> None:
        """Take chunk after chunk; several of these share them out. What is known stays known if this is cancelled."""
        while self.chunks and not self.halted:
            chunk = self.chunks.popleft()
            try:
                self._note(chunk, await self.speak(chunk))
            except Fenced:
                self.fenced = self.halted = True

    def _note(self, chunk: Sequence[str], said: Said) -> None:
        alone = len(chunk) == 1
        if self.divisions and not alone and not said.named and _refused(said.rest):
            self.divisions -= 1
            self.add(chunk, (len(chunk) + 1) // 2)
            return
        for recipient in chunk:
            fate = self.fates[recipient] = said.named.get(recipient, said.rest)
            by_name = alone or recipient in said.named
            if _accepted(fate) or (_refused(fate) and by_name):
                self.settled[recipient] = fate
            elif not said.personal and (recipient not in said.named or fate.reason in _ABOUT_US):
                self.halted = True


def verdict(fates: Sequence[Outcome], *, closed: bool) -> Outcome:
    """What the fates of all recipients make of the delivery; its detail counts them and names nobody.

    ``closed`` says that each of them was accepted or refused by name.
    """
    worst = max(fates, key=_weight)
    detail = ": ".join(part for part in (_counts(fates), worst.detail) if part)
    accepted = next((fate for fate in fates if _accepted(fate)), None)
    if accepted and closed:
        return replace(accepted, detail=detail)
    result = Result.IN_DOUBT if any(_out(fate) for fate in fates) else _hope(fates)
    return Outcome(result=result, reason=worst.reason, detail=detail, retry_after=_longest_wait(fates))


def discreet(text: str) -> str:
    """``text`` without the numbers and addresses of people, which providers like to repeat in what they refuse.

    Secrets go first: of one that holds such a number the rest would not be known again.
    """
    return _PERSONAL.sub("…", redact(text))


def _hope(fates: Sequence[Outcome]) -> Result:
    again = any(fate.result is Result.TEMPORARY and fate is not _UNSENT for fate in fates)
    return Result.TEMPORARY if again or all(fate is _UNSENT for fate in fates) else Result.PERMANENT


def _longest_wait(fates: Sequence[Outcome]) -> timedelta | None:
    return max((fate.retry_after for fate in fates if fate.retry_after is not None), default=None)


def _weight(fate: Outcome) -> int:
    """How bad a fate is; the worst stands for all."""
    if fate is _UNSENT:
        return 1
    return 2 if _refused(fate) else _WEIGHTS[fate.result]


def _counts(fates: Sequence[Outcome]) -> str:
    """As in "3 of 5 accepted, 2 of 5 refused"; one recipient needs no counting."""
    found = Counter("unsent" if fate is _UNSENT else _WORDS[fate.result] for fate in fates)
    return ", ".join(f"{count} of {len(fates)} {word}" for word, count in found.items()) if len(fates) > 1 else ""


def _accepted(fate: Outcome) -> bool:
    return fate.result is Result.ACCEPTED


def _refused(fate: Outcome) -> bool:
    """Refused for what it is or for whom it is to; where that is one person, it says nothing about the others."""
    return fate.result is Result.PERMANENT and fate.reason in _BY_NAME


def _out(fate: Outcome) -> bool:
    return fate.result in (Result.ACCEPTED, Result.IN_DOUBT)
