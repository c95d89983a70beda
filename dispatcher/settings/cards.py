"""Whether cards can be made and fetched as configured. Where they cannot, alerts leave without them, and that is said."""

from __future__ import annotations

from importlib.util import find_spec

from dispatcher.cards.settings import CardSettings
from dispatcher.documents import Document
from dispatcher.model.cap import Realm
from dispatcher.model.errors import Problem
from dispatcher.public.settings import PublicSettings
from dispatcher.settings.schema import Main
from dispatcher.settings.sources import complaint


def usable_cards(document: Document, main: Main) -> tuple[CardSettings | None, tuple[Problem, ...]]:
    """The settings, or None with what is wrong with them."""
    at, cards, public = ("cards",), main.cards, main.public
    if cards is None:
        return None, ()
    if find_spec("PIL") is None:
        return None, (document.problem(at, "Pillow is not installed", "install the extra cards"),)
    if cards.serve and public is None:
        return None, (document.problem(at, "there is no public listener", "add public: {public_url: https://...}"),)
    if cards.serve and public is not None and not public.public_url and main.realm is Realm.LIVE:
        message = "no provider knows where to fetch them"
        return None, (document.problem(("public",), message, "say public_url: https://..."),)
    return cards, ()


def in_drill(cards: CardSettings | None) -> tuple[CardSettings | None, PublicSettings | None]:
    """Cards of a drill out of the live files: served on this machine alone, and put nowhere."""
    return (CardSettings(serve=True), PublicSettings(port=0)) if cards else (None, None)


def card_secret(document: Document, cards: CardSettings | None) -> tuple[Problem, ...]:
    """A secret of the place for cards that cannot be read on this machine."""
    message = complaint(cards.push.authorization) if cards and cards.push else ""
    return (document.problem(("cards", "push"), message, "no card can be put there without it"),) if message else ()
