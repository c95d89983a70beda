"""Lexicons of the AT Protocol as JSON Schema, as far as a post needs them, and lengths that JSON Schema cannot count."""

from __future__ import annotations

import functools
import json
from pathlib import Path
from typing import Any

import jsonschema

from dispatcher.model.channel import TextLimit, Unit

_FOLDER = Path(__file__).parent / "published" / "atproto"


@functools.cache
def _lexicon(name: str) -> dict[str, Any]:
    return json.loads((_FOLDER / f"{name}.json").read_text())["defs"]


def check_record(record: dict[str, Any]) -> None:
    """Raise where ``record`` is no proper post."""
    record = dict(record)
    assert record.pop("$type") == "app.bsky.feed.post"
    _check(record, _lexicon("app.bsky.feed.post")["main"]["record"], "app.bsky.feed.post")


def check_input(method: str, data: dict[str, Any]) -> None:
    """Raise where ``data`` is no proper input of the procedure ``method``."""
    _check(data, _lexicon(method)["main"]["input"]["schema"], method)


def check_output(method: str, data: dict[str, Any]) -> None:
    """Raise where ``data`` is no proper answer of ``method``."""
    _check(data, _lexicon(method)["main"]["output"]["schema"], method, strict=False)


def _check(data: Any, definition: dict[str, Any], home: str, *, strict: bool = True) -> None:
    jsonschema.validate(data, _schema(definition, home, strict=strict))
    for name, field in definition["properties"].items():
        if "maxGraphemes" in field and name in data:
            assert TextLimit(Unit.GRAPHEMES, field["maxGraphemes"]).fits(data[name])
            assert len(data[name].encode()) <= field["maxLength"]  # lexicons count bytes


def _schema(definition: dict[str, Any], home: str, *, strict: bool) -> dict[str, Any]:
    kind = definition["type"]
    if kind == "object":
        properties = {k: _schema(v, home, strict=strict) for k, v in definition["properties"].items()}
        required = definition.get("required", [])
        return {"type": "object", "properties": properties, "required": required, "additionalProperties": not strict}
    if kind == "array":
        items = _schema(definition["items"], home, strict=strict)
        return {"type": "array", "items": items, "maxItems": definition.get("maxLength", 1000)}
    if kind == "ref":
        return _referred(definition["ref"], home, strict=strict)
    if kind == "union":
        local = [ref for ref in definition["refs"] if ref.startswith("#")]
        return {"anyOf": [_tagged(ref, home, strict=strict) for ref in local]} if local else {}
    return {"type": kind} if kind in ("string", "integer", "boolean") else {}


def _referred(ref: str, home: str, *, strict: bool) -> dict[str, Any]:
    file, _, name = ref.partition("#")
    file = file or home
    if not (_FOLDER / f"{file}.json").exists():
        return {}
    return _schema(_lexicon(file)[name or "main"], file, strict=strict)


def _tagged(ref: str, home: str, *, strict: bool) -> dict[str, Any]:
    """One variant of a union, which names itself."""
    schema = _referred(ref, home, strict=strict)
    schema["properties"]["$type"] = {"const": f"{home}{ref}"}
    return {**schema, "required": [*schema["required"], "$type"]}
