"""What a text is as SMS: which of its signs phones have, and how many parts it takes.

3GPP TS 23.038 (the 7-bit alphabet) and TS 23.040 (parts): 160 septets alone or 153 in each of several parts; one sign
outside the alphabet makes the whole text UCS-2, 70 UTF-16 units alone or 67 in each part. No sign is split over parts.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final

_BASIC: Final = frozenset(
    "@£$¥èéùìòÇ\nØø\rÅåΔ_ΦΓΛΩΠΨΣΘΞÆæßÉ !\"#¤%&'()*+,-./0123456789:;<=>?¡ABCDEFGHIJKLMNOPQRSTUVWXYZÄÖÑÜ§"
    "¿abcdefghijklmnopqrstuvwxyzäöñüà"
)
_EXTENDED: Final = frozenset("\f^{}\\[~]|€")  # two septets each
_ALPHABET: Final = _BASIC | _EXTENDED
_TWINS: Final = str.maketrans({
    **dict.fromkeys("„“”«»", '"'), **dict.fromkeys("‚‘’‹›", "'"), **dict.fromkeys("–—‑−•", "-"),
    **dict.fromkeys("\N{NO-BREAK SPACE}\N{NARROW NO-BREAK SPACE}\N{THIN SPACE}\t", " "),
    "…": "...", "\N{SOFT HYPHEN}": None, "\N{ZERO WIDTH SPACE}": None,
})  # fmt: skip


def plain(text: str) -> str:
    """``text`` with typographic signs as their plain twins, where that brings all of it into the 7-bit alphabet.

    It says the same at half the length; a text in any other script stays as it is.
    """
    simple = text.translate(_TWINS)
    return simple if _ALPHABET.issuperset(simple) else text


def segments(text: str) -> int:
    """How many SMS ``text`` takes, once it is `plain`; at least one."""
    text = plain(text)
    if _ALPHABET.issuperset(text):
        return _parts([2 if sign in _EXTENDED else 1 for sign in text], 160, 153)
    return _parts([2 if ord(sign) > 0xFFFF else 1 for sign in text], 70, 67)


def _parts(widths: Iterable[int], alone: int, each: int) -> int:
    """Parts of ``each`` units, or one where all of it is no more than ``alone``."""
    parts, used, total = 1, 0, 0
    for width in widths:
        total += width
        if used + width > each:
            parts, used = parts + 1, 0
        used += width
    return 1 if total <= alone else parts
