"""A small playbook, channels and occasions for tests of the words that go out."""

from __future__ import annotations

import functools
from collections.abc import Iterable
from datetime import datetime
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

from dispatcher.documents import read_yaml, validated
from dispatcher.model.alert import Purpose, Text, TextSet
from dispatcher.model.cap import Realm
from dispatcher.model.channel import ChannelId, ChannelProfile, TextLimit, Unit
from dispatcher.model.deployment import Sender
from dispatcher.model.playbook import Playbook
from dispatcher.plan.render import Occasion

SHIPPED = Path(__file__).parents[2] / "playbooks"
SENDER = Sender(name="Polizeidirektion Osnabrück")
NOW = datetime(2026, 5, 4, 14, 5, tzinfo=ZoneInfo("Europe/Berlin"))
LIMITS = {
    "mastodon": TextLimit(Unit.GRAPHEMES, 500, url_length=23),
    "whatsapp": TextLimit(Unit.CHARACTERS, 4_096),
    "facebook": TextLimit(Unit.UTF16, 63_206),
    "website": TextLimit(Unit.BYTES, 20_000),
    "duty-team": TextLimit(Unit.BYTES, 4_096),
}

SMALL = """\
playbook: fire
title: Großbrand
match: {kind: [fire]}
next_update: 30m
facts:
  smoke: {type: text, max: 40, sample: "Richtung Norden", public: true}
  count: {type: number, max: 3, sample: 12}
  since: {type: time, sample: "13:40", public: true}
texts:
  alert:
    de: {headline: "Brand: {{ place }}", long: "Schließen Sie Fenster. {% if smoke %}Rauch zieht {{ smoke }}.{% endif %}", short: "Fenster zu."}
    en: {headline: "Fire: {{ place }}", long: "Close windows. {% if count %}{{ count }} hurt.{% endif %}", short: "Close windows."}
  update:
    de: {headline: "Es brennt weiter: {{ place }}", long: "Neues um {{ next_update }} Uhr.", short: "Es brennt noch."}
    en: {headline: "Still burning: {{ place }}", long: "More at {{ next_update }}.", short: "Still burning."}
  all_clear:
    de: {headline: "Entwarnung: {{ place }}", long: "Das Feuer in {{ regions }} ist aus.", short: "Feuer aus."}
    en: {headline: "All clear: {{ place }}", long: "The fire in {{ regions }} is out.", short: "Fire out."}
  false_alarm:
    de: {headline: "Fehlalarm: {{ place }}", long: "Es hat nicht gebrannt.", short: "Kein Brand."}
    en: {headline: "False alarm: {{ place }}", long: "There was no fire.", short: "No fire."}
updates:
  shelter:
    title: Notunterkunft
    facts: {hall: {type: text, max: 40, sample: "Stadthalle", public: true, required: true}}
    texts:
      de: {headline: "Unterkunft: {{ place }}", long: "Offen: {{ hall or 'bald' }}.", short: "{{ hall or 'bald' }}"}
      en: {headline: "Shelter: {{ place }}", long: "Open: {{ hall or 'soon' }}.", short: "{{ hall or 'soon' }}"}
"""


@functools.cache
def playbook(text: str = SMALL) -> Playbook:
    """The playbook in ``text``, as a model; its templates are not looked at."""
    return validated(read_yaml(text, "fire.yaml"), Playbook)


def channels(limits: dict[str, TextLimit] | None = None) -> list[ChannelProfile]:
    """A public channel for each limit."""
    found = LIMITS if limits is None else limits
    return [ChannelProfile(id=ChannelId(name), kind=name, title=name, limit=found[name]) for name in found]


def occasion(**changes: Any) -> Occasion:
    """An alert of the small playbook with nothing unusual, but for ``changes``."""
    usual: dict[str, Any] = {
        "purpose": Purpose.ALERT, "playbook": playbook(), "place": "Nordbahnhof", "region_names": ("Stadt Emden",),
        "facts": {"smoke": "nach Osten"}, "now": NOW, "sender": SENDER, "realm": Realm.LIVE, "code": "KQX-42",
        "public_only": False,
    }  # fmt: skip
    return Occasion(**{**usual, **changes})


def all_of(texts: TextSet) -> tuple[Text, Text, Text]:
    """Each text of a set."""
    return texts.first, texts.follow_up, texts.repetition


def shipped() -> dict[str, str]:
    """The playbooks that come with the program, by file name."""
    return {path.name: path.read_text() for path in sorted(SHIPPED.glob("*.yaml"))}


def every_saying(book: Playbook) -> Iterable[tuple[Purpose, str]]:
    """Each purpose, and each named update by its name."""
    yield from ((purpose, "") for purpose in Purpose if purpose.spoken)
    yield from ((Purpose.UPDATE, name) for name in book.updates)
