"""Groups of accounts: the ways that their owners may choose from, and what each way needs to be told.

A way is a kind of channel with some of its settings given by the files and the rest asked of the owner. ``token`` among
what is asked stands for the kind's credential.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Annotated, Any, get_origin
from urllib.parse import urlsplit

from pydantic import Field, SecretStr, ValidationError

from dispatcher.channels.base import ChannelSettings, Credential, Traits, load_kind
from dispatcher.model.account import KIND, LONGEST_LINE, Account, Mode
from dispatcher.model.cap import Realm, RegionId
from dispatcher.model.channel import AfterCorrection, ChannelId, ChannelProfile, TextLimit, Unit
from dispatcher.model.playbook import Id, Language, Strict

TOKEN = "token"  # noqa: S105 - the name of a field
LONGEST_ANSWER = 500
_SPARE = {Unit.SEGMENTS: 1, Unit.BYTES: 4 * (LONGEST_LINE + 2)}  # else one for each character, and two for line ends
_ANY_ROOM = 1_000  # of an account that says nothing any more
_LOOPBACK = frozenset({"127.0.0.1", "localhost"})

Host = Annotated[str, Field(pattern=r"^(\*\.)?[a-z0-9-]+(\.[a-z0-9-]+)*$")]
FieldName = Annotated[str, Field(pattern=r"^[a-z][a-z0-9_]{0,39}$")]
Label = Annotated[str, Field(min_length=1, max_length=120)]


class WaySettings(Strict):
    """One way of a group, as the files have it."""

    mode: Mode = Field(description="share: the text comes to the officer's phone; auto: it is posted on the account")
    kind: str = Field(description="kind of channel that it speaks through")
    title: Label = Field(description="what owners choose it by")
    settings: Mapping[str, Any] = Field(
        default_factory=dict, description="settings of the kind that are the same for all"
    )
    asks: Mapping[FieldName, Label] = Field(
        min_length=1, max_length=10, description="settings that each owner gives, with what they are asked; token: the credential"
    )  # fmt: skip
    hosts: tuple[Host, ...] = Field(
        default=(),
        max_length=100,
        description="where addresses that owners give may lead; *. before one for all below it",
    )


class GroupSettings(Strict):
    """Officers' own accounts that are invited together."""

    title: Label
    key: Credential = Field(description="encrypts what owners give; at least 32 characters")
    ways: Mapping[Id, WaySettings] = Field(
        min_length=1, max_length=20, description="what owners may choose from, by id"
    )
    regions: tuple[str, ...] = Field(default=(), description="region ids or AGS; an invitation may name others")
    languages: tuple[Language, ...] = ()
    realm: Realm | None = Field(default=None, description="must be said in realm exercise")
    share_line: str = Field(
        default="Zum Weitersagen in eigenen Worten", min_length=1, max_length=LONGEST_LINE,
        description="what stands over a text that comes to a phone",
    )  # fmt: skip
    after_correction: AfterCorrection = AfterCorrection.EDIT
    most: int = Field(default=5_000, ge=1, le=50_000, description="accounts that may be invited")


class BadAnswer(ValueError):
    """What an owner gave us is not what was asked for; ``name`` says which. What they gave is never repeated."""

    def __init__(self, name: str, message: str) -> None:
        """Keep the name apart, so that the page can say it in its own words."""
        self.name = name
        super().__init__(message)


class Entrusted(Credential):
    """A credential that its owner gave us, and that stands in no file: ``token_env`` only names the account."""

    secret: SecretStr

    def reveal(self) -> str:
        """The secret itself."""
        return self.secret.get_secret_value()


@dataclass(frozen=True, slots=True, kw_only=True)
class Way:
    """One way, checked: ``given`` are settings of its kind, ``asks`` what is asked of owners."""

    name: str
    mode: Mode
    kind: str
    title: str
    given: Mapping[str, Any]
    asks: Mapping[str, str]
    hosts: tuple[str, ...]

    def settings(self, answers: Mapping[str, str], account: ChannelId) -> ChannelSettings:
        """What its kind needs to speak for one account; raises `BadAnswer`."""
        if answers.keys() != self.asks.keys():
            raise BadAnswer(min(answers.keys() ^ self.asks.keys()), "not what is asked")
        for name, answer in answers.items():
            if name != TOKEN and "://" in answer and not self._leads_home(answer):
                raise BadAnswer(name, "an address that is not among those allowed")
        kind = load_kind(self.kind).Settings
        own = {name: _fitting(kind, name, answer) for name, answer in answers.items() if name != TOKEN}
        entrusted = Entrusted(token_env=account, secret=SecretStr(answers.get(TOKEN, "")))
        given = {**self.given, **({"credential": entrusted} if TOKEN in answers else {})}
        try:
            return kind.model_validate({**given, **own})
        except ValidationError as error:
            [found, *_] = error.errors(include_url=False, include_input=False, include_context=False)
            raise BadAnswer(str(found["loc"][0]) if found["loc"] else TOKEN, found["msg"]) from None

    def _leads_home(self, address: str) -> bool:
        try:
            parts = urlsplit(address)
            host, port = parts.hostname or "", parts.port
        except ValueError:
            return False
        safe = host in _LOOPBACK or (parts.scheme == "https" and port in (None, 443))
        return safe and "@" not in parts.netloc and any(_covers(pattern, host) for pattern in self.hosts)

    def sampled(self) -> Traits:
        """Limit and powers of an account about which no more is known than what the files say."""
        kind = load_kind(self.kind)
        return kind.traits(kind.Settings.model_construct(**self.given))


@dataclass(frozen=True, slots=True, kw_only=True)
class Group:
    """One group, checked against the rest of the files."""

    name: str
    title: str
    key: Credential
    ways: Mapping[str, Way]
    regions: frozenset[RegionId] = frozenset()
    languages: tuple[str, ...] = ()
    realm: Realm = Realm.LIVE
    share_line: str = ""
    after_correction: AfterCorrection = AfterCorrection.EDIT
    most: int = 5_000
    known_regions: Mapping[str, RegionId] = field(default_factory=dict)  # by id and AGS

    def samples(self) -> list[ChannelProfile]:
        """A channel for each way, to measure texts against before anybody has agreed to anything."""
        return [self._profile(ChannelId(f"{self.name}/{way.name}"), way.sampled()) for way in self.ways.values()]

    def profile(self, account: Account, settings: ChannelSettings | None) -> ChannelProfile:
        """An account as the plan sees it; without ``settings`` it can do nothing any more."""
        regions = frozenset(RegionId(region) for region in account.regions) or self.regions
        traits = load_kind(self.ways[account.way].kind).traits(settings) if settings else None
        made = replace(
            self._profile(account.channel, traits), officer=account.officer, title=f"{self.title} {account.officer}",
            regions=regions,
        )  # fmt: skip
        if settings is None:
            return made
        credential = settings.credential.label if settings.credential else made.credential
        return replace(made, origin=settings.origin or made.origin, credential=credential)

    def _profile(self, channel: ChannelId, traits: Traits | None) -> ChannelProfile:
        limit = traits.limit if traits else TextLimit(Unit.CHARACTERS, _ANY_ROOM)
        return ChannelProfile(
            id=channel, kind=KIND, title=self.title, group=self.name, regions=self.regions, languages=self.languages,
            limit=replace(limit, spare=spare(limit.unit)), powers=traits.powers if traits else frozenset(), realm=self.realm,
            origin=f"account:{channel}", credential=channel, after_correction=self.after_correction,
        )  # fmt: skip


def spare(unit: Unit) -> int:
    """What a text leaves free where it can, for the line that stands over it."""
    return _SPARE.get(unit, LONGEST_LINE + 2)


def _fitting(kind: type[ChannelSettings], name: str, answer: str) -> object:
    """An answer as its field takes it: a list of one, where it is a list."""
    return (answer,) if get_origin(kind.model_fields[name].annotation) is tuple else answer


def _covers(pattern: str, host: str) -> bool:
    return host.endswith(pattern[1:]) if pattern.startswith("*.") else host == pattern
