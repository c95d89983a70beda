"""Files in, values out: the whole configuration as one frozen value, with everything wrong in it named by file and line.

What makes a daemon impossible raises; a broken channel or playbook is left out and named, so that the rest can speak.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from dispatcher.accounts.groups import Group
from dispatcher.cards.settings import CardSettings
from dispatcher.channels.base import ChannelSettings, Credential
from dispatcher.channels.http import HttpClient
from dispatcher.console.auth import ConsoleSettings
from dispatcher.documents import Document, validated
from dispatcher.heartbeat import HeartbeatSettings
from dispatcher.intake.mqtt import MqttSettings
from dispatcher.journal.base import JournalSettings
from dispatcher.model.cap import Realm, Region
from dispatcher.model.channel import ChannelId, ChannelProfile
from dispatcher.model.deployment import Deployment
from dispatcher.model.errors import ConfigurationError, Problem
from dispatcher.model.people import Roster
from dispatcher.model.playbook import Release, Strict
from dispatcher.plan.library import load_library
from dispatcher.public.settings import PublicSettings
from dispatcher.settings.accounts import load_groups
from dispatcher.settings.advice import advice
from dispatcher.settings.cards import card_secret, in_drill, usable_cards
from dispatcher.settings.channels import Territory, load_channels
from dispatcher.settings.people import PeopleFile, load_people, unreachable
from dispatcher.settings.regions import load_regions
from dispatcher.settings.reporters import load_reporters
from dispatcher.settings.schema import ChannelsFile, Main, SourcesFile, anchored
from dispatcher.settings.sources import Sources, complaint

WALL = "http://127.0.0.1:8081"


@dataclass(frozen=True, slots=True, kw_only=True)
class Loaded:
    """One configuration, as far as it can be used.

    ``problems`` say what was left out, ``warnings`` what works and should not stay so, ``secrets`` which secrets cannot
    be read on this machine; ``digest`` is the SHA-256 of all files read, ``files`` their texts. ``broken``: why this is the
    last good set and not what the files say.
    """

    deployment: Deployment
    channels: Mapping[ChannelId, tuple[str, ChannelSettings]]
    broker: MqttSettings | None
    journal: JournalSettings
    console: ConsoleSettings
    problems: tuple[Problem, ...]
    warnings: tuple[Problem, ...]
    secrets: tuple[Problem, ...]
    digest: str
    heartbeat: HeartbeatSettings | None = None
    public: PublicSettings | None = None
    cards: CardSettings | None = None
    http_client: HttpClient = HttpClient.LEAN
    files: Mapping[str, str] = field(default_factory=dict)
    broken: tuple[Problem, ...] = ()
    canaries: Mapping[ChannelId, tuple[str, ChannelSettings]] = field(default_factory=dict)
    accounts: Mapping[str, Group] = field(default_factory=dict)


def load(path: Path, *, wall: str = WALL, kept: Mapping[str, str] | None = None, drill: Path | None = None) -> Loaded:
    """The configuration whose main file is ``path``; see `read_all`. Whatever is in the files, nothing else is raised."""
    try:
        return read_all(path, wall=wall, kept=kept, drill=drill)
    except (ValueError, OverflowError) as error:
        problem = Problem(str(path), None, "", f"cannot be understood: {error}", "take back what was changed last")
        raise ConfigurationError([problem]) from error


def read_all(path: Path, *, wall: str, kept: Mapping[str, str] | None, drill: Path | None) -> Loaded:
    """The configuration whose main file is ``path``; ``wall`` is the base address that ``wall://`` stands for.

    ``kept``: the texts to read instead of what lies on the disk now. ``drill``: a folder for made-up secrets; the whole
    is an exercise on the wall then, without a broker, and no live secret is read.
    Raises `ConfigurationError` where no daemon could start: the main file, the list of channels or the regions are
    wrong, or a file that they name cannot be read.
    """
    sources = Sources(path, kept)
    document = sources.yaml(path)
    main = anchored(validated(document, Main), path.parent)
    if drill is not None:
        cards, public = in_drill(main.cards)
        main = main.model_copy(
            update={
                "realm": Realm.EXERCISE,
                "broker": None,
                "heartbeat": None,
                "public": public,
                "cards": cards,
                "accounts": {},
                "console": ConsoleSettings(),
            }
        )
    cards, no_cards = usable_cards(document, main)
    territory = Territory(main.realm, main.sender.sender, load_regions(main, sources), wall, drill, cards is not None)
    channels = load_channels(_documents(document, main.channels_file, ChannelsFile, sources), territory)
    accounts = load_groups(document, main.accounts, territory, public=main.public is not None)
    profiles = (*channels.profiles.values(), *accounts.samples())
    names = tuple(region.name for region in territory.regions)
    texts, unread = _playbook_files(main, path, sources)
    playbooks, broken = load_library(
        texts, profiles, main.sender.sender, main.realm, region_names=names, channel_names=channels.names
    )  # fmt: skip
    reporters = load_reporters(
        _documents(document, main.sources_file, SourcesFile, sources),
        signing=not main.broker or main.broker.protocol == "5",
    )
    roster, nobody = _people(document, main, channels.active, territory.regions, sources)
    deployment = Deployment(
        realm=main.realm, sender=main.sender.sender, regions=territory.regions, channels=channels.active,
        past_channels=channels.retired, playbooks=playbooks, timezone=main.timezone, max_age=main.max_age,
        release_override=Release(main.release_override) if main.release_override else None, sources=reporters.sources,
        roster=roster,
    )  # fmt: skip
    return Loaded(
        deployment=deployment, channels=channels.settings, broker=main.broker, journal=main.journal,
        console=main.console, problems=(*no_cards, *channels.problems, *accounts.problems, *reporters.problems, *nobody, *unread, *broken),
        warnings=(
            *advice(document, deployment, channels.settings, main.console.tokens_file, cards), *unreachable(document, roster),
        ),
        secrets=(
            *channels.secrets, *accounts.secrets, *_broker_secret(document, main.broker), *_heartbeat_secret(document, main.heartbeat),
            *card_secret(document, cards),
        ),
        digest=sources.digest, heartbeat=main.heartbeat, public=main.public, cards=cards, http_client=main.http_client,
        files=sources.texts, canaries=channels.canaries, accounts=accounts.groups,
    )  # fmt: skip


def shipped_playbooks() -> Path:
    """The folder of the playbooks that come with this program."""
    return _shipped("_playbooks", "playbooks")


def shipped_demo() -> Path:
    """The main file of the exercise that comes with this program."""
    return _shipped("_demo", "config/demo") / "dispatcher.yaml"


def _shipped(installed: str, checkout: str) -> Path:
    """A folder inside the installed package or, in a checkout, beside the package."""
    package = Path(__file__).parent.parent
    return package / installed if (package / installed).is_dir() else package.parent / checkout


def _documents(document: Document, more: Path | None, shape: type[Strict], sources: Sources) -> list[Document]:
    """The main file, and the one beside it that holds more of the same."""
    if more is None:
        return [document]
    found = sources.yaml(more)
    validated(found, shape)
    return [document, found]


def _people(
    document: Document, main: Main, channels: Mapping[ChannelId, ChannelProfile], regions: tuple[Region, ...],
    sources: Sources,
) -> tuple[Roster, list[Problem]]:  # fmt: skip
    if main.people_file is None:
        entries = PeopleFile(people=main.people, duty=main.duty, escalation=main.escalation)
        return load_people(document, entries, channels, regions)
    found = sources.yaml(main.people_file)
    return load_people(found, validated(found, PeopleFile), channels, regions)


def _playbook_files(main: Main, path: Path, sources: Sources) -> tuple[dict[str, str], list[Problem]]:
    """The texts of all playbooks: from the folder named, the one beside the main file, or those shipped."""
    beside = path.parent / "playbooks"
    folder = main.playbooks or (beside if sources.files_in(beside) else shipped_playbooks())
    texts, unread = dict[str, str](), list[Problem]()
    for file in sources.files_in(folder):
        try:
            texts[str(file)] = sources.text(file)
        except ConfigurationError as error:
            unread += error.problems
    if not texts:
        raise ConfigurationError([*unread, Problem(str(path), None, "playbooks", f"none can be read in {folder}")])
    return texts, unread


def _broker_secret(document: Document, broker: MqttSettings | None) -> tuple[Problem, ...]:
    if broker is None or not (broker.password_file or broker.password_env):
        return ()
    file = broker.password_file
    message = complaint(Credential(token_file=file, token_env=None if file else broker.password_env).reveal)
    return (document.problem(("broker",), message, "the broker refuses us without it"),) if message else ()


def _heartbeat_secret(document: Document, heartbeat: HeartbeatSettings | None) -> tuple[Problem, ...]:
    message = complaint(heartbeat.address) if heartbeat else ""
    return (document.problem(("heartbeat",), message, "nobody misses us without it"),) if message else ()
