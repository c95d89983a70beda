"""The deployment as judgement sees it: one immutable snapshot of who we are, where, with which channels and playbooks."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import timedelta
from itertools import chain
from typing import Literal
from zoneinfo import ZoneInfo

from dispatcher.model.cap import Area, Realm, Region, RegionId, covering_regions
from dispatcher.model.channel import Audience, ChannelId, ChannelProfile, ChannelState
from dispatcher.model.people import Roster
from dispatcher.model.playbook import Playbook, PlaybookId, Release
from dispatcher.model.source import Source

Level = Literal["local", "regional", "national"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Sender:
    """The authority that speaks, as the public knows it."""

    name: str
    level: Level = "local"
    hotline: str = ""
    website: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Deployment:
    """Everything a plan depends on besides the event itself; replaced whole, never changed."""

    realm: Realm
    sender: Sender
    regions: tuple[Region, ...]
    channels: Mapping[ChannelId, ChannelProfile]
    playbooks: tuple[Playbook, ...] = ()
    timezone: ZoneInfo = field(default_factory=lambda: ZoneInfo("Europe/Berlin"))
    release_override: Release | None = None
    max_age: timedelta = timedelta(minutes=10)
    roster: Roster = field(default_factory=Roster)
    sources: Mapping[str, Source | None] = field(default_factory=dict)  # None where one is configured in error
    # What is retired or was taken out by a reload: no new incident is told on it or by it, what it began it may still end.
    past_channels: Mapping[ChannelId, ChannelProfile] = field(default_factory=dict)
    past_playbooks: tuple[Playbook, ...] = ()
    _by_kind: Mapping[str, list[Playbook]] = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        """Sort the playbooks by kind once: no event has to ask all of them."""
        by_kind: dict[str, list[Playbook]] = {}
        for playbook in self.playbooks:
            for kind in dict.fromkeys(playbook.match.kind):
                by_kind.setdefault(kind, []).append(playbook)
        object.__setattr__(self, "_by_kind", by_kind)

    def for_kind(self, kind: str) -> Sequence[Playbook]:
        """The playbooks for events of this kind, in their order; other rules of theirs may still refuse one."""
        return self._by_kind.get(kind, ())

    def max_age_of(self, source: str) -> timedelta:
        """How old an event of ``source`` may be; older ones are held."""
        found = self.sources.get(source)
        return (found and found.max_age) or self.max_age

    def playbook(self, wanted: PlaybookId) -> Playbook | None:
        """The playbook of that id, if it is loaded."""
        return next((p for p in self.playbooks if p.id == wanted), None)

    def speaker(self, wanted: PlaybookId) -> Playbook | None:
        """The playbook that speaks for an incident it began, even where it was taken out meanwhile."""
        return next((p for p in (*self.playbooks, *self.past_playbooks) if p.id == wanted), None)

    def every_channel(self) -> tuple[ChannelProfile, ...]:
        """Channels of now and of before: what was said must be ended wherever that is possible."""
        gone = (profile for name, profile in self.past_channels.items() if name not in self.channels)
        return (*self.channels.values(), *gone)

    def channel(self, wanted: ChannelId) -> ChannelProfile | None:
        """The channel of that id, of now or of before."""
        return self.channels.get(wanted) or self.past_channels.get(wanted)

    def retired(self) -> tuple[ChannelProfile, ...]:
        """Channels that are kept for the ends of what they carry, and for a farewell."""
        return tuple(profile for profile in self.every_channel() if profile.state is ChannelState.RETIRED)

    def after(self, old: Deployment) -> Deployment:
        """This one in the place of ``old``, whose channels and playbooks stay known."""
        channels = {**old.past_channels, **old.channels, **self.past_channels}
        playbooks = {p.id: p for p in (*old.past_playbooks, *old.playbooks)}
        return replace(self, past_channels=channels, past_playbooks=tuple(playbooks.values()))

    def resolve(self, area: Area) -> tuple[RegionId, ...] | None:
        """Regions of ``area`` in configured order; no area means the only region; None where it has to be asked for."""
        if area.shape:
            return None
        if not area.regions:
            return (self.regions[0].id,) if len(self.regions) == 1 else None
        covering = covering_regions(self.regions)
        found = [covering(named) for named in area.regions]
        return self.resolve_ids(chain.from_iterable(found)) if all(found) else None

    def resolve_ids(self, ids: Iterable[str]) -> tuple[RegionId, ...]:
        """Those of ``ids`` that are configured regions, in configured order."""
        wanted = set(ids)
        return tuple(region.id for region in self.regions if region.id in wanted)

    def region_names(self, ids: Iterable[RegionId]) -> tuple[str, ...]:
        """Public names of ``ids``, in configured order."""
        wanted = set(ids)
        return tuple(region.name for region in self.regions if region.id in wanted)

    def staff(self) -> tuple[ChannelProfile, ...]:
        """Channels that page the duty team."""
        return tuple(c for c in self.channels.values() if c.audience is Audience.STAFF)
