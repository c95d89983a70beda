"""Facts of an incident on their way into a text: declared, typed, sized, and read by a person or declared public."""

from __future__ import annotations

import math
import re
from collections.abc import Mapping
from datetime import datetime
from typing import Any

import regex

from dispatcher.model.incident import clean
from dispatcher.model.playbook import FactSpec

_LINK = regex.compile(
    r"://|\bwww\.|\w[.．。｡](?:\p{L}{2}|app|biz|com|dev|edu|gov|info|net|online|org|page|shop|site|top|xn--\w+|xyz)(?!\w)",
    regex.IGNORECASE,
)
_TIME_OF_DAY = re.compile(r"([01]?[0-9]|2[0-3]):[0-5][0-9]")


def disclosed(
    specs: Mapping[str, FactSpec], facts: Mapping[str, Any], *, public_only: bool, now: datetime
) -> tuple[dict[str, str], tuple[str, ...]]:
    """Every declared fact as the text it is written as, empty where there is none to say, with notes on why.

    ``public_only`` lets only facts through that are declared public. ``now`` gives the time zone that times are told in.
    """
    texts: dict[str, str] = dict.fromkeys(specs, "")
    notes = []
    for name, spec in specs.items():
        if name not in facts:
            notes += [f"{name}: required, but not given"] if spec.required else []
        elif public_only and unread(spec, facts[name]):
            what = "holds a link" if spec.public else "is not public"
            notes.append(f"{name}: left out, as it {what} and no person has read it")
        else:
            try:
                texts[name] = written(spec, facts[name], now)
            except ValueError as error:
                notes.append(f"{name}: left out, {error}")
    return texts, tuple(notes)


def unread(spec: FactSpec, value: Any) -> bool:
    """Whether ``value`` may go out only once a person has read it."""
    return not spec.public or holds_link(value)


def holds_link(value: Any) -> bool:
    """Whether phones would make something in ``value`` a link, also where letters only look like those of a known address."""
    # Alone, for giving the interpreter's lock away and getting it back takes a hundred times as long as the search.
    return isinstance(value, str) and _LINK.search(value, concurrent=False) is not None


def written(spec: FactSpec, value: Any, now: datetime) -> str:
    """``value`` as it stands in a text; raises `ValueError` where it is not what ``spec`` declares."""
    if spec.type == "number":
        return _number(value, spec.max)
    if spec.type == "time":
        return _time(value, now)
    text = clean(str(value), spec.max) if isinstance(value, str | int) and not isinstance(value, bool) else ""
    if not text:
        raise ValueError(f"no text of 1 to {spec.max} characters")
    return text


def _number(value: Any, digits: int) -> str:
    finite = isinstance(value, int) or (isinstance(value, float) and math.isfinite(value))
    if isinstance(value, bool) or not finite:
        raise ValueError("no number")
    if abs(value) >= 10**digits:
        raise ValueError(f"more than {digits} digits")
    return str(int(value)) if value == int(value) else str(value)


def _time(value: Any, now: datetime) -> str:
    """A time of day (``14:30``), or the local time of day of a moment in ISO 8601 with an offset."""
    if isinstance(value, str) and _TIME_OF_DAY.fullmatch(value):
        return value
    try:
        moment = datetime.fromisoformat(value) if isinstance(value, str) else None
        if moment is not None and moment.tzinfo is not None:
            return f"{moment.astimezone(now.tzinfo):%H:%M}"
    except (ValueError, OverflowError):
        pass
    raise ValueError("no time of day and no moment with an offset")
