"""What judgement needs to know of a channel: who it reaches, what fits, what it can do. Never how it speaks."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime, timedelta
from enum import StrEnum
from typing import NewType

import regex

from dispatcher.model.cap import Realm, RegionId
from dispatcher.model.gsm import segments
from dispatcher.model.length import emoji_by_bytes, weighted

ChannelId = NewType("ChannelId", str)

PROBE_EVERY = timedelta(minutes=3)

_GRAPHEME = regex.compile(r"\X")
_URL = regex.compile(r"https?://[^\s<>\"']+")


class Audience(StrEnum):
    """Whom a channel reaches."""

    PUBLIC = "public"
    STAFF = "staff"
    PARTNER = "partner"


class ChannelState(StrEnum):
    """Whether a channel speaks. One that is retired says no new incident, only the end of what it still carries."""

    ACTIVE = "active"
    RETIRED = "retired"


class InDoubt(StrEnum):
    """What to do when bytes may have arrived and nobody knows."""

    RESEND = "resend"
    HOLD = "hold"


class AfterCorrection(StrEnum):
    """What becomes of an earlier post once its correction is out."""

    EDIT = "edit"
    DELETE = "delete"


class Power(StrEnum):
    """What a channel can do beyond sending; declared as data, never discovered by an exception."""

    EDIT = "edit"
    DELETE = "delete"
    FIND = "find"
    PROBE = "probe"
    KEY = "key"  # a repeat with the same key is not posted twice


class Unit(StrEnum):
    """What a provider counts when it limits a text's length."""

    CHARACTERS = "characters"
    UTF16 = "utf16"
    GRAPHEMES = "graphemes"
    BYTES = "bytes"
    SEGMENTS = "segments"  # SMS, one after another
    EMOJI_BYTES = "characters, emoji by their bytes"
    WEIGHTED = "weighted characters"


@dataclass(frozen=True, slots=True)
class TextLimit:
    """The longest text a channel takes, in its own unit.

    ``url_length`` is what every link counts where that is fixed. ``escaped`` are the signs that leave with a mark before
    them, which counts as well. ``most_bytes`` of UTF-8 are a second limit, so whichever is nearer is what is measured.
    ``spare`` is what a text leaves free where one of its forms can, for a line that somebody puts over it.
    """

    unit: Unit
    size: int
    url_length: int | None = None
    escaped: frozenset[str] = frozenset()
    most_bytes: int | None = None
    spare: int = 0

    def measure(self, text: str) -> int:
        """Length of ``text`` in this limit's unit."""
        if self.url_length is not None:
            text = _URL.sub("x" * self.url_length, text)
        length = self._length(text) + sum(sign in self.escaped for sign in text if self.escaped)
        return max(length, -(-len(text.encode()) * self.size // self.most_bytes)) if self.most_bytes else length

    def _length(self, text: str) -> int:
        if self.unit is Unit.SEGMENTS:
            return segments(text)
        if self.unit is Unit.BYTES:
            return len(text.encode())
        if self.unit is Unit.UTF16:
            return len(text.encode("utf-16-le")) // 2
        if self.unit is Unit.EMOJI_BYTES:
            return emoji_by_bytes(text)
        if self.unit is Unit.WEIGHTED:
            return weighted(text)
        if self.unit is Unit.GRAPHEMES:
            return sum(1 for _ in _GRAPHEME.finditer(text))
        return len(text)

    def fits(self, text: str) -> bool:
        """Whether ``text`` is within this limit."""
        return self.measure(text) <= self.size

    def leaves_room(self, text: str) -> bool:
        """Whether ``text`` is within this limit with the spare room left."""
        return self.measure(text) + self.spare <= self.size


@dataclass(frozen=True, slots=True)
class Rate:
    """So many posts in any ``seconds``, and not one more."""

    posts: int
    seconds: float


@dataclass(frozen=True, slots=True, kw_only=True)
class ChannelProfile:
    """One configured way out, as the plan sees it.

    ``regions`` empty means the whole territory. ``origin`` (scheme, host, port) owns connections; ``credential``, the
    name of a secret and never its value, owns rate limits. A channel posts its ``languages`` in one post, in order.
    """

    id: ChannelId
    kind: str
    title: str
    limit: TextLimit
    audience: Audience = Audience.PUBLIC
    regions: frozenset[RegionId] = frozenset()
    languages: tuple[str, ...] = ()
    realm: Realm = Realm.LIVE
    origin: str = ""
    credential: str = ""
    rate: Rate | None = None  # what its credential may post
    in_doubt: InDoubt = InDoubt.RESEND
    after_correction: AfterCorrection = AfterCorrection.EDIT
    powers: frozenset[Power] = field(default_factory=frozenset)
    official: bool = False  # the official warning desk: its tasks come first
    reach: int = 0  # people
    link: str = ""  # where a person posts
    instructions: str = ""
    state: ChannelState = ChannelState.ACTIVE
    successor: str = ""  # the channel that its readers find us on instead
    farewell: tuple[tuple[str, str], ...] = ()  # what it says to them for the last time: language and text
    probe_every: timedelta = PROBE_EVERY
    valid_until: datetime | None = None  # as people say of its credential, where the provider does not
    group: str = ""  # where it is an officer's own account: which group it belongs to,
    officer: str = ""  # and whose it is: nothing is said on it while they are assigned to the incident

    def serves(self, regions: frozenset[RegionId]) -> bool:
        """Whether this channel speaks for any of ``regions``."""
        return not self.regions or bool(self.regions & regions)
