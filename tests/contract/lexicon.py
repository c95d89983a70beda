"""Lexicons of the AT Protocol as JSON Schema, as far as a post needs them, and lengths that JSON Schema cannot count."""

from __future__ import annotations

import functools
import json
from pathlib import Path
from typing import Any
from urllib.parse import parse_qsl, urlsplit

import jsonschema

from dispatcher.channels.http import Answer, Request
from dispatcher.model.channel import TextLimit, Unit

# What lexicons call a blob is described with the data model: atproto.com, "Data Model".
_BLOB = {
    "type": "object",
    "properties": {
        "$type": {"const": "blob"}, "mimeType": {"type": "string"}, "size": {"type": "integer", "minimum": 1},
        "ref": {"type": "object", "properties": {"$link": {"type": "string"}}, "required": ["$link"]},
    },
    "required": ["$type", "ref", "mimeType", "size"],
}  # fmt: skip
_FOLDER = Path(__file__).parent / "published" / "atproto"


@functools.cache
def _lexicon(name: str) -> dict[str, Any]:
    return json.loads((_FOLDER / f"{name}.json").read_text())["defs"]


def check_record(record: dict[str, Any]) -> None:
    """Raise where ``record`` is no proper post."""
    record = dict(record)
    assert record.pop("$type") == "app.bsky.feed.post"
    _check(record, _lexicon("app.bsky.feed.post")["main"]["record"], "app.bsky.feed.post")


def check_call(request: Request, answer: Answer) -> tuple[bool, bool]:
    """Whether the lexicons describe what was said, and what was answered; raises where it is not as they say.

    An error has no description of its own, and bytes need none.
    """
    method = urlsplit(request.url).path.rpartition("/")[2]
    if not (_FOLDER / f"{method}.json").exists():
        return False, False
    main = _lexicon(method)["main"]
    if "parameters" in main:
        asked = dict(parse_qsl(urlsplit(request.url).query))
        assert set(main["parameters"]["required"]) <= set(asked) <= set(main["parameters"]["properties"])
    if "schema" in main.get("input", {}):
        data = json.loads(request.body)
        check_input(method, data)
        if "record" in data:
            check_record(data["record"])
    if answer.status == 200:
        check_output(method, answer.json())
    return True, answer.status == 200


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
        return {"anyOf": [_tagged(ref, home, strict=strict) for ref in definition["refs"]]}
    if kind == "blob":
        return _BLOB
    return {"type": kind} if kind in ("string", "integer", "boolean") else {}


def _referred(ref: str, home: str, *, strict: bool) -> dict[str, Any]:
    file, _, name = ref.partition("#")
    file = file or home
    if not (_FOLDER / f"{file}.json").exists():
        return {}
    return _schema(_lexicon(file)[name or "main"], file, strict=strict)


def _tagged(ref: str, home: str, *, strict: bool) -> dict[str, Any]:
    """One variant of a union, which names itself; of one that no copy is kept of, that alone is known."""
    name = f"{home}{ref}" if ref.startswith("#") else ref
    schema = _referred(ref, home, strict=strict) or {"type": "object", "properties": {}, "required": []}
    properties = {**schema["properties"], "$type": {"const": name}}
    return {**schema, "properties": properties, "required": [*schema["required"], "$type"]}
