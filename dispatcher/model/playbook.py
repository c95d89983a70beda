"""Playbooks: when this happens, say that to those. Four texts in every language, or it is no playbook."""

from __future__ import annotations

import re
from collections.abc import Mapping
from datetime import timedelta
from enum import StrEnum
from typing import Annotated, Any, Literal, NewType, Self

from pydantic import (
    AfterValidator,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    TypeAdapter,
    WithJsonSchema,
    model_validator,
)

from dispatcher.model.cap import Severity
from dispatcher.model.channel import Audience, ChannelProfile

PlaybookId = NewType("PlaybookId", str)

MAX_WORDS = 400  # characters of a person's own update, in each language
LONGEST_SPAN = timedelta(days=365)
_SPAN = re.compile(r"^\s*(\d{1,5})\s*(s|m|h|d)\s*$")
_ISO_SPAN = TypeAdapter(timedelta)
_SECONDS = {"s": 1, "m": 60, "h": 3600, "d": 86400}


class Misplaced(ValueError):
    """A part of a file that does not go with the rest; ``path`` leads to it from the model that noticed."""

    def __init__(self, path: tuple[str, ...], message: str, remedy: str = "") -> None:
        """Keep the path apart so that the problem can name the line."""
        self.path, self.remedy = path, remedy
        super().__init__(message)


def parse_span(value: Any) -> Any:
    """``90s``, ``20m``, ``24h`` or ``2d`` as a timedelta; ISO 8601 and timedelta itself are left for pydantic to read."""
    if not isinstance(value, str):
        return value
    if value.startswith("P"):
        return _iso_span(value)
    if not (found := _SPAN.match(value)):
        raise Misplaced((), f"{value!r} is no span of time", "write 90s, 20m, 24h or 2d")
    return timedelta(seconds=int(found[1]) * _SECONDS[found[2]])


def _iso_span(value: str) -> timedelta:
    try:
        return _ISO_SPAN.validate_python(value)
    except (ValueError, OverflowError):
        raise Misplaced((), f"{value!r} is no span of time", "write 90s, 20m, 24h or 2d") from None


def _useful(span: timedelta) -> timedelta:
    if not timedelta(0) < span <= LONGEST_SPAN:
        raise Misplaced((), "no span between 1 second and 365 days", "write 90s, 20m, 24h or 2d")
    return span


Span = Annotated[
    timedelta,
    BeforeValidator(parse_span),
    AfterValidator(_useful),
    WithJsonSchema({"type": "string", "pattern": r"^\d{1,5}(s|m|h|d)$", "examples": ["90s", "20m", "24h"]}),
]
Language = Annotated[str, Field(pattern=r"^[a-z]{2}(-[a-z]+)?$")]
Id = Annotated[str, Field(pattern=r"^[a-z0-9][a-z0-9-]{0,62}$")]
FactName = Annotated[str, Field(pattern=r"^[a-z][a-z0-9_]{0,39}$")]


class Strict(BaseModel):
    """Base of everything read from files: frozen, and an unknown key is an error."""

    model_config = ConfigDict(extra="forbid", frozen=True)


class Release(StrEnum):
    """How many named people let an alert out; a machine is nobody."""

    AUTOMATIC = "automatic"
    ONE_PERSON = "one_person"
    TWO_PERSONS = "two_persons"

    @property
    def people(self) -> int:
        """0, 1 or 2."""
        return list(Release).index(self)


class SeverityRule(Strict):
    """A lower bound of severity; an event that does not say how severe it is holds."""

    at_least: Severity


class Match(Strict):
    """Which incident events call this playbook; all keys given must hold."""

    kind: tuple[str, ...] = Field(min_length=1, description="event kinds, any of them")
    severity: SeverityRule | None = None
    source: tuple[str, ...] = Field(default=(), description="names of event sources, any of them")
    regions: tuple[str, ...] = Field(default=(), description="region ids or AGS, any of them")


class FactSpec(Strict):
    """A detail that texts may name. ``public`` says that it may go out without a person having read it."""

    type: Literal["text", "number", "time"] = "text"
    max: int = Field(default=80, ge=1, le=500, description="longest text in characters, or largest number of digits")
    sample: str | int | float
    public: bool = False
    required: bool = False


class Template(Strict):
    """One purpose in one language, longest and shortest form; Jinja2, bounded by construction."""

    headline: str = Field(min_length=1, max_length=300)
    long: str = Field(min_length=1, max_length=8_000)
    short: str = Field(min_length=1, max_length=1_000)


Templates = Annotated[Mapping[Language, Template], Field(min_length=1)]


class NamedUpdate(Strict):
    """A prepared update for the day: its own facts, its own texts."""

    title: str
    facts: Mapping[FactName, FactSpec] = Field(default_factory=dict)
    texts: Templates
    partner: Templates | None = Field(default=None, description="what partners read instead")


class FourTexts(Strict):
    """The four texts without which nobody is spoken to."""

    alert: Templates
    update: Templates
    all_clear: Templates
    false_alarm: Templates


class Texts(FourTexts):
    """The four texts without which a playbook does not load; ``partner`` are those for partners, who else read the same."""

    partner: FourTexts | None = None


class ChannelRule(Strict):
    """Which channels speak: by audience and by region; ``kinds`` and ``only`` narrow it.

    ``fallback`` prepares others for where one fails: for its id, or else its kind, the ids or kinds of those.
    """

    regions: Literal["affected", "all"] = "affected"
    audiences: tuple[Audience, ...] = (Audience.PUBLIC,)
    kinds: tuple[str, ...] = ()
    only: tuple[str, ...] = ()
    fallback: Mapping[str, Annotated[tuple[str, ...], Field(min_length=1)]] = Field(
        default_factory=dict, description="for a channel or a kind: channels or kinds that speak where it fails"
    )

    def admits(self, channel: ChannelProfile) -> bool:
        """Whether a channel may speak at all, wherever the incident is."""
        return (
            channel.audience in self.audiences
            and (not self.kinds or channel.kind in self.kinds)
            and (not self.only or channel.id in self.only or channel.group in self.only)
        )

    def prepares(self, channel: ChannelProfile) -> bool:
        """Whether a channel is anybody's fallback, wherever the incident is."""
        return channel.audience in self.audiences and any(_names(names, channel) for names in self.fallback.values())

    def stands_by(self, channel: ChannelProfile, primary: ChannelProfile) -> bool:
        """Whether ``channel``, where it is anybody's fallback, is one of ``primary``."""
        return _names(self.fallbacks(primary), channel)

    def fallbacks(self, primary: ChannelProfile) -> tuple[str, ...]:
        """The ids and kinds of those that speak where ``primary`` fails."""
        return self.fallback.get(primary.id) or self.fallback.get(primary.kind, ())


def _names(names: tuple[str, ...], channel: ChannelProfile) -> bool:
    return channel.id in names or channel.kind in names


class Playbook(Strict):
    """One kind of incident and everything that is said about it. ``priority`` 1 speaks before 2."""

    playbook: Id
    title: str = Field(min_length=1, max_length=80)
    priority: int = Field(default=100, ge=1, le=1000)
    match: Match
    severity: Severity = Severity.SEVERE
    release: Release | Mapping[Severity, Release] = Release.ONE_PERSON
    deliver_within: Span = timedelta(minutes=20)
    next_update: Span = timedelta(minutes=30)
    facts: Mapping[FactName, FactSpec] = Field(default_factory=dict)
    channels: ChannelRule = ChannelRule()
    languages: tuple[Language, ...] = Field(default=("de", "en"), min_length=1, max_length=8)
    public_place: bool = Field(
        default=False, description="with release automatic: the source's place goes out unread; else the regions' names"
    )
    event_code: str = Field(default="", max_length=40, description="the official warning system's code")
    same_within: Span | Literal["never"] = Field(
        default=timedelta(minutes=15), description="a second incident within it is held: the same?"
    )
    all_clear: Literal["person", "automatic"] = Field(
        default="person", description="automatic: below severe, a source's cancel sends the all-clear"
    )
    texts: Texts
    updates: Mapping[FactName, NamedUpdate] = Field(default_factory=dict)

    @property
    def id(self) -> PlaybookId:
        """The playbook's stable name."""
        return PlaybookId(self.playbook)

    def release_for(self, severity: Severity) -> Release:
        """Who must release an alert of this severity; where the map is silent, two persons."""
        if isinstance(self.release, Release):
            return self.release
        return self.release.get(severity, Release.TWO_PERSONS)

    def templates(self, purpose: str, name: str = "", *, partner: bool = False) -> Mapping[str, Template]:
        """Templates by language for a purpose, or for the named update ``name``; partners may have their own."""
        if name:
            update = self.updates[name]
            return update.partner if partner and update.partner else update.texts
        texts = self.texts.partner if partner and self.texts.partner else self.texts
        found: Mapping[str, Template] = getattr(texts, purpose)
        return found

    def text_sets(self) -> list[tuple[tuple[str, ...], Templates]]:
        """Every set of templates with the path to it: the four texts, then the named updates, then those of partners."""
        four = tuple(FourTexts.model_fields)
        sets: list[tuple[tuple[str, ...], Templates]] = [(("texts", p), self.templates(p)) for p in four]
        sets += [(("updates", name, "texts"), update.texts) for name, update in self.updates.items()]
        if self.texts.partner:
            sets += [(("texts", "partner", p), self.templates(p, partner=True)) for p in four]
        own = {name: update.partner for name, update in self.updates.items()}
        return sets + [(("updates", name, "partner"), texts) for name, texts in own.items() if texts]

    def all_facts(self) -> frozenset[str]:
        """Names of every fact that any of its texts may name."""
        return frozenset(self.facts).union(*(update.facts for update in self.updates.values()))

    def fact_specs(self, name: str = "") -> dict[str, FactSpec]:
        """Facts that texts may name: the playbook's own and the named update's."""
        return {**self.facts, **(self.updates[name].facts if name else {})}

    @model_validator(mode="after")
    def _ends_by_people(self) -> Self:
        if self.all_clear == "automatic" and self.severity.at_least(Severity.SEVERE):
            raise Misplaced(("all_clear",), f"severity {self.severity}: only a person ends this", "write person")
        return self

    @model_validator(mode="after")
    def _every_language(self) -> Self:
        for where, templates in self.text_sets():
            for language in self.languages:
                if language not in templates:
                    raise Misplaced((*where, language), "missing", "write it, or take the language off the list")
        return self
