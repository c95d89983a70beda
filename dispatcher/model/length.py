"""How some providers count a text: neither characters, nor bytes, nor graphemes."""

from __future__ import annotations

import unicodedata

import regex

_EMOJI_SIGN = regex.compile(
    r"[\p{Extended_Pictographic}\p{Emoji_Presentation}\p{Emoji_Modifier}\p{Regional_Indicator}\u200d\ufe0f\u20e3]"
)
_PICTURE = r"\p{Extended_Pictographic}[\ufe0f\p{Emoji_Modifier}]?[\U000e0020-\U000e007f]*"
_EMOJI = regex.compile(rf"\p{{RI}}\p{{RI}}|[0-9#*]\ufe0f?\u20e3|{_PICTURE}(?:\u200d{_PICTURE})*")
# Narrower than X's own: what is not seen as a link counts by its signs, which is never less where it is longer.
_LINK = regex.compile(
    r"(?P<scheme>https?://)?(?:[\p{Latin}\d](?:[\p{Latin}\d_-]{0,38}[\p{Latin}\d])?\.)+[a-z]{2,18}\b"
    r"(?::\d{1,5})?(?:/(?:[\w.~%?&=+#/-]*[\w/=-])?)?",
    regex.IGNORECASE | regex.ASCII,
)
_LINK_WEIGHT = 23
_LIGHT = (range(0x1100), range(0x2000, 0x200E), range(0x2010, 0x2020), range(0x2032, 0x2038))


def emoji_by_bytes(text: str) -> int:
    """Characters, but what makes up emoji counts as many as it has bytes in UTF-8; so counts Threads."""
    return len(text) + sum(len(sign[0].encode()) - 1 for sign in _EMOJI_SIGN.finditer(text))


def weighted(text: str) -> int:
    """X's weighted length: links 23, emoji 2, scripts up to Georgian and common punctuation 1, everything else 2.

    A link without a scheme may be none to X, so it counts as what is more. Source: github.com/twitter/twitter-text,
    ``config/v3.json``.
    """
    text, total, start = unicodedata.normalize("NFC", text), 0, 0
    for link in _LINK.finditer(text):
        whole = _LINK_WEIGHT if link["scheme"] else max(_LINK_WEIGHT, _weight(link[0]))
        total += _weight(text[start : link.start()]) + whole
        start = link.end()
    return total + _weight(text[start:])


def _weight(text: str) -> int:
    plain, emoji = _EMOJI.subn("", text)
    return 2 * emoji + sum(1 if any(ord(sign) in light for light in _LIGHT) else 2 for sign in plain)
