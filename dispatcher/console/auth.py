"""Who is asking: roles, bearer tokens, one-time login tickets, and the brake on those who guess.

Tokens have 256 random bits, so their plain SHA-256 is a safe thing to keep. Nothing here knows HTTP.
"""

from __future__ import annotations

import hashlib
import hmac
import secrets
import time
from collections import defaultdict, deque
from collections.abc import Callable
from dataclasses import dataclass, field
from enum import StrEnum
from pathlib import Path
from typing import Annotated, Self

from pydantic import AfterValidator, Field, model_validator

from dispatcher.documents import read_yaml, validated
from dispatcher.model.errors import ConfigurationError
from dispatcher.model.people import tidy
from dispatcher.model.playbook import Strict
from dispatcher.model.source import person_of
from dispatcher.telemetry import logger

log = logger("console")

TICKET_SECONDS = 600.0
FAILURES, FAILURE_SECONDS = 10, 60.0
_ADDRESSES = 10_000


class ConsoleSettings(Strict):
    """Where the HTTP interface listens and whom it knows."""

    host: str = "127.0.0.1"
    port: int = Field(default=8080, ge=0, le=65535)
    tokens_file: Path | None = None
    public_url: str = Field(
        default="",
        pattern=r"^(https?://[^\s/?#@]+(/[^\s?#]*[^\s?#/])?)?$",
        description="as phones reach it, for links in pages",
    )


class Role(StrEnum):
    """What somebody may do. People: each role does all that the ones before it do. A source only reports events."""

    VIEWER = "viewer"
    OPERATOR = "operator"
    SUPERVISOR = "supervisor"
    SOURCE = "source"

    def may(self, needed: Role) -> bool:
        """Whether this role does what ``needed`` is asked for; who operates may report, too."""
        return needed in _MAY[self]


_MAY = {
    Role.VIEWER: {Role.VIEWER},
    Role.OPERATOR: {Role.VIEWER, Role.OPERATOR, Role.SOURCE},
    Role.SUPERVISOR: set(Role),
    Role.SOURCE: {Role.SOURCE},
}


@dataclass(frozen=True, slots=True)
class Identity:
    """Somebody we know: a person, or the source that a machine reports as."""

    role: Role
    person: str = ""
    source: str = ""


class Entry(Strict):
    """One token of the file, by its SHA-256: a source's names the source, any other a person."""

    id: str
    sha256: str = Field(pattern=r"^[0-9a-f]{64}$")
    role: Role
    person: Annotated[str, AfterValidator(tidy)] | None = None
    source: str | None = None
    created_at: str = ""

    @property
    def identity(self) -> Identity:
        """Whom this token stands for."""
        return Identity(self.role, self.person or "", self.source or "")

    @model_validator(mode="after")
    def _named(self) -> Self:
        """A machine must not be able to speak as a person."""
        named, other = (self.source, self.person) if self.role is Role.SOURCE else (self.person, self.source)
        if not named or other:
            raise ValueError("role source needs a source, every other role a person, and neither the other's")
        if self.source and person_of(self.source) is not None:
            raise ValueError(f"source {self.source} is named like a person")
        return self


class TokensFile(Strict):
    """The file of token hashes, as `dispatcher token create` writes it."""

    tokens: tuple[Entry, ...] = ()

    @model_validator(mode="after")
    def _one_spelling(self) -> Self:
        """Releases count persons: one human under two spellings would count twice."""
        spellings: dict[str, str] = {}
        for entry in self.tokens:
            if entry.person and spellings.setdefault(entry.person.casefold(), entry.person) != entry.person:
                raise ValueError(f"{entry.person!r} and {spellings[entry.person.casefold()]!r}: spell one person alike")
        return self


def sha256(secret: str) -> str:
    """The digest that a secret is known by."""
    return hashlib.sha256(secret.encode(errors="surrogateescape")).hexdigest()


class Tokens:
    """Bearer tokens: those of a file, read again whenever it changes, and those added for this run only."""

    def __init__(self, path: Path | None = None) -> None:
        """A file that does not exist holds no tokens; a broken one changes nothing and is logged."""
        self._path = path
        self._filed: dict[str, Identity] = {}
        self._added: dict[str, Identity] = {}
        self._stamp: tuple[int, ...] | None = None
        self._reload()

    def add(self, token: str, role: Role | str, person: str = "", source: str = "") -> None:
        """Know ``token`` until this process ends; raises `ValueError` where the names do not go with the role."""
        entry = Entry(id="added", sha256=sha256(token), role=Role(role), person=person or None, source=source or None)
        self._added[entry.sha256] = entry.identity

    def find(self, token: str) -> Identity | None:
        """Whom ``token`` stands for; every known hash is compared, in constant time."""
        self._reload()
        wanted, found = sha256(token), None
        for known, identity in (*self._filed.items(), *self._added.items()):
            if hmac.compare_digest(known, wanted):
                found = identity
        return found

    def vouches(self, person: str, role: Role) -> bool:
        """Whether somebody by this name still has a token for this role: else a session that began with one is over."""
        self._reload()
        known = (*self._filed.values(), *self._added.values())
        return any(identity.person == person and identity.role.may(role) for identity in known)

    def _reload(self) -> None:
        stamp = _stamp(self._path)
        if stamp == self._stamp:
            return
        self._stamp = stamp
        if self._path is None or stamp is None:
            self._filed = {}
            return
        try:
            entries = validated(read_yaml(self._path.read_text(), str(self._path)), TokensFile).tokens
        except (OSError, ValueError, ConfigurationError) as error:
            log.error("tokens_unreadable", file=str(self._path), error=str(error))  # noqa: TRY400 - no trace: secrets
            return
        self._filed = {entry.sha256: entry.identity for entry in entries}
        log.info("tokens_read", file=str(self._path), tokens=len(self._filed))


def _stamp(path: Path | None) -> tuple[int, ...] | None:
    """What changes whenever the file does, whether it is written over or replaced; None where there is none."""
    try:
        found = path.stat() if path else None
    except OSError:
        return None
    return (found.st_mtime_ns, found.st_size, found.st_ino) if found else None


@dataclass(slots=True)
class Tickets:
    """One-time login links, in memory: good for ten minutes and one use."""

    monotonic: Callable[[], float] = time.monotonic
    _issued: dict[str, tuple[Identity, float]] = field(default_factory=dict)

    def issue(self, person: str, role: Role | str) -> str:
        """A ticket that opens one session for ``person``."""
        ticket = secrets.token_urlsafe(32)
        self._issued[sha256(ticket)] = (Identity(Role(role), person), self.monotonic() + TICKET_SECONDS)
        return ticket

    def redeem(self, ticket: str) -> Identity | None:
        """Whom ``ticket`` is for; None where it was used, is too old, or never was one."""
        identity, until = self._issued.pop(sha256(ticket), (None, 0.0))
        return identity if self.monotonic() < until else None


@dataclass(slots=True)
class Throttle:
    """Counts wrong credentials by address: ten in a minute are enough.

    Right ones are never refused: 256 bits cannot be guessed, and an alarm must not wait because of a neighbour.
    """

    monotonic: Callable[[], float] = time.monotonic
    _failures: dict[str, deque[float]] = field(default_factory=lambda: defaultdict(lambda: deque(maxlen=FAILURES)))

    def failed(self, address: str) -> bool:
        """Count one more; whether that is too many."""
        if len(self._failures) >= _ADDRESSES:
            self._failures.clear()
        recent, now = self._failures[address], self.monotonic()
        too_many = len(recent) == FAILURES and now - recent[0] < FAILURE_SECONDS
        if not too_many:
            recent.append(now)
        return too_many
