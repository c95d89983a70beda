"""JSON Schemas (2020-12) of what people and systems write for this program: incident events, playbooks, settings.

The event's schema says what a sender should send. The reader takes more: what is odd in a field is warned about and
never a reason to refuse an alarm.
"""

from __future__ import annotations

import json
import operator
from collections.abc import Mapping
from functools import reduce
from typing import Annotated, Any, Literal

import typer
from pydantic import AwareDatetime, BaseModel, ConfigDict, Field, create_model

from dispatcher.channels.base import kinds
from dispatcher.model.account import MAX_ASSIGNED, OFFICER
from dispatcher.model.cap import Certainty, MsgType, Severity, Status, Urgency
from dispatcher.model.incident import MAX_LIST, MAX_PLACE, MAX_TEXT
from dispatcher.model.playbook import Id as ChannelKey
from dispatcher.model.playbook import Playbook
from dispatcher.model.source import Source
from dispatcher.settings.channels import entry_model
from dispatcher.settings.people import PeopleFile
from dispatcher.settings.schema import Main, SourcesFile

DIALECT = "https://json-schema.org/draft/2020-12/schema"

Id = Annotated[str, Field(min_length=1, max_length=200)]
Longitude = Annotated[float, Field(ge=-180, le=180)]
Latitude = Annotated[float, Field(ge=-90, le=90)]
FactValue = Annotated[str, Field(max_length=MAX_TEXT)] | bool | int | float
Fact = FactValue | Annotated[list[FactValue], Field(max_length=MAX_LIST)]


class Circle(BaseModel):
    """A round area on WGS 84."""

    center: tuple[Longitude, Latitude] = Field(description="longitude, latitude in degrees")
    radius: float = Field(gt=0, description="metres")


class AreaSchema(BaseModel):
    """Where it is: named regions, or one shape. A shape is kept as it came and a person is asked for the regions."""

    model_config = ConfigDict(json_schema_extra={"minProperties": 1})

    regions: list[Id] = Field(
        default_factory=list,
        max_length=MAX_LIST,
        description="region ids of the configuration, or AGS",
        examples=[["osnabrueck-stadt", "03459"]],
    )
    point: tuple[Longitude, Latitude] | None = Field(default=None, description="longitude, latitude in degrees")
    circle: Circle | None = None
    geometry: dict[str, Any] | None = Field(default=None, description="GeoJSON geometry (RFC 7946)")


class EventSchema(BaseModel):
    """One message about an incident, JSON v1, keyed by source and id. Unknown fields are kept and warned about."""

    model_config = ConfigDict(
        title="Incident event v1",
        json_schema_extra={"anyOf": [{"required": ["place"]}, {"required": ["area"]}]},
    )

    v: Literal[1] = Field(description="version of this format")
    id: Id = Field(description="id of this message, the same in every repeat of it", examples=["els-2031-0007-1"])
    source: Id | None = Field(default=None, description="must equal the topic's source level or the token's source")
    incident: Id = Field(
        description="id of what happens out there, the same in all messages about it", examples=["els-2031-0007"]
    )
    msg_type: MsgType = Field(default=MsgType.ALERT, description="a cancel prepares the all-clear; people release it")
    status: Status = Field(description="a live daemon takes actual only, an exercise daemon exercise and test")
    kind: Id = Field(description="what happens, as playbooks match it", examples=["amok", "bomb_threat"])
    sent: AwareDatetime | None = Field(
        default=None,
        description="with offset; without it the time of receipt counts",
        examples=["2031-05-14T10:21:07+02:00"],
    )
    place: str | None = Field(
        default=None,
        min_length=1,
        max_length=MAX_PLACE,
        description="where, as the public shall read it",
        examples=["Berufsschule am Westring"],
    )
    area: AreaSchema | None = Field(default=None, description="may be left out where one region is configured")
    severity: Severity | None = Field(default=None, description="the playbook's own where it is missing")
    urgency: Urgency | None = Field(default=None, description="CAP urgency")
    certainty: Certainty | None = Field(default=None, description="CAP certainty")
    expires: AwareDatetime | None = Field(
        default=None, description="with offset; nothing is sent after it", examples=["2031-05-14T14:00:00+02:00"]
    )
    sequence: int | None = Field(default=None, description="order of messages about one incident")
    facts: dict[str, Fact] = Field(
        default_factory=dict, description="details that texts may name", examples=[{"gate": "Nordtor"}]
    )
    reason: str | None = Field(default=None, max_length=200, description="of a cancel: all_clear or false_alarm")
    playbooks: list[Id] = Field(
        default_factory=list, max_length=MAX_LIST, description="playbooks to use, from operators only"
    )
    assigned: list[Annotated[str, Field(pattern=OFFICER)]] = Field(
        default_factory=list, max_length=MAX_ASSIGNED,
        description="numbers of officers at work on it: nothing is said on their own accounts", examples=[["4711"]],
    )  # fmt: skip


def schema(subject: Literal["event", "playbook", "config", "sources", "people"]) -> None:
    """Print the schema of ``subject`` on standard output."""
    made = {
        "event": event_schema, "playbook": playbook_schema, "config": config_schema, "sources": sources_schema,
        "people": people_schema,
    }[subject]()  # fmt: skip
    typer.echo(json.dumps(made, ensure_ascii=False, indent=2))


def event_schema() -> dict[str, Any]:
    """What an incident event, JSON v1, should look like."""
    return {"$schema": DIALECT, **EventSchema.model_json_schema()}


def playbook_schema() -> dict[str, Any]:
    """What a playbook file may say."""
    return {"$schema": DIALECT, **Playbook.model_json_schema()}


def sources_schema() -> dict[str, Any]:
    """What the file of systems that report incidents may say."""
    whole = create_model("Sources", __base__=SourcesFile, sources=(Mapping[str, Source], ...))
    return {"$schema": DIALECT, **whole.model_json_schema()}


def people_schema() -> dict[str, Any]:
    """What the file of people who are paged may say."""
    return {"$schema": DIALECT, **PeopleFile.model_json_schema()}


def config_schema() -> dict[str, Any]:
    """What the main file may say, with the fields of every kind of channel beside those that all share, and sources."""
    entry = reduce(operator.or_, (entry_model(kind) for kind in kinds()))
    channels = Mapping[ChannelKey, Annotated[entry, Field(discriminator="kind")]]  # type: ignore[valid-type]
    whole = create_model(
        "Configuration", __base__=Main, channels=(channels, Field(default_factory=dict)),
        sources=(Mapping[str, Source], Field(default_factory=dict)),
    )  # fmt: skip
    made = whole.model_json_schema()
    for part in made["$defs"].values():  # a kind may take its credential in words of its own: a webhook's secret_file
        part["required"] = [name for name in part.get("required", ()) if name != "credential"]
    return {"$schema": DIALECT, **made}
