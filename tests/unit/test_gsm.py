"""SMS as phones count them."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dispatcher.model.channel import TextLimit, Unit
from dispatcher.model.gsm import plain, segments

SIREN = "\N{POLICE CARS REVOLVING LIGHT}"  # two UTF-16 units
CYRILLIC = "\N{CYRILLIC SMALL LETTER ZHE}"


@pytest.mark.parametrize(
    ("text", "parts"),
    [
        ("", 1), ("ä" * 160, 1), ("a" * 161, 2), ("a" * 306, 2), ("a" * 307, 3), ("€" * 80, 1), ("€" * 81, 2),
        ("a" * 152 + "€" + "a" * 152, 3), (CYRILLIC + "a" * 69, 1), (CYRILLIC + "a" * 70, 2), (CYRILLIC * 134, 2),
        (CYRILLIC * 135, 3), (SIREN * 35, 1), (SIREN * 36, 2), ("a" * 66 + SIREN + "a" * 66, 3),
        ("a" * 66 + SIREN + "a" * 65, 2),
    ],
)  # fmt: skip
def test_parts_are_counted_as_phones_do(text: str, parts: int) -> None:
    """Parts hold 153 septets or 67 units, a single SMS 160 or 70, and no sign is torn in two."""
    assert segments(text) == parts
    assert TextLimit(Unit.SEGMENTS, parts).fits(text)
    assert not TextLimit(Unit.SEGMENTS, parts - 1).fits(text)


def test_typographic_signs_have_plain_twins() -> None:
    """German quotes, dashes and dots do not double the length of a text; a text in another script keeps them."""
    assert plain("„Großeinsatz“ – bitte\N{NO-BREAK SPACE}warten …") == '"Großeinsatz" - bitte warten ...'
    assert segments("„" + "a" * 158 + "“") == 1
    assert plain(f"„{CYRILLIC}“ –") == f"„{CYRILLIC}“ –"


@given(st.text(st.characters(exclude_categories=["Cs"]), max_size=700))
def test_more_text_is_never_fewer_parts(text: str) -> None:
    """Whatever the text, parts are enough for its units and few enough that none but the last is nearly empty."""
    said = plain(text)
    widths = [2 if ord(sign) > 0xFFFF else 1 for sign in said]
    assert (segments(text) == 1) or segments(text) >= len(said) / 153
    assert segments(text) <= max(1, -(-2 * sum(widths) // 66))
    assert plain(said) == said
