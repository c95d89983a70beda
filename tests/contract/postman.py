"""A Postman collection as a description: what its requests name, and what its examples of answers look like."""

from __future__ import annotations

import functools
import json
import re
from pathlib import Path
from typing import Any
from urllib.parse import parse_qsl, urlsplit

import jsonschema

from dispatcher.channels.http import Answer, Request

_FILE = Path(__file__).parent / "published" / "threads" / "collection.json"
_CREDENTIAL = "access_token"  # the collection adds it to every request
_JSON = {str: "string", bool: "boolean", int: "integer", float: "number", type(None): "null"}


def check_collection(prefix: str, request: Request, answer: Answer) -> tuple[bool, bool]:
    """Whether the collection has the request, and an example of its answer; raises where either is otherwise.

    Parameters count by name, wherever they stand: in the collection all are in the query.
    """
    items = [item for item in _collection()["item"] if _is_called(item["request"], prefix, request)]
    if not items:
        return False, False
    given = {**dict(parse_qsl(urlsplit(request.url).query)), **dict(parse_qsl(request.body.decode()))}
    fitting = [item for item in items if _fits(item["request"]["url"].get("query", []), given)]
    assert fitting, f"{[item['name'] for item in items]} are not asked for with {given}"
    [example] = [response["body"] for response in fitting[0]["response"]]
    if example:
        asked = {"data", *given["fields"].split(",")} if "fields" in given else None
        jsonschema.Draft202012Validator(_alike(json.loads(example), asked)).validate(answer.json())
    return True, bool(example)


@functools.cache
def _collection() -> dict[str, Any]:
    return json.loads(_FILE.read_text())


def _is_called(known: dict[str, Any], prefix: str, request: Request) -> bool:
    """By method and path; a variable within a path stands for a number."""
    steps = [r"\d+" if step.startswith("{{") else re.escape(step) for step in known["url"]["path"] if step]
    path = urlsplit(request.url).path
    assert path.startswith(prefix)
    return known["method"] == request.method and bool(re.fullmatch("/" + "/".join(steps), path.removeprefix(prefix)))


def _fits(known: list[dict[str, Any]], given: dict[str, str]) -> bool:
    """Everything that is switched on is given, and nothing that is not known; a kind of medium and fields are as they are there."""
    needed = {row["key"] for row in known if not row.get("disabled")}
    values = {row["key"]: _value(row["value"]) for row in known}
    medium = values.get("media_type") == given.get("media_type")
    fields = set(given.get("fields", "").split(",")) <= set(values.get("fields", "").split(","))
    return needed <= set(given) <= {*values, _CREDENTIAL} and medium and fields


def _value(said: str) -> str:
    """Itself, or that of the variable which it names."""
    return {f"{{{{{row['key']}}}}}": row["value"] for row in _collection()["variable"]}.get(said, said)


def _alike(example: Any, asked: set[str] | None) -> dict[str, Any]:
    """As JSON Schema: the same names and types, times written alike; of what was asked for by name, only that is needed."""
    if isinstance(example, dict):
        properties = {name: _alike(value, asked) for name, value in example.items()}
        required = [name for name in example if asked is None or name in asked]
        return {"type": "object", "properties": properties, "required": required, "additionalProperties": False}
    if isinstance(example, list):
        return {"type": "array", "minItems": 1, "items": _alike(example[0], asked)}
    if isinstance(example, str) and re.match(r"\d{4}-\d\d-\d\dT", example):
        return {"type": "string", "pattern": f"^{re.sub('[0-9]', '[0-9]', re.escape(example))}$"}
    return {"type": _JSON[type(example)]}
