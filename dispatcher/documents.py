"""Documents: YAML read as plain values that remember their lines, and models filled from them.

The dialect is YAML 1.2 without what makes a file surprising: no anchors, aliases, merge keys or tags, no key twice, one
document. A plain scalar is a null, boolean or number only where JSON would agree; everything else is text. So ``no`` is
a word, ``14:30`` is a time of day as written, and the municipality key ``03452`` keeps its zero.
"""

from __future__ import annotations

import difflib
import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any, TypeVar, get_args

import regex
from pydantic import BaseModel, ValidationError
from pydantic_core import ErrorDetails
from ruamel.yaml import YAML
from ruamel.yaml.error import YAMLError
from ruamel.yaml.events import (
    DocumentStartEvent,
    Event,
    MappingEndEvent,
    MappingStartEvent,
    ScalarEvent,
    SequenceEndEvent,
    SequenceStartEvent,
    StreamEndEvent,
)

from dispatcher.model.errors import ConfigurationError, Problem
from dispatcher.model.playbook import Misplaced

MAX_BYTES = 1024 * 1024
MAX_DEPTH = 32

Path = tuple[str | int, ...]
M = TypeVar("M", bound=BaseModel)

_CONSTANTS = {
    **dict.fromkeys(("", "~", "null", "Null", "NULL"), None),
    **dict.fromkeys(("true", "True", "TRUE"), True),
    **dict.fromkeys(("false", "False", "FALSE"), False),
}
# Controls, direction overrides, zero-width characters; but line ends, tabs, the joiners of emoji and of scripts that need
# them, and the marks that writing from right to left cannot do without.
_UNSEEN = regex.compile(r"[\p{Cc}\p{Cf}\p{Zl}\p{Zp}--[\n\t\u061c\u200c-\u200f]]", regex.V1)
_WHOLE = re.compile(r"-?(0|[1-9][0-9]{0,17})")
_DECIMAL = re.compile(r"-?(0|[1-9][0-9]{0,17})(\.[0-9]{1,17})?([eE][-+]?[0-9]{1,2})?")


@dataclass(frozen=True, slots=True)
class Document:
    """A file's values: ``data`` of plain dict, list, str, int, float, bool and None, with the line of every entry."""

    file: str
    data: dict[str, Any]
    lines: Mapping[Path, int]

    def line(self, path: Path) -> int | None:
        """Line, from 1, of the entry at ``path``, or of the nearest known entry above it."""
        while path and path not in self.lines:
            path = path[:-1]
        return self.lines.get(path)

    def problem(self, path: Path, message: str, remedy: str = "") -> Problem:
        """A problem with the entry at ``path``."""
        return Problem(self.file, self.line(path), ".".join(str(step) for step in path), message, remedy)


def read_yaml(text: str, file: str) -> Document:
    """The one mapping in ``text``; raises `ConfigurationError` that names ``file`` and line of what is refused."""
    reader = _Reader(text, file)
    if len(text.encode(errors="replace")) > MAX_BYTES:
        raise reader.refusal(None, (), f"larger than {MAX_BYTES // 1024} KiB", "split the file")
    try:
        data = reader.document()
    except (YAMLError, ValueError, OverflowError) as error:
        raise _syntax_refusal(text, file, error) from None
    return Document(file, data, reader.lines)


def validated(document: Document, model: type[M], at: Path = ()) -> M:
    """The part of ``document`` at ``at`` as a ``model``; raises `ConfigurationError` with a problem for each error."""
    data: Any = document.data
    for step in at:
        data = data[step]
    try:
        return model.model_validate(data)
    except ValidationError as error:
        found = [_problem(document, model, at, detail) for detail in error.errors()]
        raise ConfigurationError(_most_exact(found)) from None


class _Reader:
    """Builds values from parser events, without recursion deeper than `MAX_DEPTH`."""

    def __init__(self, text: str, file: str) -> None:
        self.file = file
        self.lines: dict[Path, int] = {(): 1}
        self.events: Iterator[Event] = YAML(typ="safe", pure=True).parse(text)

    def refusal(self, event: Event | None, path: Path, message: str, remedy: str) -> ConfigurationError:
        """The error that names this event's line."""
        line = event.start_mark.line + 1 if event else None
        return ConfigurationError([Problem(self.file, line, ".".join(str(s) for s in path), message, remedy)])

    def document(self) -> dict[str, Any]:
        """The whole text as one document."""
        next(self.events)  # the stream's start
        if isinstance(event := next(self.events), DocumentStartEvent):
            event = next(self.events)
        if not isinstance(event, MappingStartEvent):
            raise self.refusal(event, (), "no mapping at the top", "write keys and values, as in key: value")
        data: dict[str, Any] = self._node(event, ())
        next(self.events)  # the document's end
        if not isinstance(event := next(self.events), StreamEndEvent):
            raise self.refusal(event, (), "a second document", "one file holds one document")
        return data

    def _node(self, event: Event, path: Path) -> Any:
        if getattr(event, "anchor", None):
            raise self.refusal(event, path, "anchors and aliases are not read", "write the value out")
        if tag := getattr(event, "tag", None):
            raise self.refusal(event, path, f"the tag {tag} is not read", "leave it out")
        if isinstance(event, ScalarEvent):
            return self._scalar(event, path)
        if len(path) >= MAX_DEPTH:
            raise self.refusal(event, path, f"nested deeper than {MAX_DEPTH} levels", "make it flatter")
        return self._sequence(path) if isinstance(event, SequenceStartEvent) else self._mapping(path)

    def _scalar(self, event: ScalarEvent, path: Path) -> Any:
        try:
            event.value.encode()
        except UnicodeEncodeError:
            raise self.refusal(event, path, "half of a surrogate pair is no character", "write it itself") from None
        if found := _UNSEEN.search(event.value):
            raise self.refusal(
                event, path, f"U+{ord(found[0]):04X} cannot be seen, and may hide what is", "take it out"
            )
        return event.value if event.style else _plain(event.value)

    def _sequence(self, path: Path) -> list[Any]:
        items: list[Any] = []
        while not isinstance(event := next(self.events), SequenceEndEvent):
            here = (*path, len(items))
            self.lines[here] = event.start_mark.line + 1
            items.append(self._node(event, here))
        return items

    def _mapping(self, path: Path) -> dict[str, Any]:
        entries: dict[str, Any] = {}
        while not isinstance(event := next(self.events), MappingEndEvent):
            key = self._key(event, path)
            here = (*path, key)
            if key in entries:
                raise self.refusal(event, here, f"the key stands twice, first in line {self.lines[here]}", "keep one")
            self.lines[here] = event.start_mark.line + 1
            entries[key] = self._node(next(self.events), here)
        return entries

    def _key(self, event: Event, path: Path) -> str:
        if not isinstance(event, ScalarEvent):
            raise self.refusal(event, path, "a key must be text", "use a plain word as key")
        self._node(event, path)
        if event.value == "<<" and not event.style:
            raise self.refusal(event, path, "merge keys are not read", "write the entries out")
        return str(event.value)


def _plain(text: str) -> Any:
    if text in _CONSTANTS:
        return _CONSTANTS[text]
    if _WHOLE.fullmatch(text):
        return int(text)
    return float(text) if _DECIMAL.fullmatch(text) else text


def _syntax_refusal(text: str, file: str, error: Exception) -> ConfigurationError:
    mark = getattr(error, "problem_mark", None) or getattr(error, "context_mark", None)
    position = getattr(error, "position", None)  # of a character that no YAML may hold
    line = mark.line + 1 if mark else None if position is None else text.count("\n", 0, position) + 1
    said = getattr(error, "problem", None) or getattr(error, "reason", None) or str(error)
    remedy = "" if position is None else "take it out"
    return ConfigurationError([Problem(file, line, "", f"not YAML: {' '.join(str(said).split())}", remedy)])


def _problem(document: Document, model: type[BaseModel], at: Path, detail: ErrorDetails) -> Problem:
    kind, context = detail["type"], detail.get("ctx", {})
    cause = context.get("error")
    path = _known(document, (*at, *detail["loc"]), missing=kind == "missing")
    if isinstance(cause, Misplaced):
        return document.problem((*path, *cause.path), str(cause), cause.remedy)
    if kind == "extra_forbidden":
        names = _names(model, detail["loc"][:-1])
        return document.problem(path, "unknown key", _nearest(str(detail["loc"][-1]), names))
    if kind == "missing":
        return document.problem(path, "missing", "add it")
    if kind in ("enum", "literal_error"):
        allowed = re.findall(r"'([^']*)'", str(context["expected"]))
        return document.problem(path, f"{detail['input']!r} is not allowed", _nearest(str(detail["input"]), allowed))
    return document.problem(path, str(cause) if cause else _plainly(detail["msg"]))


def _plainly(message: str) -> str:
    """What pydantic says, about files instead of Python values."""
    return message.removeprefix("Input ").replace("valid tuple", "list").replace("valid string", "text")


def _known(document: Document, path: Path, *, missing: bool) -> Path:
    """``path`` as far as it stands in the file: validators add steps of their own, such as the arms of a union."""
    known: Path = ()
    for step in path:
        known = (*known, step) if (*known, step) in document.lines else known
    return (*known, path[-1]) if missing else known


def _most_exact(problems: Iterable[Problem]) -> list[Problem]:
    """Without those that another one inside the same entry, or an earlier one in it, explains better."""
    first = {problem.field: problem for problem in reversed(list(problems))}
    inside = {field for field in first for other in first if field and other.startswith(f"{field}.")}
    return [problem for field, problem in reversed(first.items()) if field not in inside]


def _names(model: type[BaseModel], path: Path) -> list[str]:
    """Keys that may stand at ``path``."""
    models = [model]
    for step in path:
        annotations = [m.model_fields[str(step)].annotation for m in models if str(step) in m.model_fields]
        models = [inner for annotation in annotations for inner in _models_in(annotation)] or models
    return sorted({name for candidate in models for name in candidate.model_fields})


def _models_in(annotation: Any) -> list[type[BaseModel]]:
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return [annotation]
    return [found for part in get_args(annotation) for found in _models_in(part)]


def _nearest(word: str, allowed: list[str]) -> str:
    close = difflib.get_close_matches(word, allowed, n=1)
    return f'did you mean "{close[0]}"?' if close else f"allowed: {', '.join(allowed)}"
