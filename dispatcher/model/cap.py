"""The vocabulary of the Common Alerting Protocol (OASIS CAP 1.2) and the places alerts are for."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any, NewType

RegionId = NewType("RegionId", str)


class MsgType(StrEnum):
    """CAP ``msgType``: what a message does to those before it."""

    ALERT = "alert"
    UPDATE = "update"
    CANCEL = "cancel"


class Status(StrEnum):
    """CAP ``status``, as far as this house takes it: meant for action, or not."""

    ACTUAL = "actual"
    EXERCISE = "exercise"
    TEST = "test"


class Realm(StrEnum):
    """What a daemon is for, fixed at its start: the real world, or exercises."""

    LIVE = "live"
    EXERCISE = "exercise"

    def takes(self, status: Status) -> bool:
        """Whether an event of this status may enter this realm."""
        return (status is Status.ACTUAL) == (self is Realm.LIVE)


class Severity(StrEnum):
    """CAP ``severity``, most severe first."""

    EXTREME = "extreme"
    SEVERE = "severe"
    MODERATE = "moderate"
    MINOR = "minor"
    UNKNOWN = "unknown"

    @property
    def rank(self) -> int:
        """0 for extreme up to 4 for unknown."""
        return _RANKS[self]

    def at_least(self, other: Severity) -> bool:
        """Whether this is as severe as ``other`` or worse; unknown counts as bad as it can be, so it matches."""
        return self is Severity.UNKNOWN or self.rank <= other.rank


_RANKS = {severity: rank for rank, severity in enumerate(Severity)}


class Urgency(StrEnum):
    """CAP ``urgency``."""

    IMMEDIATE = "immediate"
    EXPECTED = "expected"
    FUTURE = "future"
    PAST = "past"
    UNKNOWN = "unknown"


class Certainty(StrEnum):
    """CAP ``certainty``."""

    OBSERVED = "observed"
    LIKELY = "likely"
    POSSIBLE = "possible"
    UNLIKELY = "unlikely"
    UNKNOWN = "unknown"


@dataclass(frozen=True, slots=True)
class Region:
    """A part of the deployment's territory; ``ags`` is the German municipality key (5 digits name a district)."""

    id: RegionId
    name: str
    ags: str = ""

    def covers(self, named: str) -> bool:
        """Whether ``named`` (an id, this AGS, or the longer AGS of a municipality inside) lies in this region."""
        return named == self.id or (bool(self.ags) and named.isdigit() and named.startswith(self.ags))


def covering_regions(regions: Sequence[Region]) -> Callable[[str], set[RegionId]]:
    """What finds every region that covers a named one by looking it up: an event may name a thousand."""
    ids, keys = {region.id for region in regions}, dict[str, list[RegionId]]()
    for region in regions:
        keys.setdefault(region.ags, []).append(region.id)
    lengths = {len(key) for key in keys if key}

    def covering(named: str) -> set[RegionId]:
        """Regions in which ``named`` lies."""
        inside = [keys.get(named[:length], ()) for length in lengths] if named.isdigit() else []
        return {RegionId(named) for _ in (1,) if named in ids}.union(*inside)

    return covering


@dataclass(frozen=True, slots=True)
class Area:
    """Where an incident is: named regions, or a shape (point, circle, GeoJSON geometry) kept as it came."""

    regions: tuple[str, ...] = ()
    shape: Mapping[str, Any] = field(default_factory=dict)

    def __bool__(self) -> bool:
        """False when the event named no area at all."""
        return bool(self.regions or self.shape)
