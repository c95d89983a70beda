"""Meta's own tables of its Graph API, which say what parameters a call has and what fields a node, and whether a call is so."""

from __future__ import annotations

import functools
import json
import re
from pathlib import Path
from typing import Any
from urllib.parse import parse_qsl, urlsplit

import jsonschema

from dispatcher.channels.http import Answer, Request

_FILE = Path(__file__).parent / "published" / "meta" / "graph.json"
# What is asked of which node, behind the version; the group is an edge of it.
_NODES = {
    "facebook_page": {r"[A-Z]+ /(?:me|\d+)(?:/(\w+))?": "Page", r"[A-Z]+ /\d+_\d+(?:/(\w+))?": "PagePost"},
    "instagram": {r"GET /\d+()": "ShadowIGMediaBuilder", r"DELETE /\d+()": "IGMedia", r"[A-Z]+ /\d+/(\w+)": "IGUser"},
}
_ITSELF = {"GET": "#get", "POST": "#update", "DELETE": "#delete"}
# Every reading may name fields and every list its length: Graph API, "Overview" and "Paginated Results".
_ANYWHERE = {"GET": {"fields": {"type": "string"}, "limit": {"type": "string", "pattern": r"^\d+$"}}}
# An image's answer names its post beside it: Graph API reference, "Page Photos".
_BESIDE = {"post_id": {"type": "string"}}
# A number may be said in digits; times are written as in the Graph API's own examples.
_DIGITS = {"type": "string", "pattern": r"^\d+$"}
_TIME = {"type": "string", "pattern": r"^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\+0000$"}
_TYPES: dict[str, dict[str, Any]] = {
    "string": {"type": "string"}, "bool": {"enum": [True, False, "true", "false"]}, "datetime": _TIME,
    "int": {"anyOf": [{"type": "integer"}, _DIGITS]}, "float": {"type": "number"},
    "unsigned int": {"anyOf": [{"type": "integer", "minimum": 0}, _DIGITS]}, "list": {"type": "array"},
}  # fmt: skip


def check_tables(kind: str, prefix: str, request: Request, answer: Answer) -> tuple[bool, bool]:
    """Whether the tables know the call, and what it answers; raises where either is not as they say.

    Of changes and deletions they name the node and not the answer, which is read nowhere else.
    """
    call = _call(kind, f"{request.method} {_path(request, prefix)}")
    if call is None:
        return False, False
    given = _given(request)
    known = {p["name"]: _type(p["type"]) for p in call["params"]} | _ANYWHERE.get(request.method, {})
    _validate(given, known, [p["name"] for p in call["params"] if p["required"]])
    told = not call.get("name") or request.method == "GET"
    if told:
        _check_answer(call, given.get("fields", ""), answer)
    return True, told


def _path(request: Request, prefix: str) -> str:
    """What stands behind the version."""
    path = urlsplit(request.url).path
    assert path.startswith(prefix)
    return path.removeprefix(prefix).removeprefix(f"/{path.removeprefix(prefix).split('/')[1]}")


@functools.cache
def _tables() -> dict[str, Any]:
    return json.loads(_FILE.read_text())


def _call(kind: str, asked: str) -> dict[str, Any] | None:
    """The row of the call, None where no node has such an address; raises `ValueError` where the node has no such call."""
    method = asked.partition(" ")[0]
    for pattern, node in _NODES[kind].items():
        if found := re.fullmatch(pattern, asked):
            wanted = (method, found[1]) if found[1] else (method, _ITSELF.get(method))
            rows = [
                row
                for row in _tables()[node]["apis"]
                if (row["method"], row.get("endpoint", row.get("name"))) == wanted
            ]
            if len(rows) != 1:
                raise ValueError(f"{node} has no {wanted}")
            return rows[0]
    return None


def _given(request: Request) -> dict[str, Any]:
    """The parameters, which may stand in the query and in the body alike."""
    return {**dict(parse_qsl(urlsplit(request.url).query)), **(json.loads(request.body) if request.body else {})}


def _check_answer(call: dict[str, Any], asked: str, answer: Answer) -> None:
    """A node, or a list of nodes: the fields that were asked for exist, and no others are told than those and the id."""
    fields = {field["name"]: _type(field["type"]) for field in _tables()[call["return"]]["fields"]}
    names = asked.split(",") if asked else []
    assert set(names) <= set(fields), f"no such fields: {set(names) - set(fields)}"
    told = {name: fields[name] for name in {*names, "id"} & set(fields)}
    if call["method"] == "GET" and call.get("endpoint"):
        assert answer.json()["data"], "an empty list shows nothing"
        for row in answer.json()["data"]:
            _validate(row, told, names)
    else:
        _validate(answer.json(), {**told, **_BESIDE} if call["method"] == "POST" else told, names or ["id"])


def _validate(data: Any, properties: dict[str, Any], required: list[str]) -> None:
    shut = {"type": "object", "properties": properties, "required": required, "additionalProperties": False}
    jsonschema.Draft202012Validator(shut).validate(data)


def _type(name: str) -> dict[str, Any]:
    """A type of the tables as JSON Schema; nodes within nodes are objects."""
    if inner := re.fullmatch(r"list<(.+)>", name):
        return {"type": "array", "items": _type(inner[1])}
    values = {enum["name"]: enum["values"] for enum in _tables()["enum_types"]}
    return _TYPES.get(name) or ({"enum": values[name]} if name in values else {"type": "object"})
