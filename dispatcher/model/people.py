"""Who is paged: duty and escalation, and whose phone a staff channel is."""

from __future__ import annotations

import unicodedata
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Literal

from dispatcher.model.cap import RegionId
from dispatcher.model.channel import ChannelId


def tidy(name: str) -> str:
    """``name`` with single spaces and composed letters, so that it compares as it reads."""
    return " ".join(unicodedata.normalize("NFC", name).split())


@dataclass(frozen=True, slots=True, kw_only=True)
class Person:
    """Somebody with a phone. No ``regions`` means all of them, unless they are ``astray``: named, and all unknown."""

    name: str
    role: Literal["operator", "supervisor"] = "operator"
    channels: tuple[ChannelId, ...] = ()
    regions: frozenset[RegionId] = frozenset()
    astray: bool = False

    @property
    def everywhere(self) -> bool:
        """Whether this person may decide about the whole territory; a mistake in the file gives nobody that right."""
        return not self.regions and not self.astray

    def minds(self, regions: Sequence[RegionId]) -> bool:
        """Whether something in ``regions`` concerns this person; something nowhere concerns everybody."""
        return not regions or not self.regions or not self.regions.isdisjoint(regions)


@dataclass(frozen=True, slots=True, kw_only=True)
class Roster:
    """The people by name, those on duty, and who is called after them, in order."""

    people: Mapping[str, Person] = field(default_factory=dict)
    duty: tuple[str, ...] = ()
    escalation: tuple[str, ...] = ()

    def channels_for(self, step: int, regions: Sequence[RegionId], staff: Sequence[ChannelId]) -> tuple[ChannelId, ...]:
        """Which of the ``staff`` channels a page goes to: step 0 calls duty, step n the first n of escalation as well.

        A channel that no person names is everybody's; where nobody would be called, all are.
        """
        named = {channel for person in self.people.values() for channel in person.channels}
        on_duty = self._known(self.duty)
        minding = [person for person in on_duty if person.minds(regions)] or on_duty
        called = {c for person in (*minding, *self._known(self.escalation[:step])) for c in person.channels}
        return tuple(c for c in staff if c in called or c not in named) or tuple(staff)

    def find(self, name: str) -> Person | None:
        """The person of that name, however it is capitalised."""
        wanted = name.casefold()
        return next((person for known, person in self.people.items() if known.casefold() == wanted), None)

    def person_of_channel(self, channel: ChannelId) -> str | None:
        """The one person whose phone this is; None where it is shared, or nobody's."""
        owners = [name for name, person in self.people.items() if channel in person.channels]
        return owners[0] if len(owners) == 1 else None

    def _known(self, names: Sequence[str]) -> list[Person]:
        return [self.people[name] for name in names if name in self.people]
