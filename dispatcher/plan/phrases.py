"""The few words this program says by itself, by language: closing line, marks, and the minimal texts.

A language that is not here is served by its base (``de-leicht`` by ``de``), else by English.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from dispatcher.model.alert import Purpose
from dispatcher.model.deployment import Level

EXERCISE = "ÜBUNG – EXERCISE"
BLOCK = "\n\n***\n\n"  # between two languages, as NL-Alert does it

# What no text of an exercise may say.
DENIALS = ("keine übung", "not a drill", "no drill", "not an exercise", "no exercise")


@dataclass(frozen=True, slots=True, kw_only=True)
class Phrases:
    """One language's words; ``minimal`` holds headline and body of each purpose, short enough for any channel."""

    as_of: str
    repeated: str
    missing: str
    more: str
    minimal: Mapping[Purpose, tuple[str, str]]
    level: Mapping[Level, str]  # how far the sender's word reaches
    mark: str  # says that this is an exercise where there is room for a word


_GERMAN = Phrases(
    as_of="Stand {time} Uhr",
    repeated="Wiederholung",
    missing="[… {count} Zeichen fehlen]",
    more="{names} und {count} weitere",
    level={"local": "örtlich", "regional": "regional", "national": "landesweit"},
    mark="ÜBUNG",
    minimal={
        Purpose.ALERT: ("Warnung", "Folgen Sie den Anweisungen der Einsatzkräfte."),
        Purpose.UPDATE: ("Neuer Stand", "Folgen Sie den Anweisungen der Einsatzkräfte."),
        Purpose.ALL_CLEAR: ("Entwarnung", "Der Einsatz ist beendet."),
        Purpose.FALSE_ALARM: ("Fehlalarm", "Unsere Warnung war falsch."),
    },
)
_ENGLISH = Phrases(
    as_of="as of {time}",
    repeated="Repeated",
    missing="[… {count} characters missing]",
    more="{names} and {count} more",
    level={"local": "local", "regional": "regional", "national": "national"},
    mark="DRILL",
    minimal={
        Purpose.ALERT: ("Warning", "Follow the instructions of the emergency services."),
        Purpose.UPDATE: ("Update", "Follow the instructions of the emergency services."),
        Purpose.ALL_CLEAR: ("All clear", "The operation is over."),
        Purpose.FALSE_ALARM: ("False alarm", "Our warning was wrong."),
    },
)
_BY_LANGUAGE = {"de": _GERMAN, "en": _ENGLISH}


def phrases(language: str) -> Phrases:
    """The words for ``language``."""
    return _BY_LANGUAGE.get(language.partition("-")[0], _ENGLISH)


def place_of(names: tuple[str, ...], language: str, room: int) -> str:
    """``names`` in a row; where they do not fit into ``room`` characters, the first ones and how many more."""
    row = ", ".join(names)
    kept = len(names)
    while len(row) > room and kept > 1:
        kept -= 1
        row = phrases(language).more.format(names=", ".join(names[:kept]), count=len(names) - kept)
    return row
