"""Incident event, JSON v1: a strict reader of bytes with lenient fields, and what is known of an incident so far.

Strict: size, depth, UTF-8, one meaning only (no duplicate keys, no NaN, no lone surrogates).
Lenient: what is unknown or odd in a field is kept, warned about and never a reason to refuse an alarm.
"""

from __future__ import annotations

import hashlib
import json
import math
import re
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from enum import StrEnum
from itertools import accumulate
from typing import Any, NoReturn, TypeVar

import regex

from dispatcher.model.account import EVERYBODY, officers
from dispatcher.model.cap import Area, Certainty, MsgType, Severity, Status, Urgency
from dispatcher.model.channel import ChannelId
from dispatcher.model.delivery import AlertId, IncidentId
from dispatcher.model.errors import Unreadable
from dispatcher.model.playbook import PlaybookId

MAX_BYTES = 256 * 1024
MAX_DEPTH = 32
MAX_PLACE = 80
MAX_TEXT = 2_000
MAX_LIST = 50
MAX_REGIONS = 1_000
MAX_NUMBER = 10**18
MAX_WARNINGS = 20

KNOWN = frozenset({
    "v", "id", "source", "incident", "msg_type", "status", "kind", "sent", "place", "area", "severity", "urgency",
    "certainty", "expires", "sequence", "facts", "reason", "playbooks", "assigned",
})  # fmt: skip

_UNSEEN = regex.compile(r"[\p{Cc}\p{Cf}\p{Zl}\p{Zp}]+")  # controls, bidi marks, zero-width characters
# Everything but brackets: strings, also open ones, and what stands between.
_NO_BRACKETS = re.compile(r'(?:"(?:[^"\\]++|\\.?)*+"?|[^"\[\]{}]++)++', re.DOTALL)
_HALF = re.compile(r"\\u[dD][89a-fA-F]")  # only so can half of a surrogate pair be written in UTF-8
_STEPS = {"[": 1, "{": 1, "]": -1, "}": -1}
_E = TypeVar("_E", bound=StrEnum)


@dataclass(frozen=True, slots=True, kw_only=True)
class IncidentEvent:
    """One message about an incident, keyed by (source, id). ``warnings`` say what was odd and how it was taken."""

    id: str
    source: str
    incident: IncidentId
    msg_type: MsgType
    status: Status
    kind: str
    sent: datetime
    place: str = ""
    area: Area = field(default_factory=Area)
    severity: Severity | None = None
    urgency: Urgency | None = None
    certainty: Certainty | None = None
    expires: datetime | None = None
    sequence: int | None = None
    facts: Mapping[str, Any] = field(default_factory=dict)
    reason: str = ""
    playbooks: tuple[PlaybookId, ...] = ()
    assigned: tuple[str, ...] = ()  # officers at work on it; `EVERYBODY` where that could not be read
    digest: str = ""
    unknown: Mapping[str, Any] = field(default_factory=dict)
    warnings: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class LaneHistory:
    """What one channel has carried of an incident: certainly, or possibly; ``ended``: the last word on it was an end.

    ``called``: it stands in for one that failed, and is about to speak.
    """

    carried: bool = False
    may_have_carried: bool = False
    ended: bool = False
    called: bool = False

    @property
    def reached(self) -> bool:
        """Whether anybody may have read anything there."""
        return self.carried or self.may_have_carried

    def beside(self, other: LaneHistory) -> LaneHistory:
        """The same channel, with what it has carried of two incidents."""
        spoke = [lane for lane in (self, other) if lane.reached]
        ended = bool(spoke) and all(lane.ended for lane in spoke)
        return LaneHistory(
            carried=self.carried or other.carried, may_have_carried=self.may_have_carried or other.may_have_carried,
            ended=ended, called=self.called or other.called,
        )  # fmt: skip


@dataclass(frozen=True, slots=True)
class Neighbour:
    """Another open incident, as far as it matters to whoever asks whether two reports are one."""

    id: IncidentId
    playbook: PlaybookId
    place: str
    regions: tuple[str, ...]
    updated_at: datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class IncidentHistory:
    """What the journal knows of an incident before a new event is planned. ``revision`` 0 means never heard of."""

    id: IncidentId
    revision: int = 0
    open: bool = False
    ended: bool = False  # the last thing that went out was an end
    playbook: PlaybookId | None = None  # the one that speaks
    covered: tuple[PlaybookId, ...] = ()
    kind: str = ""
    place: str = ""
    regions: tuple[str, ...] = ()
    severity: Severity | None = None
    facts: Mapping[str, Any] = field(default_factory=dict)
    lanes: Mapping[ChannelId, LaneHistory] = field(default_factory=dict)
    alerts: tuple[AlertId, ...] = ()
    neighbours: tuple[Neighbour, ...] = ()
    stops: tuple[str, ...] = ()  # what is stopped now, in words
    read: bool = False  # a person has triggered or released an alert of it, and so knows the place
    withdrawn: bool = False  # a source took it back before anything was said about it
    assigned: frozenset[str] = frozenset()  # officers who were ever named as being at work on it

    @property
    def carriers(self) -> frozenset[ChannelId]:
        """Channels that carried, or may have carried, a text of this incident and no end since."""
        return frozenset(c for c in self.reached if not self.lanes[c].ended)

    @property
    def reached(self) -> frozenset[ChannelId]:
        """Channels that ever carried, or may have carried, a text of this incident."""
        return frozenset(c for c, lane in self.lanes.items() if lane.reached)

    @property
    def called(self) -> frozenset[ChannelId]:
        """Channels that stand in for others and are about to speak: a later text goes there as well."""
        return frozenset(c for c, lane in self.lanes.items() if lane.called)

    def with_lanes_of(self, other: IncidentHistory) -> IncidentHistory:
        """This incident as it is once ``other`` is part of it."""
        lanes = {c: self._lane(c).beside(other._lane(c)) for c in {**self.lanes, **other.lanes}}
        return replace(self, lanes=lanes, assigned=self.assigned | other.assigned)

    def _lane(self, channel: ChannelId) -> LaneHistory:
        return self.lanes.get(channel, LaneHistory())


def clean(text: str, limit: int = MAX_TEXT) -> str:
    """``text`` without invisible characters and with single spaces; empty when longer than ``limit`` characters."""
    seen = text if text.isprintable() else _UNSEEN.sub(" ", text)  # what is printable has nothing unseen in it
    text = " ".join(seen.split())
    return text if len(text) <= limit else ""


def visible(text: str, limit: int = 60) -> str:
    """The beginning of ``text`` on one line, a mark in the place of everything that cannot be seen or is no character."""
    return "".join(char if char.isprintable() else "�" for char in text[:limit])


def read_json(payload: bytes) -> dict[str, Any]:
    """One JSON object of at most 256 KiB and 32 levels with one meaning only; raises `Unreadable`."""
    if len(payload) > MAX_BYTES:
        raise Unreadable(f"{len(payload)} bytes, at most {MAX_BYTES} are read")
    try:
        text = payload.decode("utf-8")
    except UnicodeDecodeError as error:
        raise Unreadable(f"not UTF-8 at byte {error.start}") from None
    if _deepest(text) > MAX_DEPTH:
        raise Unreadable(f"nested deeper than {MAX_DEPTH} levels")
    try:
        data = json.loads(text, object_pairs_hook=_one_meaning, parse_float=_finite, parse_constant=_no_constant)
    except Unreadable:
        raise
    except (ValueError, RecursionError) as error:
        raise Unreadable(f"not JSON: {error}") from None
    if not isinstance(data, dict):
        raise Unreadable("not a JSON object")
    if _HALF.search(text):
        _no_surrogates(data)
    return data


def canonical_digest(data: Mapping[str, Any]) -> str:
    """SHA-256 of the content, whatever the order of keys and the white space it came with."""
    return hashlib.sha256(json.dumps(data, sort_keys=True, separators=(",", ":")).encode()).hexdigest()


def parse_event(payload: bytes, *, source: str, received_at: datetime) -> IncidentEvent:
    """The incident event in ``payload``; ``source`` is who the transport says sent it. Raises `Unreadable`."""
    data = read_json(payload)
    if data.get("v") != 1:
        raise Unreadable(f"must be 1, the version this reads, not {_short(data.get('v'))}", "v")
    fields = _Fields(data)
    claimed = fields.optional_text("source", 100)
    if claimed and claimed != source:
        raise Unreadable(f"says {_short(claimed)} but came from {_short(source)}", "source")
    area, place = _area(fields), fields.optional_text("place", MAX_PLACE)
    if not place and not area:
        raise Unreadable("neither place nor area: where is it?", "place")
    unknown = {key: value for key, value in data.items() if key not in KNOWN}
    fields.warn_of([*unknown], "unknown field, kept")
    return IncidentEvent(
        id=fields.required_text("id"), source=source, incident=IncidentId(fields.required_text("incident")),
        msg_type=fields.choice("msg_type", MsgType) or MsgType.ALERT, status=_status(fields),
        kind=fields.required_text("kind").lower(), sent=fields.moment("sent") or fields.assume_sent(received_at),
        place=place, area=area, severity=fields.lenient_choice("severity", Severity),
        urgency=fields.lenient_choice("urgency", Urgency), certainty=fields.lenient_choice("certainty", Certainty),
        expires=fields.moment("expires"), sequence=fields.integer("sequence"), facts=fields.facts(),
        reason=fields.optional_text("reason", 200), playbooks=tuple(PlaybookId(p) for p in fields.texts("playbooks")),
        assigned=fields.assigned(),
        digest=canonical_digest(data), unknown=unknown, warnings=tuple(fields.warnings),
    )  # fmt: skip


class _Fields:
    """Reads single fields of one event and collects what was odd about them."""

    def __init__(self, data: dict[str, Any]) -> None:
        self.data, self.warnings = data, list[str]()

    def required_text(self, name: str) -> str:
        """1 to 200 characters; raises `Unreadable` where there is none."""
        value = self.data.get(name)
        if isinstance(value, int) and not isinstance(value, bool):
            self.warnings.append(f"{name}: a number, taken as text")
            value = str(value)
        if not isinstance(value, str) or not clean(value, 200):
            raise Unreadable(f"required: 1 to 200 characters of text, not {_short(value)}", name)
        return clean(value, 200)

    def optional_text(self, name: str, limit: int) -> str:
        """At most ``limit`` characters, empty and warned about where it is odd."""
        value = self.data.get(name)
        if value is None:
            return ""
        text = clean(value, limit) if isinstance(value, str) else ""
        if not text:
            self.warnings.append(f"{name}: no text of 1 to {limit} characters, left out")
        return text

    def choice(self, name: str, words: type[_E]) -> _E | None:
        """One of ``words``, None where it is missing; raises `Unreadable` on any other."""
        value = self.data.get(name)
        if value is None:
            return None
        try:
            return words(str(value).lower())
        except ValueError:
            raise Unreadable(f"{_short(value)} is none of {', '.join(words)}", name) from None

    def lenient_choice(self, name: str, words: type[_E]) -> _E | None:
        """One of ``words``; anything else is warned about and counts as not said."""
        try:
            return self.choice(name, words)
        except Unreadable as error:
            self.warnings.append(f"{error}; taken as not said")
            return None

    def moment(self, name: str) -> datetime | None:
        """A time with an offset; anything else is warned about and counts as not said."""
        value = self.data.get(name)
        if value is None:
            return None
        try:
            moment = datetime.fromisoformat(value) if isinstance(value, str) else None
            if moment is not None and moment.tzinfo is not None:
                return moment.astimezone(UTC)  # what lies before year 1 or after 9999 there could not be kept
        except (ValueError, OverflowError):
            pass
        self.warnings.append(f"{name}: {_short(value)} is no time with an offset, taken as not said")
        return None

    def assume_sent(self, received_at: datetime) -> datetime:
        """The time of receipt in place of a missing ``sent``, with a warning."""
        self.warnings.append("sent: missing, the time of receipt is taken")
        return received_at

    def integer(self, name: str) -> int | None:
        """A whole number; anything else is warned about and left out."""
        value = self.data.get(name)
        if value is None or (isinstance(value, int) and not isinstance(value, bool) and abs(value) < MAX_NUMBER):
            return value
        self.warnings.append(f"{name}: {_short(value)} is no whole number below 10^18, left out")
        return None

    def texts(self, name: str) -> tuple[str, ...]:
        """A list of texts; anything else is warned about and left out."""
        value = self.data.get(name, [])
        if isinstance(value, list) and len(value) <= MAX_LIST and all(isinstance(item, str) for item in value):
            return tuple(clean(item, 200) for item in value)
        self.warnings.append(f"{name}: no list of at most {MAX_LIST} texts, left out")
        return ()

    def assigned(self) -> tuple[str, ...]:
        """Who is at work on it; where that is odd, nobody's account may speak, for one of them could be theirs."""
        found = officers(self.data.get("assigned", []))
        if found == (EVERYBODY,):
            self.warnings.append("assigned: no list of officers' numbers, so no officer's own account speaks")
        return found

    def facts(self) -> dict[str, Any]:
        """Facts of sizes that this house carries; the others are warned about and left out."""
        value = self.data.get("facts") or {}
        if not isinstance(value, dict):
            self.warnings.append("facts: no object, left out")
            return {}
        kept = {key: fact for key, fact in value.items() if _is_fact(fact)}
        self.warn_of([f"facts.{key}" for key in value if key not in kept], "too long or nested, left out")
        return kept

    def warn_of(self, names: Sequence[str], said: str) -> None:
        """A warning for each of ``names``; of many, only for the first."""
        self.warnings += [f"{visible(name)}: {said}" for name in names[:MAX_WARNINGS]]
        if more := len(names[MAX_WARNINGS:]):
            self.warnings.append(f"and {more} more: {said}")


def _status(fields: _Fields) -> Status:
    status = fields.choice("status", Status)
    if status is None:
        raise Unreadable("required: actual, exercise or test", "status")
    return status


def _area(fields: _Fields) -> Area:
    value = fields.data.get("area")
    if value is None:
        return Area()
    if not isinstance(value, dict) or not value:
        fields.warnings.append("area: no object with regions, point, circle or geometry; it has to be asked for")
        return Area(shape={"unreadable": value})
    regions = value.get("regions")
    if isinstance(regions, list) and 0 < len(regions) <= MAX_REGIONS and all(isinstance(r, str) for r in regions):
        return Area(regions=tuple(dict.fromkeys(clean(r, 200) for r in regions)))
    return Area(shape=value)


def _is_fact(value: Any) -> bool:
    if isinstance(value, list):
        return len(value) <= MAX_LIST and all(map(_is_single, value))
    return _is_single(value)


def _is_single(value: Any) -> bool:
    if isinstance(value, str):
        return len(value) <= MAX_TEXT
    return isinstance(value, (bool, int, float)) and abs(value) < MAX_NUMBER


def _one_meaning(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    data = dict(pairs)
    if len(data) == len(pairs):
        return data
    [(twice, _)] = Counter(name for name, _ in pairs).most_common(1)
    raise Unreadable("the key stands twice", visible(twice))


def _no_constant(name: str) -> NoReturn:
    raise Unreadable(f"{name} is no JSON number")


def _finite(text: str) -> float:
    number = float(text)
    return number if math.isfinite(number) else _no_constant(_short(text))


def _no_surrogates(data: dict[str, Any]) -> None:
    try:
        json.dumps(data, ensure_ascii=False).encode()
    except UnicodeEncodeError:
        raise Unreadable("a lone surrogate: no character") from None


def _deepest(text: str) -> int:
    """Greatest nesting of brackets outside strings, found without recursion."""
    return max(accumulate(map(_STEPS.__getitem__, _NO_BRACKETS.sub("", text))), default=0)


def _short(value: Any) -> str:
    text = repr(value)
    return text if len(text) <= 60 else text[:57] + "..."
