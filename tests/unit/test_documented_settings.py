"""The pages about settings are held to the models: every field is there, with its default and an example that is taken."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Annotated, Any

import pytest
from pydantic import BaseModel, TypeAdapter
from pydantic.fields import FieldInfo
from unit.house import CHANNELS, channel

from dispatcher.accounts.groups import GroupSettings, WaySettings
from dispatcher.cards.settings import CardSettings, PushSettings
from dispatcher.channels.base import ChannelSettings, Credential, kinds, load_kind
from dispatcher.console.auth import ConsoleSettings, Entry, TokensFile
from dispatcher.documents import read_yaml
from dispatcher.heartbeat import HeartbeatSettings
from dispatcher.intake.mqtt import MqttSettings
from dispatcher.journal.base import JournalSettings
from dispatcher.model.cap import Realm, Severity
from dispatcher.model.channel import TextLimit, Unit
from dispatcher.model.deployment import Sender
from dispatcher.model.playbook import ChannelRule, FactSpec, Match, NamedUpdate, Playbook, Template, Texts
from dispatcher.model.source import Rule, Signature, Source
from dispatcher.plan.library import load_playbook
from dispatcher.plan.occasion import PROVIDED
from dispatcher.plan.templates import FILTERS, TESTS
from dispatcher.public.settings import PublicSettings
from dispatcher.settings.people import PersonEntry
from dispatcher.settings.schema import ChannelEntry, Contact, Main, RateEntry, RegionEntry, SenderEntry

DOCS = Path(__file__).parents[2] / "docs"
SETTINGS, PLAYBOOKS = ((DOCS / name).read_text() for name in ("configuration.md", "playbooks.md"))
MODELS: dict[str, type[BaseModel]] = {
    "`dispatcher.yaml`": Main, "`sender`": SenderEntry, "`sender.contact`": Contact, "`broker`": MqttSettings,
    "`journal`": JournalSettings, "`console`": ConsoleSettings, "`public`": PublicSettings, "`cards`": CardSettings,
    "`cards.push`": PushSettings, "`heartbeat`": HeartbeatSettings, "`regions`": RegionEntry, "`accounts`": GroupSettings, "`ways`": WaySettings, "Channels": ChannelEntry,
    "`rate`": RateEntry, "`credential`": Credential, "Sources": Source, "`map`": Rule, "`signature`": Signature, "People": PersonEntry,
    "Tokens": TokensFile, "`tokens`": Entry,
}  # fmt: skip
PARTS: dict[str, type[BaseModel]] = {
    "Fields": Playbook, "`match`": Match, "`facts`": FactSpec, "`channels`": ChannelRule, "Texts": Texts,
    "Forms": Template, "Updates": NamedUpdate,
}  # fmt: skip
PAGES = [(SETTINGS, *pair) for pair in MODELS.items()] + [(PLAYBOOKS, *pair) for pair in PARTS.items()]
NOTHING = (None, "", (), {})


def section(page: str, heading: str) -> str:
    """What stands below the one ``heading`` of that name, up to the next heading."""
    [found] = re.findall(rf"^##+ {re.escape(heading)}\n(.*?)(?=^##|\Z)", page, re.MULTILINE | re.DOTALL)
    return str(found)


def rows(page: str, heading: str) -> Iterator[list[str]]:
    """The cells of the table below ``heading``, without its head and without marks of code and links."""
    for line in re.findall(r"^\|( .*)\|$", section(page, heading), re.MULTILINE)[1:]:
        yield [re.sub(r"^\[(`.*`)\]\(.*\)$", r"\1", cell.strip()).strip("`") for cell in line.split("|")]


def held(name: str, field: FieldInfo, default: str, example: str) -> None:
    """Fail where ``default`` is not the field's, or ``example`` is not taken, or both are the same."""
    adapter: TypeAdapter[Any] = TypeAdapter(Annotated[field.annotation, field])  # type: ignore[name-defined]

    def read(text: str) -> Any:
        """A cell as the field takes it out of a file."""
        return adapter.validate_python(read_yaml(f"x: {text}", name).data["x"])

    if default == "required":
        assert field.is_required(), name
    elif default == "-":
        value = field.get_default(call_default_factory=True)
        assert value in NOTHING or isinstance(value, BaseModel), f"{name}: the default is {value}"
    else:
        assert read(default) == field.default, f"{name}: the default is {field.default}"
        assert read(example) != field.default, f"{name}: an example that changes nothing"
    assert example == "above" or read(example) is not None


@pytest.mark.parametrize(("page", "heading", "model"), PAGES, ids=[heading for _, heading, _ in PAGES])
def test_every_field_is_on_its_page(page: str, heading: str, model: type[BaseModel]) -> None:
    """Each field of settings and playbooks has its row: with its true default, and an example that would be taken."""
    found = {row[0]: row for row in rows(page, heading)}
    assert set(found) == set(model.model_fields)
    for name, (_, default, example, *_) in found.items():
        held(f"{heading} {name}", model.model_fields[name], default, example)


def kind_rows() -> Iterator[tuple[str, str, str, str]]:
    """Kind, setting, default and example of every row of the table of kinds."""
    kind = ""
    for first, name, default, example, *_ in rows(SETTINGS, "Kinds of channel"):
        kind = first or kind
        yield kind, name, default, example


def test_every_kind_of_channel_is_on_a_page() -> None:
    """Each field of each kind is in the table of kinds or on the kind's own page, and what the table says of it is true."""
    told: dict[str, set[str]] = {kind: set(ChannelSettings.model_fields) for kind in kinds()}
    for kind, name, default, example in kind_rows():
        held(f"{kind} {name}", load_kind(kind).Settings.model_fields[name], default, example)
        told[kind].add(name)
    for kind, names in told.items():
        own = DOCS / "channels" / f"{kind}.md"
        text = own.read_text() if own.exists() else ""
        missing = [f for f in load_kind(kind).Settings.model_fields if f not in names and f"`{f}`" not in text]
        assert missing == [], f"{kind}: neither in docs/configuration.md nor in docs/channels/{kind}.md"


def test_the_example_of_a_playbook_loads() -> None:
    """The playbook on the page loads for channels with little room, and says what the page says it does."""
    [text] = re.findall(r"^```yaml\n(.*?)^```", PLAYBOOKS, re.MULTILINE | re.DOTALL)
    small = channel("messenger", limit=TextLimit(Unit.CHARACTERS, 400))
    playbook = load_playbook(text, "gas-leak.yaml", (*CHANNELS, small), Sender(name="Stadt Leer"), Realm.LIVE)
    people = {severity: playbook.release_for(severity).people for severity in Severity}
    assert (people[Severity.EXTREME], people[Severity.SEVERE], people[Severity.MINOR]) == (0, 1, 2)


def test_every_word_of_templates_is_on_the_page() -> None:
    """Names that every template may use, filters and tests are told, each as code."""
    told = set(re.findall(r"`([^`\n]+)`", section(PLAYBOOKS, "Templates")))
    assert told >= PROVIDED | FILTERS | TESTS


@pytest.mark.parametrize("page", sorted(DOCS.rglob("*.md")), ids=lambda page: page.name)
def test_links_between_pages_lead_somewhere(page: Path) -> None:
    """Every link of the documents to a file leads to one, and to a heading that is there."""
    for target in re.findall(r"\]\((?!https?:)([^)\s]*)\)", page.read_text()):
        name, _, anchor = target.partition("#")
        file = (page.parent / name).resolve() if name else page
        assert file.exists(), target
        assert not anchor or anchor in anchors(file.read_text()), target


def anchors(text: str) -> set[str]:
    """The anchors that a page of Markdown has for its headings."""
    headings = re.findall(r"^#+ (.*)$", text, re.MULTILINE)
    return {re.sub(r"[^\w -]", "", heading.lower()).replace(" ", "-") for heading in headings}
