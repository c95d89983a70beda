"""The words that a card adds to an alert's own, and which signs it can write at all."""

from __future__ import annotations

import unicodedata
from collections.abc import Mapping
from enum import StrEnum
from typing import Final

import regex

from dispatcher.model.alert import Purpose
from dispatcher.model.cap import Severity

CUT: Final = "…"
BULLET: Final = "•"

# What the shipped fonts hold, without what cannot be seen; joiners and direction marks are needed to write Arabic.
REPERTOIRE: Final = (
    r"[\n\u0020-\u007e\u00a0-\u024f\u0300-\u0377\u037a-\u037f\u0384-\u038a\u038c\u038e-\u03a1\u03a3-\u03e1\u03f0-\u052f"
    r"\u0600-\u061c\u061e-\u06ff\u0750-\u077f\u08a0-\u08b4\u08b6-\u08be\u08d3-\u08ff\u1e00-\u1eff\u2000-\u2064\u20a0-\u20bf"
    r"\u2100-\u214f--[\p{Cf}\p{Zl}\p{Zp}--[\u061c\u200c-\u200f]]]"
)
_WRITABLE: Final = regex.compile(REPERTOIRE, regex.V1)
_HEAPED: Final = regex.compile(r"(\p{M}{2})\p{M}+")  # more marks than any script here puts on a letter
_BLANKS: Final = regex.compile(r"[^\S\n]+")
_EMPTY: Final = regex.compile(r"\n{3,}")
_RIGHT_TO_LEFT: Final = frozenset({"ar", "ckb", "fa", "ps", "sd", "ug", "ur"})


class Sign(StrEnum):
    """What a card tells before anybody reads it: each has a form, a colour and a word of its own."""

    EXTREME = "extreme"
    SEVERE = "severe"
    MODERATE = "moderate"
    MINOR = "minor"
    UNKNOWN = "unknown"
    OVER = "over"
    FALSE = "false"


_SIGNS: Final = tuple(Sign)
_WORDS: Final[Mapping[str, tuple[str, ...]]] = {
    "de": ("Extreme Gefahr", "Gefahr", "Warnung", "Hinweis", "Warnmeldung", "Entwarnung", "Fehlalarm"),
    "en": ("Extreme danger", "Danger", "Warning", "Notice", "Alert", "All clear", "False alarm"),
    "ar": ("خطر شديد", "خطر", "تحذير", "تنبيه", "إنذار", "زوال الخطر", "إنذار كاذب"),
    "fr": ("Danger extrême", "Danger", "Avertissement", "Information", "Alerte", "Fin d’alerte", "Fausse alerte"),
    "nl": ("Extreem gevaar", "Gevaar", "Waarschuwing", "Mededeling", "Alarm", "Gevaar geweken", "Vals alarm"),
    "pl": ("Skrajne zagrożenie", "Zagrożenie", "Ostrzeżenie", "Informacja", "Alarm", "Odwołanie alarmu", "Fałszywy alarm"),
    "ru": ("Крайняя опасность", "Опасность", "Предупреждение", "Сообщение", "Тревога", "Отбой тревоги", "Ложная тревога"),
    "tr": ("Aşırı tehlike", "Tehlike", "Uyarı", "Bilgi", "Alarm", "Tehlike geçti", "Yanlış alarm"),
    "uk": ("Надзвичайна небезпека", "Небезпека", "Попередження", "Повідомлення", "Тривога", "Відбій тривоги", "Хибна тривога"),
}  # fmt: skip


def sign_of(severity: Severity, purpose: Purpose) -> Sign:
    """The sign of an alert: an end's own, else its severity's."""
    if purpose is Purpose.ALL_CLEAR:
        return Sign.OVER
    return Sign.FALSE if purpose in (Purpose.FALSE_ALARM, Purpose.RETRACTION) else Sign(severity.value)


def word_of(sign: Sign, language: str) -> tuple[str, str]:
    """The sign's word behind its language: ``language``, its base, or else English."""
    spoken = base_of(language) if base_of(language) in _WORDS else "en"
    return spoken, _WORDS[spoken][_SIGNS.index(sign)]


def base_of(language: str) -> str:
    """``de`` of ``de-leicht``."""
    return language.partition("-")[0]


def right_to_left(language: str) -> bool:
    """Whether ``language`` is written from the right."""
    return base_of(language) in _RIGHT_TO_LEFT


def writable(text: str) -> str:
    """``text`` as far as the fonts can write it: no emoji, no sign that cannot be seen, no heap of marks on a letter."""
    kept = "".join(_WRITABLE.findall(unicodedata.normalize("NFC", text)))
    return _EMPTY.sub(
        "\n\n", _BLANKS.sub(" ", _HEAPED.sub(r"\1", kept)).replace(" \n", "\n").replace("\n ", "\n")
    ).strip()


def shortened(text: str, most: int) -> str:
    """``text`` in at most ``most`` characters, cut behind a word, with an ellipsis where anything is missing."""
    if len(text) <= most or most < 1:
        return text[: max(0, most)]
    head = text[: max(0, most - 2)]
    whole = regex.sub(r"\s*\S*$", "", head) if regex.search(r"\s", head) else head
    return f"{whole.rstrip(f' {BULLET}' + chr(10))} {CUT}".strip()


def shares(wanted: list[int], room: int) -> list[int]:
    """How much of ``room`` each gets: what one leaves over goes to the others, and nobody gets more than it wants."""
    given = [0] * len(wanted)
    for left, at in enumerate(sorted(range(len(wanted)), key=wanted.__getitem__)):
        given[at] = min(wanted[at], room // (len(wanted) - left))
        room -= given[at]
    return given
