"""The description of the HTTP interface (OpenAPI 3.1), made from the table of routes and nothing else."""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import Any, Final

from aiohttp import web
from pydantic import BaseModel
from pydantic.json_schema import models_json_schema

from dispatcher import __version__
from dispatcher.console.routing import COOKIE, Route
from dispatcher.console.schemas import Nothing, Raw

DESCRIPTION: Final = web.AppKey("description", str)

_REF: Final = "#/components/schemas/{model}"
_PROBLEM: Final[dict[str, Any]] = {
    "type": "object", "title": "Problem", "description": "RFC 9457", "required": ["type", "title", "status", "detail"],
    "properties": {"type": {"type": "string"}, "title": {"type": "string"}, "status": {"type": "integer"},
                   "detail": {"type": "string"}, "field": {"type": "string"}, "errors": {"type": "array"}},
}  # fmt: skip
_ERROR: Final = {"description": "a problem", "content": {
    "application/problem+json": {"schema": {"$ref": _REF.format(model="Problem")}}}}  # fmt: skip
_KEY: Final = {"name": "Idempotency-Key", "in": "header", "required": False,
               "schema": {"type": "string", "maxLength": 200}}  # fmt: skip


def describe(routes: Iterable[Route]) -> dict[str, Any]:
    """The whole document."""
    table = list(routes)
    models: list[type[BaseModel]] = sorted({r.reads for r in table if r.method != "GET"}, key=lambda m: m.__name__)
    _, schemas = models_json_schema([(model, "validation") for model in models], ref_template=_REF)
    paths: dict[str, dict[str, Any]] = {}
    for route in table:
        paths.setdefault(route.path, {})[route.method.lower()] = _operation(route)
    return {
        "openapi": "3.1.0", "info": {"title": "dispatcher", "version": __version__}, "paths": paths,
        "components": {
            "schemas": {**schemas.get("$defs", {}), "Problem": _PROBLEM},
            "securitySchemes": {
                "bearer": {"type": "http", "scheme": "bearer"},
                "session": {"type": "apiKey", "in": "cookie", "name": COOKIE},
            },
        },
    }  # fmt: skip


def _operation(route: Route) -> dict[str, Any]:
    """One method of one path."""
    operation: dict[str, Any] = {
        "summary": route.summary, "parameters": _parameters(route),
        "responses": {"2XX": {"description": "done"}, "default": _ERROR},
        "security": [{"bearer": []}, {"session": []}] if route.role else [],
    }  # fmt: skip
    if route.role:
        operation["description"] = f"Role: {route.role}."
    if route.method == "POST" and route.reads is not Nothing:
        schema = {"$ref": _REF.format(model=route.reads.__name__)} if route.reads is not Raw else {"type": "object"}
        operation["requestBody"] = {"required": True, "content": {"application/json": {"schema": schema}}}
    return operation


def _parameters(route: Route) -> list[dict[str, Any]]:
    """What stands in the path, in the query and in the headers."""
    found: list[dict[str, Any]] = [
        {"name": name, "in": "path", "required": True, "schema": {"type": "string"}}
        for name in re.findall(r"{(\w+)}", route.path)
    ]
    if route.method == "GET":
        schema = route.reads.model_json_schema()
        found += [{"name": name, "in": "query", "schema": _inlined(part, schema.get("$defs", {}))}
                  for name, part in schema.get("properties", {}).items()]  # fmt: skip
    return [*found, _KEY] if {"facts"} & set(route.reads.model_fields) else found


def _inlined(part: Any, definitions: dict[str, Any]) -> Any:
    """A schema without references: a query has no place to keep definitions."""
    if isinstance(part, list):
        return [_inlined(item, definitions) for item in part]
    if not isinstance(part, dict):
        return part
    if "$ref" in part:
        return definitions[part["$ref"].rpartition("/")[2]]
    return {key: _inlined(value, definitions) for key, value in part.items()}
