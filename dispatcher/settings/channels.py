"""Channels from entries: each is read on its own, so that a broken one is left out and named while the others speak."""

from __future__ import annotations

import base64
import hashlib
from collections import ChainMap
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, time
from functools import cache
from pathlib import Path as FilePath
from typing import Any, Literal, cast

from pydantic import create_model

from dispatcher.channels.base import ChannelSettings, Credential, kinds, load_kind
from dispatcher.documents import Document, Path, validated
from dispatcher.model.cap import Realm, Region, RegionId
from dispatcher.model.channel import Audience, ChannelId, ChannelProfile, ChannelState, Rate
from dispatcher.model.deployment import Sender
from dispatcher.model.errors import ConfigurationError, Problem
from dispatcher.plan.farewell import overlong
from dispatcher.settings.schema import ChannelEntry, anchored
from dispatcher.settings.sources import complaint
from dispatcher.wall.mail import mail_at
from dispatcher.wall.siren import broker_at

_WALL = "wall://"
_ROADS = {"wall-mail": mail_at, "wall-mqtt": broker_at}  # to what the wall speaks beside HTTP
_SECRETS = frozenset({"credential", "secret_file", "secret_env", "app", "canary"})  # with what leads to them


@dataclass(frozen=True, slots=True)
class Territory:
    """What channels are measured against: the daemon's realm, sender and regions, and the address of the exercise wall."""

    realm: Realm
    sender: Sender
    regions: tuple[Region, ...]
    wall: str
    secrets: FilePath | None = None  # a drill: a folder for secrets made up, none of which opens anything
    cards: bool = False  # whether there are any


@dataclass(slots=True)
class Channels:
    """What came of all entries; ``secrets`` are references to secrets that cannot be read on this machine.

    ``names`` is what a channel may be called by: every kind, and the id of every entry, the broken ones included.
    """

    profiles: dict[ChannelId, ChannelProfile] = field(default_factory=dict)
    settings: dict[ChannelId, tuple[str, ChannelSettings]] = field(default_factory=dict)
    problems: list[Problem] = field(default_factory=list)
    secrets: list[Problem] = field(default_factory=list)
    names: set[str] = field(default_factory=set)
    written: dict[ChannelId, _Written] = field(default_factory=dict)
    canaries: dict[ChannelId, tuple[str, ChannelSettings]] = field(default_factory=dict)

    @property
    def active(self) -> dict[ChannelId, ChannelProfile]:
        """Those that speak."""
        return {name: one for name, one in self.profiles.items() if one.state is ChannelState.ACTIVE}

    @property
    def retired(self) -> dict[ChannelId, ChannelProfile]:
        """Those that are kept for the ends of what they carry."""
        return {name: one for name, one in self.profiles.items() if one.state is ChannelState.RETIRED}


def load_channels(documents: Iterable[Document], territory: Territory) -> Channels:
    """Every entry under ``channels`` in ``documents``; whatever is wrong with one leaves that one out."""
    loaded = Channels(names={*_kinds()})
    for document in documents:
        for name in document.data.get("channels") or {}:
            loaded.names.add(name)
            try:
                _add(loaded, ChannelId(name), _Written(document, ("channels", name)), territory)
            except ConfigurationError as error:
                loaded.problems += error.problems
    loaded.problems += _partings(loaded, territory)
    return loaded


def _partings(loaded: Channels, territory: Territory) -> Iterator[Problem]:
    """Successors that there are not, and farewells too long to be said. The channels stay: they may have to end something."""
    for profile in loaded.profiles.values():
        written = loaded.written[profile.id]
        if profile.successor and profile.successor not in loaded.active:
            remedy = f"name one that speaks: {', '.join(loaded.active)}"
            yield written.problem(("successor",), f"{profile.successor!r} is no active channel", remedy)
        if profile.farewell and (length := overlong(profile, territory.sender, territory.realm)):
            said = f"needs {length} {profile.limit.unit}, the channel takes {profile.limit.size}"
            yield written.problem(("farewell",), said, "shorten it")


@cache
def _kinds() -> list[str]:
    return kinds()


@cache
def entry_model(kind: str) -> type[ChannelEntry]:
    """What an entry of ``kind`` may say: what every channel has and the kind's own fields, side by side."""
    bases: Any = (ChannelEntry, load_kind(kind).Settings)
    only: Any = Literal[kind]
    return cast("type[ChannelEntry]", create_model(f"{kind}_channel", __base__=bases, kind=(only, ...)))


@dataclass(frozen=True, slots=True)
class _Written:
    """One entry as it stands in its file."""

    document: Document
    at: Path

    def mapping(self, *steps: str) -> dict[str, Any]:
        """The entry as written."""
        value: Any = self.document.data
        for step in (*self.at, *steps):
            value = value[step]
        if not isinstance(value, dict):
            raise self.refusal(steps, "no mapping", "write keys and values, as in kind: webhook")
        return value

    def problem(self, steps: Path, message: str, remedy: str) -> Problem:
        """A problem at a place in this entry."""
        return self.document.problem((*self.at, *steps), message, remedy)

    def refusal(self, steps: Path, message: str, remedy: str) -> ConfigurationError:
        """The error that leaves this entry out."""
        return ConfigurationError([self.problem(steps, message, remedy)])

    def flat(self) -> _Written:
        """The same entry with what stands under ``settings`` moved up to its own level, lines and all."""
        if "settings" not in (entry := self.mapping()):
            return self
        nested = self.mapping("settings")
        if twice := entry.keys() & nested.keys():
            raise self.refusal(("settings", min(twice)), "stands beside settings as well", "keep one of the two")
        lines = {(*self.at, key): self.document.line((*self.at, "settings", key)) or 1 for key in nested}
        fields = {key: value for key, value in {**entry, **nested}.items() if key != "settings"}
        known = cast("dict[Path, int]", self.document.lines)
        return self._with(fields, ChainMap(lines, known))

    def drilled(self, secrets: FilePath) -> _Written:
        """The same entry as an exercise has it: on the wall, with a secret made up, and no live one named anywhere."""
        entry = {key: value for key, value in self.mapping().items() if key not in _SECRETS}
        kind, channel = entry.get("kind"), str(self.at[-1])
        if kind not in _kinds():
            return self
        secret = secrets / channel
        secret.write_text(f"whsec_{base64.b64encode(hashlib.sha256(channel.encode()).digest()).decode()}")
        by_hand = kind == "whatsapp_channel" and entry.get("via", "by_hand") == "by_hand"
        fields = {} if by_hand else load_kind(kind).drill(channel, str(secret))
        return self._with({**entry, **fields, "realm": Realm.EXERCISE.value})

    def on_wall(self, territory: Territory) -> _Written:
        """The same entry with ``wall://`` replaced by the wall's address; refused in realm live."""
        entry = self.mapping()
        pages = {key: value.removeprefix(_WALL) for key, value in entry.items() if str(value).startswith(_WALL)}
        roads = {key: _ROADS[str(value)](territory.wall) for key, value in entry.items() if str(value) in _ROADS}
        if (walled := {**pages, **roads}) and territory.realm is Realm.LIVE:
            raise self.refusal((min(walled),), f"{_WALL} exists only in realm exercise", "give the real address")
        return self._with({**entry, **{key: f"{territory.wall}/{path}" for key, path in pages.items()}, **roads})

    def at_canary(self, address: Collection[str]) -> _Written:
        """The same entry with its canary's settings, and nothing left of the ``address`` that the public reads."""
        entry = self.mapping()
        private = {key: value for key, value in entry.items() if key not in (*address, "canary")}
        return self._with({**private, **entry["canary"]})

    def _with(self, fields: Mapping[str, Any], lines: Mapping[Path, int] | None = None) -> _Written:
        section, name = self.at
        data: dict[str, Any] = {str(section): {name: fields}}
        return _Written(Document(self.document.file, data, lines or self.document.lines), self.at)


def _add(loaded: Channels, channel: ChannelId, written: _Written, territory: Territory) -> None:
    if channel in loaded.profiles:
        raise written.refusal((), "this id stands in another file already", "give every channel an id of its own")
    written = written.flat()
    written = (written.drilled(territory.secrets) if territory.secrets else written).on_wall(territory)
    entry = anchored(_entry(written), FilePath(written.document.file).parent)
    _same_realm(written, entry, territory.realm)
    regions = _regions(written, entry, territory.regions)
    settings = cast("ChannelSettings", entry)
    _shown(written, entry, settings, cards=territory.cards)
    loaded.profiles[channel] = _profile(channel, entry, settings, regions)
    loaded.settings[channel] = (entry.kind, settings)
    loaded.written[channel] = written
    if message := complaint(settings.token):
        loaded.secrets.append(written.problem(("credential",), message, "the channel cannot speak without it"))
    if entry.canary is not None:
        loaded.canaries[channel] = (entry.kind, _canary(written, entry, territory))


def _entry(written: _Written) -> ChannelEntry:
    kind = written.mapping().get("kind")
    if kind not in _kinds():
        message = f"{kind!r} is no kind of channel" if kind else "missing"
        raise written.refusal(("kind",), message, f"known: {', '.join(_kinds())}")
    return validated(written.document, entry_model(kind), written.at)


def _canary(written: _Written, entry: ChannelEntry, territory: Territory) -> ChannelSettings:
    """The same channel before a private audience: what says where it posts is said anew, so that none of it is public."""
    settings, said = load_kind(entry.kind).Settings, written.mapping("canary")
    if strange := said.keys() - settings.model_fields.keys():
        raise written.refusal(("canary", min(strange)), "is no setting of this kind", _settings_of(settings))
    if not said.keys() & set(settings.address):
        remedy = f"name another: {', '.join(settings.address)}" if settings.address else "leave the canary out"
        raise written.refusal(("canary",), "leads to no private target", remedy)
    private = written.at_canary(settings.address).on_wall(territory)
    made = anchored(_entry(private), FilePath(written.document.file).parent)
    if all(getattr(made, name) == getattr(entry, name) for name in settings.address):
        raise written.refusal(("canary",), "is where the public reads", "give the address of a private target")
    return cast("ChannelSettings", made)


def _settings_of(settings: type[ChannelSettings]) -> str:
    return f"known: {', '.join(settings.model_fields)}"


def _same_realm(written: _Written, entry: ChannelEntry, realm: Realm) -> None:
    """A drill cannot become real: in exercise a channel has to say that it is one for exercises."""
    if (entry.realm or Realm.LIVE) is not realm:
        said = f"says {entry.realm}" if entry.realm else "missing"
        remedy = f"a daemon for {realm} speaks only on channels with realm: {realm}"
        raise written.refusal(("realm",), said, remedy)


def _shown(written: _Written, entry: ChannelEntry, settings: ChannelSettings, *, cards: bool) -> None:
    """A card lies where everyone can read it; a channel that posts nothing without an image needs one."""
    if getattr(settings, "card", False) and entry.audience is not Audience.PUBLIC:
        raise written.refusal(("card",), f"cards are public, and the audience is {entry.audience}", "say card: false")
    if settings.needs_card and not (cards and getattr(settings, "card", False)):
        raise written.refusal(("image_url",), "nothing is posted without an image", "name one, or configure cards")


def _regions(written: _Written, entry: ChannelEntry, regions: Sequence[Region]) -> frozenset[RegionId]:
    known = {key: region.id for region in regions for key in (region.id, region.ags) if key}
    remedy = f"known: {', '.join(region.id for region in regions)}"
    problems = [
        written.problem(("regions", number), f"no region {named!r}", remedy)
        for number, named in enumerate(entry.regions)
        if named not in known
    ]
    if problems:
        raise ConfigurationError(problems)
    return frozenset(known[named] for named in entry.regions)


def _profile(
    channel: ChannelId, entry: ChannelEntry, settings: ChannelSettings, regions: frozenset[RegionId]
) -> ChannelProfile:
    traits = load_kind(entry.kind).traits(settings)
    return ChannelProfile(
        id=channel, kind=entry.kind, title=entry.title or channel, limit=traits.limit, powers=traits.powers,
        audience=entry.audience, regions=regions, languages=entry.languages, realm=entry.realm or Realm.LIVE,
        origin=settings.origin or f"by-hand:{channel}", official=entry.official, reach=entry.reach, link=entry.link,
        instructions=entry.instructions, credential=settings.credential.label if settings.credential else channel,
        in_doubt=entry.in_doubt or traits.in_doubt, after_correction=entry.after_correction,
        probe_every=entry.probe_every, valid_until=_end_of(settings.credential),
        rate=Rate(entry.rate.posts, entry.rate.per.total_seconds()) if entry.rate else None,
        state=entry.state, successor=entry.successor or "", farewell=tuple(entry.farewell.items()),
    )  # fmt: skip


def _end_of(credential: Credential | None) -> datetime | None:
    """The end of the last day that people say it is good for, in UTC; None where they do not say."""
    if credential is None or credential.valid_until is None:
        return None
    return datetime.combine(credential.valid_until, time.max.replace(microsecond=0), UTC)
