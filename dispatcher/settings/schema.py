"""What the main file may say, as pydantic models; `dispatcher schema config` is printed from them as well."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import timedelta
from pathlib import Path
from typing import Annotated, Any, Literal, TypeVar
from zoneinfo import ZoneInfo

from pydantic import BaseModel, BeforeValidator, Field, ValidationInfo, field_validator

from dispatcher.accounts.groups import GroupSettings
from dispatcher.cards.settings import CardSettings
from dispatcher.channels.http import HttpClient
from dispatcher.console.auth import ConsoleSettings
from dispatcher.heartbeat import HeartbeatSettings
from dispatcher.intake.mqtt import MqttSettings
from dispatcher.journal.base import JournalSettings
from dispatcher.model.cap import Realm
from dispatcher.model.channel import PROBE_EVERY, AfterCorrection, Audience, ChannelState, InDoubt
from dispatcher.model.deployment import Level, Sender
from dispatcher.model.playbook import Id, Language, Span, Strict
from dispatcher.public.settings import PublicSettings
from dispatcher.settings.people import PersonEntry, PersonName

_M = TypeVar("_M", bound=BaseModel)


def _digits(value: Any) -> Any:
    """Keys with a leading zero are read as text, all others as numbers; both are text here."""
    return str(value) if type(value) is int else value


Name = Annotated[str, Field(min_length=1, max_length=80)]
Ags = Annotated[
    str,
    BeforeValidator(_digits),
    Field(pattern=r"^(\d{5}|\d{8})?$", description="German municipality key: 5 digits name a district"),
]


class Contact(Strict):
    """Where the public can ask."""

    hotline: str = Field(default="", max_length=80)
    website: str = Field(default="", max_length=200)


class SenderEntry(Strict):
    """The authority that speaks; its name stands under every text."""

    name: Name
    level: Level = "local"
    contact: Contact = Contact()

    @property
    def sender(self) -> Sender:
        """This entry in the words of the plan."""
        return Sender(
            name=self.name, level=self.level, hotline=self.contact.hotline, website=self.contact.website
        )  # fmt: skip


class RegionEntry(Strict):
    """A part of the territory: an ASCII id for files and events, a public name for texts."""

    id: Id
    name: Name
    ags: Ags = ""


class RateEntry(Strict):
    """What a provider lets one credential post: never more in any span of that length."""

    posts: int = Field(ge=1, le=1_000_000)
    per: Span = Field(default=timedelta(seconds=60), le=timedelta(days=1))


class ChannelEntry(Strict):
    """What every channel has, whatever its kind; the kind's own fields stand beside these."""

    kind: str
    title: str = Field(default="", max_length=80, description="public name; the id where it is missing")
    audience: Audience = Audience.PUBLIC
    regions: tuple[Annotated[str, BeforeValidator(_digits)], ...] = Field(
        default=(), description="region ids or AGS; none means the whole territory"
    )
    languages: tuple[Language, ...] = Field(default=(), description="in order; none means the playbook's")
    realm: Realm | None = Field(default=None, description="must be said, and said right, in realm exercise")
    official: bool = Field(default=False, description="the official warning desk: its tasks come first")
    reach: int = Field(default=0, ge=0, description="people it reaches; tasks are ordered by it")
    link: str = Field(
        default="", max_length=500, pattern=r"^(https://[^\s<>\"]+)?$", description="where a person posts"
    )
    instructions: str = Field(default="", max_length=500, description="for whoever posts by hand")
    in_doubt: InDoubt | None = Field(default=None, description="the kind's own: hold for mqtt, resend for the others")
    rate: RateEntry | None = Field(
        default=None, description="what its credential may post; a fifth is kept for ends and extreme alerts"
    )
    probe_every: Span = Field(
        default=PROBE_EVERY, ge=timedelta(minutes=1), le=timedelta(days=1),
        description="how often it is asked, without posting, whether it could post",
    )  # fmt: skip
    canary: Mapping[str, Any] | None = Field(
        default=None, description="settings that lead to a private target, where a test is posted each week"
    )
    after_correction: AfterCorrection = Field(
        default=AfterCorrection.EDIT, description="what becomes of a wrong post once its correction is out"
    )
    state: ChannelState = Field(default=ChannelState.ACTIVE, description="retired: only ends and a farewell")
    successor: Id | None = Field(default=None, description="where readers of a retired channel find us instead")
    farewell: Mapping[Language, Annotated[str, Field(min_length=1, max_length=1_000)]] = Field(
        default_factory=dict, description="what a retired channel says for the last time, by language"
    )


RawChannels = Mapping[Id, Any]  # read one by one in channels.py, so that one broken entry stays alone


class ChannelsFile(Strict):
    """The optional second file: channels by id, as in the main file."""

    channels: RawChannels


class SourcesFile(Strict):
    """The optional file of systems that report incidents, as in the main file."""

    sources: Mapping[str, Any]  # read one by one in reporters.py


class Main(Strict):
    """The main file. One is enough; the others that it may name hold what has grown too long for it."""

    realm: Realm
    sender: SenderEntry
    broker: MqttSettings | None = None
    journal: JournalSettings = JournalSettings()
    console: ConsoleSettings = ConsoleSettings()
    public: PublicSettings | None = Field(
        default=None, description="what strangers may reach: the page to sign up on, cards"
    )
    cards: CardSettings | None = Field(default=None, description="alerts as images, for channels that show them")
    heartbeat: HeartbeatSettings | None = Field(default=None, description="a monitor that misses us when we are dead")
    http_client: HttpClient = Field(
        default=HttpClient.LEAN, description="who speaks HTTP to providers; aiohttp makes the same promises, slower"
    )
    timezone: ZoneInfo = Field(default=ZoneInfo("Europe/Berlin"), description="of the times in texts")
    max_age: Span = Field(default=timedelta(minutes=10), description="older events are held and paged")
    release_override: Literal["automatic"] | None = Field(default=None, description="only in realm exercise")
    regions: tuple[RegionEntry, ...] = ()
    regions_file: Path | None = Field(default=None, description="GeoJSON with the properties ags, name, kind")
    channels: RawChannels = Field(default_factory=dict)
    channels_file: Path | None = None
    accounts: Mapping[Id, GroupSettings] = Field(default_factory=dict, description="officers' own accounts, by group")
    sources: Mapping[str, Any] = Field(default_factory=dict, description="systems that report incidents, by name")
    sources_file: Path | None = None
    people: Mapping[PersonName, PersonEntry] = Field(default_factory=dict, description="who is paged, by name")
    duty: tuple[PersonName, ...] = ()
    escalation: tuple[PersonName, ...] = ()
    people_file: Path | None = None
    playbooks: Path | None = Field(default=None, description="folder; without it `playbooks` beside, or the shipped")

    @field_validator("release_override")
    @classmethod
    def _never_live(cls, value: str | None, info: ValidationInfo) -> str | None:
        if value and info.data.get("realm") is not Realm.EXERCISE:
            raise ValueError("alerts without a person's release exist only in realm exercise")
        return value

    @field_validator("regions_file")
    @classmethod
    def _one_list(cls, value: Path | None, info: ValidationInfo) -> Path | None:
        if value and info.data.get("regions"):
            raise ValueError("regions are listed above already: keep one of the two")
        return value


def anchored(model: _M, folder: Path) -> _M:
    """A copy of ``model`` in which every relative path starts from ``folder``, where the file lies that says it."""
    changes: dict[str, Any] = {}
    for name in type(model).model_fields:
        value = getattr(model, name)
        if isinstance(value, Path):
            changes[name] = folder / value
        elif isinstance(value, BaseModel):
            changes[name] = anchored(value, folder)
    return model.model_copy(update=changes)
