"""Systems that speak their own JSON: their words become the fields of an event by the rules of a map. Pure."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from datetime import datetime
from typing import Any

from dispatcher.model.source import Rule, Source

_TIMES = frozenset({"sent", "expires"})
_ABSENT = object()
_FEW = 60


def translate(data: Mapping[str, Any], source: Source, payload: bytes) -> tuple[dict[str, Any], tuple[str, ...]]:
    """The fields of event JSON v1 that ``source``'s map finds in ``data``, and notes on what it did not."""
    event: dict[str, Any] = {"v": 1}
    notes: list[str] = []
    for field, rule in source.map.items():
        value = _value(field, rule, data, payload, notes)
        if value is None:
            continue
        if field in _TIMES:
            value = _moment(value, source)
        _put(event, field, value)
    return event, tuple(notes)


def _value(field: str, rule: Rule, data: Mapping[str, Any], payload: bytes, notes: list[str]) -> Any:
    if rule.digest:
        return hashlib.sha256(payload).hexdigest()[:32]
    if rule.value is not None:
        return rule.value
    found = next((value for p in rule.pointers if (value := pointed(data, p)) not in (_ABSENT, None)), _ABSENT)
    if found is _ABSENT:
        if rule.default is None:
            notes.append(f"{field}: nothing at {', '.join(rule.pointers)}")
        return rule.default
    return _looked_up(field, rule, found, notes) if rule.table else found


def _looked_up(field: str, rule: Rule, found: Any, notes: list[str]) -> Any:
    """What the table makes of a value, or of each of a list."""
    if isinstance(found, list):
        values = [rule.table.get(str(item), _ABSENT) for item in found]
        if any(value is _ABSENT for value in values):
            notes.append(f"{field}: not all of {str(found)[:_FEW]} are in the table")
            return rule.default
        return values
    # "true" and "True" read alike: JSON's word is what the table's author sees.
    value = rule.table.get(str(found).lower() if isinstance(found, bool) else str(found), _ABSENT)
    if value is _ABSENT:
        notes.append(f"{field}: {str(found)[:_FEW]!r} is not in the table")
        return rule.default
    return value


def pointed(data: Any, pointer: str) -> Any:
    """What a JSON pointer (RFC 6901) leads to in ``data``; a private mark where it leads nowhere."""
    for step in pointer.split("/")[1:]:
        name = step.replace("~1", "/").replace("~0", "~")
        if isinstance(data, Mapping):
            data = data.get(name, _ABSENT)
        elif isinstance(data, list) and name.isdecimal() and name.isascii() and len(name) < 5 and int(name) < len(data):
            data = data[int(name)]
        else:
            return _ABSENT
    return data


def _moment(value: Any, source: Source) -> Any:
    """A time with an offset where the source's zone or format tells one; else as it came, to be judged as such."""
    try:
        moment = datetime.strptime(str(value), source.time_format) if source.time_format else (  # noqa: DTZ007 - below
            datetime.fromisoformat(str(value)))  # fmt: skip
    except ValueError:
        return value
    if moment.tzinfo is None and source.timezone is not None:
        moment = moment.replace(tzinfo=source.timezone)
    return moment.isoformat()


def _put(event: dict[str, Any], field: str, value: Any) -> None:
    parent, _, child = field.partition(".")
    if not child:
        event[field] = value
        return
    if child == "regions":
        value = [str(item) for item in value] if isinstance(value, list) else [str(value)]
    event.setdefault(parent, {})[child] = value
