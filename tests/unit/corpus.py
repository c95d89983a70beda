"""The corpus of bad input: what stands in ``tests/corpus/README.md``, row by row, and the files too big to be kept."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import regex

from dispatcher.model.incident import MAX_BYTES

FOLDER = Path(__file__).parents[1] / "corpus"
_UNSEEN = regex.compile(r"[\p{Cc}\p{Cf}\p{Cs}\p{Zl}\p{Zp}]")
_ROW = re.compile(r"\| `(.+?)`( \(made\))? \| (.+?) \| (.+?) \| (.+?) \| (?:`(.+)`|-) \|")

PLAYBOOK = """\
playbook: amok
title: Amok
match: {kind: [amok]}
severity: extreme
release: automatic
public_place: true
same_within: never
languages: [de]
facts: {gate: {type: text, max: 60, sample: Nordtor, public: true}}
texts:
  alert:
    de: {headline: "Einsatz in {{ place }}", long: "Meiden: {{ place }} {{ gate }}", short: "Meiden: {{ place }}"}
  update:
    de: {headline: "Neues: {{ place }}", long: "Weiter meiden: {{ gate }}.", short: "Weiter meiden."}
  all_clear:
    de: {headline: "Ende: {{ place }}", long: "Der Einsatz ist vorbei.", short: "Vorbei."}
  false_alarm:
    de: {headline: "Fehlalarm: {{ place }}", long: "Es war nichts.", short: "Nichts."}
"""


@dataclass(frozen=True, slots=True)
class Entry:
    """One file: how it comes in, and what must become of it."""

    name: str
    made: bool
    enters: str
    becomes: str
    paged: tuple[str, ...]
    says: str

    def __str__(self) -> str:
        """Its name, in test reports."""
        return self.name

    @property
    def content(self) -> bytes:
        """What comes in."""
        return MADE[self.name]() if self.made else (FOLDER / self.name).read_bytes()

    @property
    def payloads(self) -> list[bytes]:
        """One after the other, where it is messages."""
        return self.content.splitlines() if self.enters in ("events", "burst") else [self.content]

    @property
    def states(self) -> list[str]:
        """The receipt of each of its payloads."""
        return [self.becomes] * len(self.payloads) if self.enters == "burst" else self.becomes.split(", ")


def event(name: str, **changes: Any) -> dict[str, Any]:
    """An alarm of an exercise, as the files have it."""
    return {
        "v": 1, "id": name, "incident": name, "status": "exercise", "kind": "amok", "place": "Schule am Deich",
        "severity": "extreme", "area": {"regions": ["leer"]}, **changes,
    }  # fmt: skip


def _event(name: str, **changes: Any) -> bytes:
    return json.dumps(event(name, **changes), separators=(",", ":")).encode()


def _ring(points: int) -> dict[str, Any]:
    ring = [[7 + number / 1e6, 53 + number % 2 / 9] for number in range(points)]
    return {"geometry": {"type": "Polygon", "coordinates": [ring]}}


def _burst() -> bytes:
    severities = ("minor", "moderate", "severe", "extreme")
    return b"\n".join(_event(f"burst-{n}", severity=severities[n % 4], place=f"Ort {n}") for n in range(500))


MADE: dict[str, Callable[[], bytes]] = {
    "F48-json-with-no-single-meaning/a-hundred-thousand-levels": lambda: b'{"v":' + b"[" * 100_000,
    "F48-json-with-no-single-meaning/a-quarter-of-a-megabyte-of-brackets": lambda: (
        b'{"a":[' + b"{}," * ((MAX_BYTES - 20) // 3) + b"0]}"
    ),
    "F48-json-with-no-single-meaning/a-quarter-of-a-megabyte-of-keys": lambda: _event(
        "keys", **{f"k{number:05}": 1 for number in range(21_000)}
    ),
    "F48-json-with-no-single-meaning/a-quarter-of-a-megabyte-of-bad-facts": lambda: _event(
        "facts", facts={f"k{number:05}": {} for number in range(20_000)}
    ),
    "F48-json-with-no-single-meaning/a-megabyte": lambda: _event("big", place="x" * 2**20),
    "F49-yaml-that-surprises/a-thousand-levels": lambda: b"facts: " + b"[" * 1_000 + b"]" * 1_000,
    "F49-yaml-that-surprises/two-megabytes": lambda: PLAYBOOK.encode() + b"# " + b"x" * 2**21,
    "F56-shapes/polygon-of-eight-thousand-points": lambda: _event("polygon", area=_ring(8_000)),
    "F56-shapes/polygon-of-a-hundred-thousand-points": lambda: _event("earth", area=_ring(100_000)),
    "F57-region-nobody-serves/a-thousand-regions": lambda: _event(
        "regions", area={"regions": [f"atlantis-{number}" for number in range(1_000)]}
    ),
    "F58-many-at-once/five-hundred-incidents": _burst,
}


def unseen(text: str) -> list[str]:
    """Its characters that nobody can see, but for line ends."""
    return [char for char in _UNSEEN.findall(text) if char != "\n"]


def corpus(*enters: str) -> list[Entry]:
    """Every row of the table that enters as one of ``enters``, or all."""
    lines = [line for line in (FOLDER / "README.md").read_text().splitlines() if line.startswith("| `")]
    found = [_entry(line) for line in lines]
    return [entry for entry in found if not enters or entry.enters in enters]


def _entry(line: str) -> Entry:
    row = _ROW.fullmatch(line)
    assert row, f"no row of the table: {line}"
    name, made, enters, becomes, paged, says = row.groups()
    return Entry(name, bool(made), enters, becomes, () if paged == "-" else tuple(paged.split(", ")), says or "")
