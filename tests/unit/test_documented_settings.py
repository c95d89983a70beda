"""The pages about settings are held to the models: every field is there, with its default and an example that is taken."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Annotated, Any

import pytest
from pydantic import BaseModel, TypeAdapter
from pydantic.fields import FieldInfo

from dispatcher.channels.base import ChannelSettings, Credential, kinds, load_kind
from dispatcher.console.auth import ConsoleSettings, Entry, TokensFile
from dispatcher.documents import read_yaml
from dispatcher.intake.mqtt import MqttSettings
from dispatcher.journal.base import JournalSettings
from dispatcher.model.source import Rule, Signature, Source
from dispatcher.settings.people import PersonEntry
from dispatcher.settings.schema import ChannelEntry, Contact, Main, RegionEntry, SenderEntry

DOCS = Path(__file__).parents[2] / "docs"
PAGE = (DOCS / "configuration.md").read_text()
MODELS: dict[str, type[BaseModel]] = {
    "`dispatcher.yaml`": Main, "`sender`": SenderEntry, "`sender.contact`": Contact, "`broker`": MqttSettings,
    "`journal`": JournalSettings, "`console`": ConsoleSettings, "`regions`": RegionEntry, "Channels": ChannelEntry,
    "`credential`": Credential, "Sources": Source, "`map`": Rule, "`signature`": Signature, "People": PersonEntry,
    "Tokens": TokensFile, "`tokens`": Entry,
}  # fmt: skip
NOTHING = (None, "", (), {})


def rows(heading: str) -> Iterator[list[str]]:
    """The cells of the tables below ``heading``, without marks of code and links."""
    [section] = re.findall(rf"^##+ {re.escape(heading)}\n(.*?)(?=^##|\Z)", PAGE, re.MULTILINE | re.DOTALL)
    for line in re.findall(r"^\|( .*)\|$", section, re.MULTILINE):
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
    assert read(example) is not None


@pytest.mark.parametrize("heading", MODELS)
def test_every_setting_is_on_the_page(heading: str) -> None:
    """Each field of a settings model has its row: with its true default, and an example that would be taken."""
    model, found = MODELS[heading], {row[0]: row for row in rows(heading) if row[0] != "setting"}
    assert set(found) == set(model.model_fields)
    for name, (_, default, example, *_) in found.items():
        held(f"{heading} {name}", model.model_fields[name], default, example)


def kind_rows() -> Iterator[tuple[str, str, str, str]]:
    """Kind, setting, default and example of every row of the table of kinds."""
    kind = ""
    for first, name, default, example, *_ in rows("Kinds of channel"):
        kind = first or kind
        if kind != "kind":
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
