"""Who is paged, out of the main file or a file of its own."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Literal

from pydantic import AfterValidator, Field

from dispatcher.documents import Document
from dispatcher.model.cap import Region, RegionId
from dispatcher.model.channel import Audience, ChannelId, ChannelProfile
from dispatcher.model.errors import Problem
from dispatcher.model.people import Person, Roster, tidy
from dispatcher.model.playbook import Strict

PersonName = Annotated[str, AfterValidator(tidy)]


class PersonEntry(Strict):
    """Somebody by the name that stands in the tokens file: their staff channels, and the regions they mind."""

    role: Literal["operator", "supervisor"] = "operator"
    channels: tuple[str, ...] = ()
    regions: tuple[str, ...] = Field(default=(), description="region ids or AGS; none means all")


class PeopleFile(Strict):
    """Everybody by name, who is on duty, and who is called after them, in order."""

    people: Mapping[PersonName, PersonEntry] = Field(default_factory=dict)
    duty: tuple[PersonName, ...] = ()
    escalation: tuple[PersonName, ...] = ()


def load_people(
    document: Document, entries: PeopleFile, channels: Mapping[ChannelId, ChannelProfile], regions: tuple[Region, ...]
) -> tuple[Roster, list[Problem]]:
    """The roster, without what names nobody we know, and a problem for each such name."""
    known = {key: region.id for region in regions for key in (region.id, region.ags) if key}
    staff = {channel for channel, profile in channels.items() if profile.audience is Audience.STAFF}
    people = {
        name: Person(
            name=name, role=entry.role, channels=tuple(ChannelId(c) for c in entry.channels if c in staff),
            regions=frozenset(RegionId(known[r]) for r in entry.regions if r in known),
            astray=bool(entry.regions) and known.keys().isdisjoint(entry.regions),
        )
        for name, entry in entries.people.items()
    }  # fmt: skip
    problems = [
        document.problem(("people", name, field), f"no {field[:-1]} {wrong!r}", f"known: {', '.join(sorted(right))}")
        for name, entry in entries.people.items()
        for field, given, right in (("channels", entry.channels, staff), ("regions", entry.regions, known))
        for wrong in given
        if wrong not in right
    ]
    problems += [
        document.problem((field,), f"nobody named {name!r} under people", "add them there")
        for field, names in (("duty", entries.duty), ("escalation", entries.escalation))
        for name in names
        if name not in people
    ]
    return Roster(people=people, duty=entries.duty, escalation=entries.escalation), problems


def unreachable(document: Document, roster: Roster) -> list[Problem]:
    """What works and should not stay so: nobody to call after duty, and people on the lists without a phone."""
    found = []
    if roster.people and not roster.escalation:
        found.append(document.problem(("escalation",), "empty: nobody is called after duty", "name who comes next"))
    silent = [n for n in dict.fromkeys((*roster.duty, *roster.escalation)) if n in roster.people and not roster.people[n].channels]  # fmt: skip
    return found + [document.problem(("people", n), "has no channel: cannot be paged", "add one") for n in silent]
