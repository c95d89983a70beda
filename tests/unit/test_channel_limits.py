"""What fits on a channel, counted as its provider counts."""

from __future__ import annotations

from typing import Any

import pytest
from house import channel
from hypothesis import given
from hypothesis import strategies as st

from dispatcher.channels import fcm, mqtt, whatsapp_cloud
from dispatcher.model.cap import RegionId
from dispatcher.model.channel import TextLimit, Unit

FAMILY = "👩‍👩‍👧"  # five code points, one grapheme
TEXTS = st.text(st.characters(exclude_categories=["Cs"]), max_size=60)
# What joins nothing to its neighbours: here, the grapheme count is known without Unicode's rules.
PLAIN = st.text(st.sampled_from("aZ9 .ßÄ–€漢🚨"), max_size=60)


@pytest.mark.parametrize(
    ("unit", "expected"),
    [(Unit.CHARACTERS, 11), (Unit.UTF16, 14), (Unit.GRAPHEMES, 7), (Unit.BYTES, 25)],
)
def test_each_unit_counts_its_own_way(unit: Unit, expected: int) -> None:
    """Code points, UTF-16 units, what a reader sees as one sign, and bytes of UTF-8 are four different lengths."""
    assert TextLimit(unit, 100).measure(f"Übung{FAMILY}!") == expected


@pytest.mark.parametrize("unit", [unit for unit in Unit if unit is not Unit.SEGMENTS])
def test_the_limit_itself_fits(unit: Unit) -> None:
    """A text of exactly the limit's length fits, one sign more does not."""
    limit = TextLimit(unit, 5)
    assert limit.fits("12345")
    assert not limit.fits("123456")


def test_a_link_counts_what_the_provider_says() -> None:
    """Where links have a fixed length, every link counts that, however long or short it is."""
    limit = TextLimit(Unit.GRAPHEMES, 500, url_length=23)
    long, short = f"https://police.example/{'a' * 300}", "http://a.de"
    assert limit.measure(f"See {long} now") == len("See  now") + 23
    assert limit.measure(f"{long} {short}") == 2 * 23 + 1
    assert limit.measure(f'<a href="{short}">') == len('<a href="">') + 23
    assert limit.measure("no link: ftp://a.de, https:// x") == len("no link: ftp://a.de, https:// x")
    assert TextLimit(Unit.GRAPHEMES, 500).measure(long) == len(long)


@given(TEXTS)
def test_code_points_and_bytes_are_counted_exactly(text: str) -> None:
    """Characters, UTF-16 units and bytes are what counting the text sign by sign gives."""
    sizes = [ord(char) for char in text]
    assert TextLimit(Unit.CHARACTERS, 1).measure(text) == len(sizes)
    assert TextLimit(Unit.UTF16, 1).measure(text) == sum(1 + (size > 0xFFFF) for size in sizes)
    utf8 = sum(1 + (size > 0x7F) + (size > 0x7FF) + (size > 0xFFFF) for size in sizes)
    assert TextLimit(Unit.BYTES, 1).measure(text) == utf8


@given(PLAIN)
def test_plain_signs_are_one_grapheme_each(text: str) -> None:
    """Signs that join nothing are one grapheme each; a combining mark adds none."""
    limit = TextLimit(Unit.GRAPHEMES, 1)
    assert limit.measure(text) == len(text)
    assert limit.measure("".join(f"{char}\N{COMBINING ACUTE ACCENT}" for char in text)) == len(text)


@given(TEXTS, st.sampled_from(Unit), st.integers(0, 300), st.none() | st.integers(1, 40))
def test_fits_is_measured(text: str, unit: Unit, size: int, url_length: int | None) -> None:
    """Whatever the text and the limit, it fits exactly where its measure is no more than the size."""
    limit = TextLimit(unit, size, url_length)
    assert limit.fits(text) is (limit.measure(text) <= size)


def test_a_channel_serves_its_regions() -> None:
    """A channel speaks for its own regions; one without regions speaks for all."""
    leer, emden = frozenset({RegionId("leer")}), frozenset({RegionId("emden")})
    assert channel("website").serves(emden)
    assert channel("whatsapp", "leer").serves(leer | emden)
    assert not channel("whatsapp", "leer").serves(emden)
    assert not channel("whatsapp", "leer").serves(frozenset())


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("Übung", 5),
        ("🚨", 4),
        (FAMILY, 18),
        ("☎", 3),
        ("☎️", 6),
        ("🇩🇪", 8),
        ("3", 1),
        ("漢字", 2),
        ("e\N{COMBINING ACUTE ACCENT}", 2),
    ],
)
def test_emoji_count_their_bytes(text: str, expected: int) -> None:
    """Letters of any script are one each; every sign of an emoji counts its bytes."""
    assert TextLimit(Unit.EMOJI_BYTES, 1).measure(text) == expected


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        # The first ten are vectors of github.com/twitter/twitter-text, conformance/validate.yml (Apache-2.0).
        ("Hi http://test.co", 26),
        ("https://www.twitter.com/aloha " * 10, 240),
        ("Test https://test.com test https://test.com test.com test", 86),
        ("故人西辞黄鹤楼，", 16),
        ("the故人", 7),
        ("H🐱☺👨‍👩‍👧‍👦", 7),
        ("😷👾😡🔥💩", 10),
        ("🙋🏽👨‍🎤", 4),
        ("A\N{COMBINING ACUTE ACCENT}", 1),
        ("randomurl" * 7 + "s.com", 68),
        ("‘”–\N{ZERO WIDTH SPACE}", 4),
        ("…•€→", 8),
        ("طوارئ Тревога", 13),
        ("1️⃣🇩🇪", 4),
        ("(https://polizei.example/a?b=1).", 26),
        ("z. B. 10.30 Uhr", 15),
        ("https://" + "ä" * 200 + ".de", 211),
    ],
)
def test_x_counts_by_weight(text: str, expected: int) -> None:
    """Links are 23, emoji 2, common scripts and punctuation 1, the rest 2; what may be no link counts whole."""
    assert TextLimit(Unit.WEIGHTED, 280).measure(text) == expected


@given(TEXTS)
def test_nothing_weighs_less_than_its_signs_do(text: str) -> None:
    """Without links, emoji and composition, a text weighs one or two for each of its signs."""
    plain = "".join(sign for sign in text if sign.isalpha() and sign.isascii())
    assert TextLimit(Unit.WEIGHTED, 1).measure(plain) == len(plain)
    assert len(text.encode()) >= TextLimit(Unit.EMOJI_BYTES, 1).measure(text) >= len(text)


def test_escapes_and_bytes_count_beside_the_unit() -> None:
    """A sign that leaves with a mark before it counts twice, and a second limit in bytes counts where it is nearer."""
    assert TextLimit(Unit.UTF16, 10, escaped=frozenset("#*")).measure("#a*🚨") == 7
    limit = TextLimit(Unit.GRAPHEMES, 300, most_bytes=3_000)
    assert limit.measure("x" * 300) == 300
    assert limit.measure(FAMILY * 166) == 299  # 18 bytes each: 2,988
    assert not limit.fits(FAMILY * 167)


CREDENTIAL = {"token_env": "NOT_READ"}
UNITS = {"url": "mqtt://localhost", "topic": "orders", "ack_topic": "acks"}
PEOPLE = {
    "phone_number_id": "10654035",
    "template": "warnung",
    "recipients": ["+4917012345678"],
    "credential": CREDENTIAL,
}
APP = {"project": "leer-warnt", "topic": "leer", "credential": CREDENTIAL}


@pytest.mark.parametrize(
    ("kind", "settings", "text", "room"),
    [
        (mqtt, UNITS, "ä", 1_000),
        (mqtt, {**UNITS, "max_characters": 160}, "ä", 160),
        (whatsapp_cloud, PEOPLE, "ä", 800),
        (whatsapp_cloud, {**PEOPLE, "max_characters": 600}, "🚨", 600),
        (fcm, APP, "a", 1_400),
        (fcm, APP, "ä", 700),
        (fcm, APP, "🚨", 350),
    ],
)
def test_settings_say_how_much_is_taken(kind: Any, settings: dict[str, Any], text: str, room: int) -> None:
    """Displays and templates take so many signs as the settings say, an app's topic so many bytes, whatever the sign."""
    limit = kind.traits(kind.Settings(**settings)).limit
    assert limit.fits(text * room)
    assert not limit.fits(text * (room + 1))
