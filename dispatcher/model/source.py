"""Systems that tell us of incidents: how their own words are read, where they speak, and how we know that it is they."""

from __future__ import annotations

import base64
import binascii
import re
from collections.abc import Mapping
from datetime import timedelta
from typing import Annotated, Any, Self
from zoneinfo import ZoneInfo

from pydantic import AfterValidator, BeforeValidator, Field, model_validator

from dispatcher.model.incident import KNOWN
from dispatcher.model.playbook import Misplaced, Span, Strict

_POINTER = re.compile(r"(/([^~/]|~[01])*)*")
_FILTER = re.compile(r"[^#+\s]*(\+(/[^#+\s]*)*)*(#)?")
_NESTED = re.compile(r"facts\.[a-z][a-z0-9_]{0,39}|area\.(regions|point|circle|geometry)")
OPERATOR = "operator:"  # begins the name of a source that is a person
REQUIRED = ("id", "incident", "kind", "status")


def _pointer(value: str) -> str:
    if not _POINTER.fullmatch(value):
        raise Misplaced((), f"{value!r} is no JSON pointer", "write it like /einsatz/nummer (RFC 6901)")
    return value


def _key(value: str) -> str:
    try:
        raw = base64.b64decode(value, validate=True)
    except binascii.Error:
        raw = b""
    if len(raw) != 32:
        raise Misplaced((), "no Ed25519 public key", "take the line that `dispatcher sign keygen` prints")
    return value


Pointer = Annotated[str, AfterValidator(_pointer)]
PublicKey = Annotated[str, AfterValidator(_key)]


def person_of(source: str) -> str | None:
    """The person behind an event's source; a machine is nobody."""
    return source.removeprefix(OPERATOR) or None if source.startswith(OPERATOR) else None


class Rule(Strict):
    """Where one field of an event comes from: the first pointer that finds something, a fixed value, or the digest.

    ``table`` translates what was found; what it does not list counts as not said, unless there is a ``default``.
    """

    pointers: tuple[Pointer, ...] = ()
    table: Mapping[str, Any] = Field(default_factory=dict)
    default: Any = None
    value: Any = None
    digest: bool = Field(default=False, description="the SHA-256 of the message, for systems without ids")

    @model_validator(mode="after")
    def _one_origin(self) -> Self:
        if (len(self.pointers) > 0) + (self.value is not None) + self.digest != 1:
            raise ValueError("give pointers, value or digest, one of them")
        return self


class WrittenRule(Rule):
    """A rule as a file may have it, for the printed schema: a single pointer needs no list."""

    pointer: Pointer | None = None


def _rule(value: Any) -> Any:
    """A pointer alone, or several, stand for a rule."""
    if isinstance(value, str):
        return {"pointers": [value]}
    if isinstance(value, list):
        return {"pointers": value}
    if isinstance(value, dict) and "pointer" in value and "pointers" not in value:
        return {**{k: v for k, v in value.items() if k != "pointer"}, "pointers": [value["pointer"]]}
    return value


class Signature(Strict):
    """Whose signature every event of a source must carry. ``fresh_for``: how far its ``sent`` may be from now."""

    keys: Mapping[str, PublicKey] = Field(min_length=1, description="Ed25519 public keys by key id, base64")
    fresh_for: Span = timedelta(minutes=5)


MapRule = Annotated[Rule, BeforeValidator(_rule, json_schema_input_type=Pointer | list[Pointer] | WrittenRule)]


class Source(Strict):
    """One system that reports incidents. Without ``map`` it speaks JSON v1."""

    map: Mapping[str, MapRule] = Field(
        default_factory=dict, description="fields of the event, by name",
        json_schema_extra={"if": {"minProperties": 1}, "then": {"required": [*REQUIRED]}},
    )  # fmt: skip
    timezone: ZoneInfo | None = Field(default=None, description="of times that come without an offset")
    time_format: str = Field(default="", max_length=40, description="of times that are not ISO 8601, as in strptime")
    topic: str = Field(default="", max_length=200, description="MQTT topic filter that is this source's alone")
    heartbeat_topic: str = Field(default="", max_length=200, description="where it says that it lives")
    heartbeat: Span | None = Field(default=None, description="it is heard of at least so often, or staff are paged")
    sequence: bool = Field(default=False, description="a gap in its `sequence` is paged")
    max_age: Span | None = None
    signature: Signature | None = None

    @model_validator(mode="after")
    def _known_fields(self) -> Self:
        for name in self.map:
            if name in ("v", "source", "facts", "area") or not (name in KNOWN or _NESTED.fullmatch(name)):
                fields = ", ".join(sorted(KNOWN - {"v", "source", "facts", "area"}))
                raise Misplaced(("map", name), "no field of an event", f"known: {fields}, facts.<name>, area.regions")
        if missing := [name for name in REQUIRED if self.map and name not in self.map]:
            raise Misplaced(("map",), f"nothing for {', '.join(missing)}", "every event needs them")
        for name in ("topic", "heartbeat_topic"):
            if not _FILTER.fullmatch(getattr(self, name)):
                raise Misplaced((name,), "no MQTT topic filter", "+ stands for one level, # at the end for all below")
        return self
