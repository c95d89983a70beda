"""Published descriptions of HTTP APIs (Swagger 2, OpenAPI 3), and whether what was said is as they have it."""

from __future__ import annotations

import functools
import json
import re
import socket
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import parse_qsl, unquote, urlsplit

import jsonschema
from ruamel.yaml import YAML

from dispatcher.channels._cards import Cards, NoCards
from dispatcher.channels._subscribers import Subscribers
from dispatcher.channels.http import Answer, Outbound, Request

_FOLDER = Path(__file__).parent / "published"
_ELSEWHERE = {"whatsapp_channel": "waha", "sms/twilio": "twilio"}  # folders that are not called as their kinds


@dataclass
class Book:
    """The way out, with a book of what was asked and answered."""

    http: Outbound
    said: list[tuple[Request, Answer]] = field(default_factory=list)
    cards: Cards = field(default_factory=NoCards)

    @property
    def subscribers(self) -> Subscribers:
        """Who has signed up."""
        return self.http.subscribers

    async def request(self, request: Request) -> Answer:
        """Send it, and note both sides."""
        answer = await self.http.request(request)
        self.said.append((request, answer))
        return answer

    async def dial(self, host: str, port: int) -> socket.socket:
        """Connect."""
        return await self.http.dial(host, port)


@functools.cache
def _documents(folder: str) -> list[dict[str, Any]]:
    """A folder's descriptions; JSON is YAML as well."""
    files = [
        path
        for path in sorted((_FOLDER / _ELSEWHERE.get(folder, folder)).iterdir())
        if path.suffix in (".json", ".yaml")
    ]
    return [json.loads(f.read_text()) if f.suffix == ".json" else YAML(typ="safe").load(f) for f in files]


def check(folder: str, prefix: str, request: Request, answer: Answer) -> str:
    """The described call that this was, empty where none is; raises where it is not as described.

    ``prefix`` is what stands before the described paths.
    """
    url = urlsplit(request.url)
    assert url.path.startswith(prefix)
    for document, template, path in _paths(folder):
        names = re.findall(r"\{([\w-]+)\}", template)
        pattern = re.sub(r"\\{[\w\\-]+\\}", "([^/]+)", re.escape(template))
        found = re.fullmatch(pattern, url.path.removeprefix(prefix))
        if found and (operation := path.get(request.method.lower())):
            given = dict(zip(names, map(unquote, found.groups()), strict=True))
            if not _addressed(operation, given):
                continue
            _check_request(document, operation, request, {**dict(parse_qsl(url.query)), **given})
            _check_answer(document, operation, answer)
            return f"{request.method} {template}"
    return ""


def _addressed(operation: dict[str, Any], given: dict[str, str]) -> bool:
    """Whether what stands in the path can be what is described there: an id has its form."""
    ids = [parameter for parameter in operation.get("parameters", []) if parameter["in"] == "path"]
    return all(re.search(p.get("schema", {}).get("pattern", ""), given.get(p["name"], "")) for p in ids)


def _paths(folder: str) -> Iterator[tuple[dict[str, Any], str, dict[str, Any]]]:
    for document in _documents(folder):
        for template, path in document["paths"].items():
            yield document, template, path


def _check_request(
    document: dict[str, Any], operation: dict[str, Any], request: Request, given: dict[str, str]
) -> None:
    parameters = operation.get("parameters", [])
    known = {parameter["name"]: parameter for parameter in parameters if parameter["in"] in ("path", "query")}
    assert set(given) <= set(known)
    for name, value in given.items():
        _validate(document, value, {key: v for key, v in known[name].get("schema", {}).items() if key == "pattern"})
    if schema := _body(operation):
        _validate(document, _said(request), schema, strict=True)


def _said(request: Request) -> Any:
    """JSON, or a form's fields, their numbers in digits, or its parts by their names; how a file looks is not described."""
    if request.headers["Content-Type"] == "application/x-www-form-urlencoded":
        return {name: int(said) if said.isdecimal() else said for name, said in parse_qsl(request.body.decode())}
    if request.headers["Content-Type"].startswith("multipart/form-data"):
        return dict.fromkeys(re.findall(r'(?<=form-data; name=")\w+(?=")', request.body.decode(errors="replace")), "")
    return json.loads(request.body)


def _body(operation: dict[str, Any]) -> dict[str, Any] | None:
    """What a JSON body has to be; a form's fields are the names that its JSON may have."""
    if "requestBody" in operation:
        [described] = operation["requestBody"]["content"].values()
        return described["schema"]
    parameters = operation.get("parameters", [])
    body = [parameter["schema"] for parameter in parameters if parameter["in"] == "body"]
    fields = {p["name"]: p for p in parameters if p["in"] == "formData"}
    required = [name for name, p in fields.items() if p.get("required")]
    form = {"type": "object", "properties": {name: {} for name in fields}, "required": required}
    return body[0] if body else form if fields else None


def _check_answer(document: dict[str, Any], operation: dict[str, Any], answer: Answer) -> None:
    responses = {str(status): response for status, response in operation["responses"].items()}
    response = responses[str(answer.status) if str(answer.status) in responses else "default"]
    content = response.get("content", {}).get("application/json", response)
    if "schema" in content:
        _validate(document, answer.json(), content["schema"])


def _validate(document: dict[str, Any], data: Any, schema: dict[str, Any], *, strict: bool = False) -> None:
    while "$ref" in schema:
        schema = functools.reduce(lambda at, step: at[step], schema["$ref"].removeprefix("#/").split("/"), document)
    if "swagger" in document:
        closed, dialect = "additionalProperties", jsonschema.Draft4Validator
    else:
        closed, dialect = "unevaluatedProperties", jsonschema.Draft202012Validator
    shut = {closed: False} if strict and not {"properties", "anyOf", "allOf"}.isdisjoint(schema) else {}
    known = {name: document.get(name, {}) for name in ("definitions", "components")}
    dialect({**schema, **shut, **known}).validate(data)
