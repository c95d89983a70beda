"""Groups of officers' own accounts out of the main file, checked against kinds, regions and realm.

A group with anything wrong in it is left out whole and named: consent was given to what it said.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path as FilePath
from typing import Any

from pydantic import create_model

from dispatcher.accounts.groups import TOKEN, Group, GroupSettings, Way, WaySettings
from dispatcher.accounts.opening import seal_of
from dispatcher.channels.base import kinds, load_kind
from dispatcher.documents import Document, Path, validated
from dispatcher.model.cap import Realm, RegionId
from dispatcher.model.channel import ChannelProfile
from dispatcher.model.errors import ConfigurationError, Problem
from dispatcher.model.playbook import Strict
from dispatcher.settings.channels import Territory
from dispatcher.settings.schema import anchored
from dispatcher.settings.sources import complaint

_WALL = "wall://"


@dataclass(slots=True)
class Groups:
    """What came of all groups."""

    groups: dict[str, Group] = field(default_factory=dict)
    problems: list[Problem] = field(default_factory=list)
    secrets: list[Problem] = field(default_factory=list)

    def samples(self) -> list[ChannelProfile]:
        """A channel for each way of each group, to measure texts against."""
        return [profile for group in self.groups.values() for profile in group.samples()]


def load_groups(
    document: Document, entries: Mapping[str, GroupSettings], territory: Territory, *, public: bool
) -> Groups:  # fmt: skip
    """Every group; ``public`` says whether there is a listener at which owners could decide."""
    loaded = Groups()
    for name, entry in entries.items():
        reader = _Reader(document, ("accounts", name), territory)
        try:
            group = loaded.groups[name] = reader.group(name, entry, public=public)
        except ConfigurationError as error:
            loaded.problems += error.problems
            continue
        if message := complaint(lambda group=group: str(seal_of(group))):  # type: ignore[misc]
            remedy = "no account can speak without it"
            loaded.secrets.append(document.problem((*reader.at, "key"), message, remedy))
    return loaded


@dataclass(frozen=True, slots=True)
class _Reader:
    """One group as it stands in its file."""

    document: Document
    at: Path
    territory: Territory

    def _problems(self, entry: GroupSettings, *, public: bool) -> Iterator[Problem]:
        """What is wrong with the group, its ways aside."""
        if not public:
            yield self.document.problem(
                self.at, "nobody can consent", "say public as well: owners decide on a page of it"
            )
        if (entry.realm or Realm.LIVE) is not self.territory.realm:
            realm = self.territory.realm
            remedy = f"a daemon for {realm} speaks only on accounts with realm: {realm}"
            yield self.document.problem(
                (*self.at, "realm"), f"says {entry.realm}" if entry.realm else "missing", remedy
            )
        for number, region in enumerate(entry.regions):
            if region not in self._regions():
                remedy = f"known: {', '.join(one.id for one in self.territory.regions)}"
                yield self.document.problem((*self.at, "regions", number), f"no region {region!r}", remedy)

    def group(self, name: str, entry: GroupSettings, *, public: bool) -> Group:
        """The group; raises `ConfigurationError` with what is wrong with it."""
        if problems := [*self._problems(entry, public=public)]:
            raise ConfigurationError(problems)
        known = self._regions()
        return Group(
            name=name, title=entry.title, key=anchored(entry.key, FilePath(self.document.file).parent),
            ways={way: self._way(way, said) for way, said in entry.ways.items()},
            regions=frozenset(known[region] for region in entry.regions), languages=entry.languages,
            realm=self.territory.realm, share_line=entry.share_line, after_correction=entry.after_correction,
            most=entry.most, known_regions=known,
        )  # fmt: skip

    def _way(self, name: str, entry: WaySettings) -> Way:
        at = (*self.at, "ways", name)
        if entry.kind not in kinds():
            self._refuse((*at, "kind"), f"{entry.kind!r} is no kind of channel", f"known: {', '.join(kinds())}")
        fields = load_kind(entry.kind).Settings.model_fields
        for asked in entry.asks:
            if asked not in fields and asked != TOKEN:
                self._refuse((*at, "asks", asked), "is no setting of this kind", f"known: token, {', '.join(fields)}")
        given = set(entry.settings) | {"credential" if asked == TOKEN else asked for asked in entry.asks}
        if missing := [one for one, field in fields.items() if field.is_required() and one not in given]:
            self._refuse((*at, "settings"), f"nothing for {', '.join(missing)}", "give it, or ask owners for it")
        return Way(
            name=name, mode=entry.mode, kind=entry.kind, title=entry.title, given=self._given(at, entry),
            asks=entry.asks, hosts=entry.hosts,
        )  # fmt: skip

    def _given(self, at: Path, entry: WaySettings) -> Mapping[str, Any]:
        """The settings that are the same for all, each as its kind's field takes it."""
        fields = load_kind(entry.kind).Settings.model_fields
        known: Any = {name: (fields[name].annotation, fields[name]) for name in entry.settings if name in fields}
        walled = {name: self._on_wall((*at, "settings", name), value) for name, value in entry.settings.items()}
        shape = create_model(f"{entry.kind}_way", __base__=Strict, **known)
        document = Document(self.document.file, _nested((*at, "settings"), walled), self.document.lines)
        checked = anchored(validated(document, shape, (*at, "settings")), FilePath(self.document.file).parent)
        return {name: getattr(checked, name) for name in known}

    def _on_wall(self, at: Path, value: Any) -> Any:
        if not isinstance(value, str) or not value.startswith(_WALL):
            return value
        if self.territory.realm is Realm.LIVE:
            self._refuse(at, f"{_WALL} exists only in realm exercise", "give the real address")
        return f"{self.territory.wall}/{value.removeprefix(_WALL)}"

    def _regions(self) -> dict[str, RegionId]:
        return {key: region.id for region in self.territory.regions for key in (region.id, region.ags) if key}

    def _refuse(self, at: Path, message: str, remedy: str) -> None:
        raise ConfigurationError([self.document.problem(at, message, remedy)])


def _nested(at: Path, value: Mapping[str, Any]) -> dict[str, Any]:
    """``value`` as it lies in its document, and nothing else."""
    data: Any = dict(value)
    for step in reversed(at):
        data = {step: data}
    return dict(data)
