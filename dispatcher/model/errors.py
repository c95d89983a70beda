"""Every error of the house.

::

    DispatcherError
    ├── ConfigurationError      a file is wrong: carries a list of Problem(file, line, field, message, remedy)
    ├── Unreadable              bytes from outside are no incident event (dead letter, acknowledged, paged)
    │   └── BadSignature        it had to be signed and is not, or not by whom it should be
    ├── CommandError            a person asked for something that cannot be done
    │   ├── NotFound            no such incident, alert, delivery, playbook
    │   ├── Conflict            the state of things forbids it (ended, digest changed, other content)
    │   ├── Forbidden           somebody else may do it, this person may not
    │   └── Invalid             the request itself is wrong: carries the field
    ├── IllegalTransition       a delivery was asked to move where the table does not allow: a bug, never input
    ├── Fenced                  a stop or an end was raised before the request head was written
    ├── ChannelError            an attempt failed: carries an Outcome-ready reason and what may have left
    └── JournalError
        ├── JournalBusy         somebody else holds the file: do not acknowledge, try again
        │   └── JournalFull     the disk is full: the same, and nothing new comes in
        ├── JournalBroken       any other I/O error: exit 70, restart, replay
        │   └── JournalDamaged  the file itself is malformed: a restart does not help, a backup does
        └── JournalLocked       a second daemon on the same file
"""

from __future__ import annotations

from dataclasses import dataclass


class DispatcherError(Exception):
    """Base of all errors that this package raises on purpose."""


@dataclass(frozen=True, slots=True)
class Problem:
    """One thing wrong in one file: where it is, what it is, what to do about it."""

    file: str
    line: int | None
    field: str
    message: str
    remedy: str = ""

    def __str__(self) -> str:
        """``file:line: field: message. Remedy.`` as printed to people."""
        place = self.file if self.line is None else f"{self.file}:{self.line}"
        text = f"{place}: {self.field}: {self.message}" if self.field else f"{place}: {self.message}"
        return f"{text} ({self.remedy})" if self.remedy else text


class ConfigurationError(DispatcherError):
    """One or more files are wrong; nothing was loaded from them."""

    def __init__(self, problems: list[Problem]) -> None:
        """Carry every problem found, not only the first."""
        self.problems = problems
        super().__init__("\n".join(str(problem) for problem in problems))


class Unreadable(DispatcherError):
    """Bytes from outside that are no incident event; ``field`` names the culprit where one is known."""

    def __init__(self, message: str, field: str = "") -> None:
        """Keep the field apart so that receipts can name it."""
        self.message, self.field = message, field
        super().__init__(f"{field}: {message}" if field else message)


class BadSignature(Unreadable):
    """An event that had to be signed is not, or not by whom it should be."""


class CommandError(DispatcherError):
    """A person's command cannot be carried out."""


class NotFound(CommandError):
    """The thing named does not exist."""


class Conflict(CommandError):
    """The state of things forbids the command."""


class Forbidden(CommandError):
    """It is beyond what this person may decide; the message says who may."""


class Invalid(CommandError):
    """The command itself is wrong; ``field`` names the part."""

    def __init__(self, message: str, field: str = "") -> None:
        """Keep the field apart so that problem+json can name it."""
        self.field = field
        super().__init__(message)


class IllegalTransition(DispatcherError):
    """A delivery was asked to move where the transition table does not allow."""


class Fenced(DispatcherError):
    """A stop or an end was raised before the request head was written; nothing left."""


class JournalError(DispatcherError):
    """The journal could not do its work."""


class JournalBusy(JournalError):
    """Nothing can be written at the moment: do not acknowledge, try again."""


class JournalFull(JournalBusy):
    """The disk is full."""


class JournalBroken(JournalError):
    """An I/O error on commit: what is on disk is unknown, so the process must end and replay."""


class JournalDamaged(JournalBroken):
    """The file is malformed: nothing is written on top of that, and only a backup helps."""


class JournalLocked(JournalError):
    """Another daemon holds this journal."""
