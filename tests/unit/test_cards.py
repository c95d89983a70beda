"""Cards: legible, unmistakable, the same for the same alert, and never broken by the words on them."""

from __future__ import annotations

import io
import itertools
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import regex
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image, ImageChops, ImageDraw, ImageFont
from unit.house import alert

from dispatcher.cards import draw as drawing
from dispatcher.cards.draw import draw, painted, write
from dispatcher.cards.face import MOST, Face, Said, face_of, faces_of
from dispatcher.cards.layout import Line, Sheet, font, sheet_of
from dispatcher.cards.style import LOOKS, MARK, WATER, Box, Colour
from dispatcher.cards.words import REPERTOIRE, Sign, right_to_left, shares, shortened, word_of, writable
from dispatcher.channels._cards import Shape
from dispatcher.model.alert import Purpose, Text
from dispatcher.model.cap import Realm, Severity
from dispatcher.plan.phrases import BLOCK, EXERCISE

CLOSING = "Polizei Ostfriesland (regional) · Stand 14:02 Uhr · KQX-42"
GERMAN = "Lebensgefahr: Schule am Deich\n\nMeiden Sie den Bereich.\n\n- Schließen Sie sich ein.\n- Rufen Sie 110."
ENGLISH = "Danger to life: Schule am Deich\n\nAvoid the area."
ARABIC = "خطر على الحياة: Schule am Deich\n\nتجنبوا المنطقة. اتصلوا بالرقم 110."
UKRAINIAN = "Небезпека для життя: Schule am Deich\n\nУникайте цього району. Ґанок, їжа, є."
SCRIPTS = {"de": GERMAN, "en": ENGLISH, "ar": ARABIC, "uk": UKRAINIAN}
SHAPES = pytest.mark.parametrize("shape", Shape)


def text(*languages: str, realm: Realm = Realm.LIVE, **blocks: str) -> Text:
    """A finished post in these languages, as the plan frames it; ``blocks`` replace what is said in one."""
    said = [{**SCRIPTS, **blocks}[language] for language in languages]
    body, headline = f"{BLOCK.join(said)}\n\n{CLOSING}", said[0].partition("\n")[0]
    if realm is Realm.EXERCISE:
        return Text(f"{EXERCISE}: {headline}", f"{EXERCISE}\n\n{body}\n{EXERCISE}", languages)
    return Text(headline, body, languages)


def face(*languages: str, realm: Realm = Realm.LIVE, severity: Severity = Severity.EXTREME, **more: Any) -> Face:
    """The card of such a post."""
    purpose = more.pop("purpose", Purpose.ALERT)
    return face_of(text(*(languages or ("de", "en")), realm=realm, **more), severity, purpose, realm)


def signed(sign: Sign, mark: str = "") -> Face:
    """A card with this sign."""
    part = Said("de", "Schule am Deich", "Meiden Sie den Bereich.")
    return Face(sign, mark, tuple(word_of(sign, language) for language in ("de", "en")), (part,), CLOSING)


def crop(image: Image.Image, box: Box) -> Image.Image:
    """A part of a card."""
    return image.crop((box.left, box.top, box.right, box.bottom))


def bare(sheet: Sheet) -> Image.Image:
    """The card without its words."""
    return painted(replace(sheet, lines=()))


def drawn_at(sheet: Sheet, lines: tuple[Line, ...]) -> tuple[int, int, int, int] | None:
    """Where these lines leave ink: left, top, right, bottom."""
    canvas = Image.new("RGB", sheet.shape.size)
    write(ImageDraw.Draw(canvas), [replace(line, colour=(255, 255, 255)) for line in lines])
    return canvas.getbbox()


def inked(words: str, shaper: ImageFont.FreeTypeFont) -> bytes:
    """How words look."""
    canvas = Image.new("L", (320, 120))
    ImageDraw.Draw(canvas).text((60, 30), words, font=shaper, fill=255)
    return canvas.tobytes()


def luminance(colour: Colour) -> float:
    """Relative luminance as WCAG 2.2 defines it."""
    linear = [c / 12.92 if c <= 0.04045 else ((c + 0.055) / 1.055) ** 2.4 for c in (part / 255 for part in colour)]
    return sum(weight * part for weight, part in zip((0.2126, 0.7152, 0.0722), linear, strict=True))


def contrast(one: Colour, other: Colour) -> float:
    """The ratio of contrast as WCAG 2.2 defines it."""
    dark, light = sorted((luminance(one), luminance(other)))
    return (light + 0.05) / (dark + 0.05)


def joined(words: str) -> str:
    """Words without what a line break or a bullet's indent may change."""
    return regex.sub(r"\s", "", words)


@SHAPES
@pytest.mark.parametrize("mark", ["", EXERCISE])
@pytest.mark.parametrize("sign", Sign)
def test_every_word_stands_out_from_what_is_behind_it(sign: Sign, mark: str, shape: Shape) -> None:
    """Each line has WCAG AA's 4.5:1 against every colour that lies behind it, the mark of an exercise included."""
    sheet = sheet_of(signed(sign, mark), shape)
    behind = bare(sheet)
    for line in sheet.lines:
        box = drawn_at(sheet, (line,))
        colours = behind.crop(box).getcolors(100_000)
        assert min(contrast(line.colour, colour) for _, colour in colours) >= 4.5, line
    look = LOOKS[sign]
    assert contrast(look.ink, look.water) > contrast(look.ink, look.panel)


@SHAPES
def test_signs_differ_by_form_and_word(shape: Shape) -> None:
    """With all colour gone, even the lightness of the panel, no two signs look alike; in no language two have one word."""
    forms = {}
    for sign in Sign:
        sheet = sheet_of(signed(sign), shape)
        frame, panel = sheet.frame, Image.new("RGB", (1, 1), LOOKS[sign].panel).convert("L").getpixel((0, 0))
        grey = painted(sheet).convert("L")
        both = [crop(grey, box).point(lambda v, p=panel: 255 * (abs(v - p) > 64)) for box in (frame.icon, frame.bars)]
        forms[sign] = Image.new("L", (frame.icon.width, frame.icon.height + frame.bars.height))
        forms[sign].paste(both[0], (0, 0))
        forms[sign].paste(both[1], (0, frame.icon.height))
    for one, other in itertools.combinations(Sign, 2):
        different = ImageChops.difference(forms[one], forms[other]).histogram()[255]
        assert different > 0.03 * forms[one].width * forms[one].height, (one, other)
    for language in ("de", "en", "ar", "fr", "nl", "pl", "ru", "tr", "uk"):
        assert len({word_of(sign, language) for sign in Sign}) == len(Sign)


def test_the_sign_follows_purpose_and_severity() -> None:
    """An end has a sign of its own, whatever the severity; everything else tells the severity."""
    assert face(purpose=Purpose.ALL_CLEAR).sign is Sign.OVER
    assert face(purpose=Purpose.FALSE_ALARM).sign is Sign.FALSE
    assert [face(severity=severity).sign.value for severity in Severity] == [severity.value for severity in Severity]


@SHAPES
@pytest.mark.parametrize("sign", Sign)
def test_an_exercise_is_marked_across_the_card(sign: Sign, shape: Shape) -> None:
    """The mark lies over the whole diagonal behind the words, on a band over the whole width, and begins and ends the words."""
    exercise = sheet_of(signed(sign, EXERCISE), shape)
    image, (width, height) = bare(exercise), shape.size
    waters = {WATER, LOOKS[sign].water}
    for step in range(1, 5):
        across = (width * step // 5, height - height * step // 5)
        box = (across[0] - width // 10, across[1] - height // 10, across[0] + width // 10, across[1] + height // 10)
        assert waters & {colour for _, colour in image.crop(box).getcolors(100_000)}, step
    assert all(image.getpixel((x, 2)) == MARK for x in range(width))
    words = exercise.face.text.split("\n")
    assert (words[0], words[-1]) == (EXERCISE, EXERCISE)
    live = sheet_of(signed(sign), shape)
    assert EXERCISE not in live.face.text
    assert not {WATER, MARK} & {colour for _, colour in bare(live).getcolors(1_000_000)}


@SHAPES
def test_a_card_is_a_jpeg_of_its_size(shape: Shape) -> None:
    """What comes out is a JPEG of exactly the shape's pixels in RGB, smaller than a megabyte."""
    jpeg, _ = draw(face(), shape)
    image = Image.open(io.BytesIO(jpeg))
    assert (image.format, image.size, image.mode) == ("JPEG", shape.size, "RGB")
    assert len(jpeg) < 1_000_000
    assert Shape.PORTRAIT.size == (1080, 1350)
    assert Shape.LANDSCAPE.size == (1200, 675)


@SHAPES
def test_the_same_alert_is_the_same_card(shape: Shape) -> None:
    """Same words, same bytes and same name; another word, severity or shape, another name."""
    assert draw(face(), shape) == draw(face(), shape)
    names = [face().name(shape), face("de").name(shape), face(severity=Severity.MINOR).name(shape)]
    names += [face(realm=Realm.EXERCISE).name(shape), face().name(next(s for s in Shape if s is not shape))]
    assert len(set(names)) == 5
    assert face().name(shape) == names[0]


@SHAPES
@pytest.mark.parametrize("languages", [("de", "en"), ("ar", "de"), ("uk",), ("de", "ar", "uk")])
def test_the_alternative_text_is_what_is_drawn(languages: tuple[str, ...], shape: Shape) -> None:
    """The words handed out with a card are those of its lines, no more and no fewer, and within what providers take."""
    for long in ("", " wort" * 400):
        said = face(*languages, **{languages[0]: SCRIPTS[languages[0]] + long}, realm=Realm.EXERCISE)
        _, words = draw(said, shape)
        lines = "".join(line.text for line in sheet_of(said, shape).lines)
        assert sorted(joined(lines + EXERCISE)) == sorted(joined(words))  # the mark from corner to corner is no line
        assert len(words) <= MOST
        assert all(joined(line.text) in joined(words) for line in sheet_of(said, shape).lines)


def test_a_card_says_what_the_text_says() -> None:
    """Headlines, lists and closing line come over from the text, each once; the marks of the post do not."""
    assert face(realm=Realm.EXERCISE).text.split("\n") == [
        EXERCISE, "Extreme Gefahr", "Extreme danger", "Lebensgefahr: Schule am Deich", "Meiden Sie den Bereich.", "",
        "• Schließen Sie sich ein.", "• Rufen Sie 110.", "Danger to life: Schule am Deich", "Avoid the area.", CLOSING,
        EXERCISE,
    ]  # fmt: skip
    body = f"Wiederholung\n\n{GERMAN}\n\n{CLOSING}"
    repeated = face_of(
        Text("Wiederholung: Lebensgefahr: Schule am Deich", body, ("de",)), Severity.SEVERE, Purpose.ALERT, Realm.LIVE
    )
    assert repeated.closing == f"Wiederholung · {CLOSING}"
    assert repeated.parts[0].headline == "Lebensgefahr: Schule am Deich"
    tiny = face_of(Text("x", "ÜBUNG Warnung KQX-42 ÜBUNG", ("de",)), Severity.MINOR, Purpose.ALERT, Realm.LIVE)
    assert [part.headline for part in tiny.parts] == ["ÜBUNG Warnung KQX-42 ÜBUNG"]


def test_every_card_of_an_alert_can_be_made_again() -> None:
    """The journaled alert alone gives the faces of its first text, follow-up and repetition."""
    said = alert("website")
    assert [found.parts[0].headline for found in faces_of(said)] == [
        "alert first",
        "alert follow-up",
        "alert repetition",
    ]
    assert list(faces_of(type(said).from_json(said.to_json()))) == list(faces_of(said))


def test_arabic_is_shaped_and_written_from_the_right() -> None:
    """Letters join as the shaping engine joins them, and each line ends at the right edge of the text."""
    word, path = "مهاجم", Path(drawing.__file__).parent / "fonts" / "NotoSansCards-Bold.ttf"
    basic = ImageFont.truetype(path, 60, layout_engine=ImageFont.Layout.BASIC)
    runs = [inked(word, font(60, bold=True)), inked("\u200c".join(word), font(60, bold=True)), inked(word, basic)]
    assert len(set(runs)) == 3  # joined, kept apart, and letter by letter
    sheet = sheet_of(face("ar"), Shape.PORTRAIT)
    lines = [
        line for line in sheet.lines if line.language == "ar" and line.y > sheet.frame.text.top and "·" not in line.text
    ]
    assert len(lines) >= 2
    for line in lines:
        left, _, right, _ = drawn_at(sheet, (line,))
        assert sheet.frame.text.right - 8 <= right <= sheet.frame.text.right + 2
        assert left > sheet.frame.text.left + 20


@pytest.mark.parametrize("bold", [False, True])
def test_no_sign_is_drawn_as_a_box(bold: bool) -> None:
    """Whatever counts as writable has a glyph in both fonts: all of Cyrillic and Arabic as the languages here use them."""
    shaper = font(40, bold=bold)
    missing = inked("\U0010ffff", shaper)
    assert missing != inked(" ", shaper)
    signs = [chr(code) for code in range(0x20, 0x2150) if writable(f"x{chr(code)}x") not in ("x x", "xx")]
    assert [hex(ord(sign)) for sign in signs if inked(sign, shaper) == missing] == []
    needed = (
        "абвгґдеєёжзиіїйклмнопрстуфхцчшщъыьэюяўћђљњџ"
        "ابتثجحخدذرزسشصضطظعغفقكلمنهويءآأؤإئةىپچژگ،؟٠١٢٣"
        "äöüßéèêçğışłżźćńőøåœ„“”–…•€"
    )
    assert writable(needed) == needed
    assert regex.fullmatch(f"{REPERTOIRE}+", needed, regex.V1)


HOSTILE = {
    "one long word": "W" * 10_000,
    "many words": "Straße " * 1_500,
    "emoji": "🚨👩‍🚒" * 2_000,
    "direction overrides": "\u202eKeine\u202c \u2066Gefahr\u2069 " * 500,
    "heaps of marks": ("a" + "\u0301\u0308\u0327" * 30) * 100,
    "empty lines": "\n" * 10_000,
    "bullets": "- \n" * 3_000,
    "controls": "\x00\x07\x1b[31m\u200b\u2028" * 500,
    "other scripts": "危険 ખતરો อันตราย " * 400,
    "half a pair": "\ud800 \udfff" * 300,
    "Arabic without end": "مهاجم" * 2_000,
    "blocks": f"Warnung{BLOCK}" * 1_000,
    "nothing": "",
}


@SHAPES
@pytest.mark.parametrize("said", HOSTILE.values(), ids=HOSTILE)
def test_no_text_breaks_a_card(said: str, shape: Shape) -> None:
    """Ten thousand characters, overrides, heaps and gaps: there is a card, its words stay in their places and have no trick."""
    for body, headline in ((said, said), (f"Lage\n\n{said}\n\n{CLOSING}", "Lage"), (f"{said}\n\nLage\n\n{said}", said)):
        for language in ("de", "ar"):
            made = face_of(Text(headline, body, (language,)), Severity.SEVERE, Purpose.ALERT, Realm.EXERCISE)
            stays_within(made, shape)


def stays_within(made: Face, shape: Shape) -> None:
    """Fail where a card's words leave their places, are too many, or hold what nobody sees."""
    sheet = sheet_of(made, shape)
    frame = sheet.frame
    assert len(sheet.face.text) <= MOST
    assert not regex.search(r"[\p{Cc}\p{Cs}\u202a-\u202e\u2066-\u2069--[\n]]", sheet.face.text, regex.V1)
    assert joined("".join(line.text for line in sheet.lines) + EXERCISE) != joined(EXERCISE * 2)
    assert len(joined("".join(line.text for line in sheet.lines) + EXERCISE)) == len(joined(sheet.face.text))
    places = [(frame.text, 14), (frame.foot, 6)]
    for box, slack in places:
        lines = tuple(one for one in sheet.lines if box.top <= one.y <= box.bottom and one.x >= box.left)
        found = drawn_at(sheet, lines)
        if found is not None:
            left, top, right, bottom = found
            assert left >= box.left - slack
            assert right <= box.right + slack
            assert top >= box.top - slack
            assert bottom <= box.bottom + slack


@settings(max_examples=40)
@given(st.text(max_size=400), st.text(max_size=60), st.sampled_from(["de", "ar", "uk"]), st.sampled_from(Shape))
def test_whatever_is_said_there_is_a_card(body: str, headline: str, language: str, shape: Shape) -> None:
    """Any text makes a card whose words stay in their places."""
    made = Text(headline, f"{headline}\n\n{body}\n\n{CLOSING}", (language,))
    stays_within(face_of(made, Severity.MINOR, Purpose.UPDATE, Realm.EXERCISE), shape)


@SHAPES
def test_a_long_text_is_smaller_then_shorter(shape: Shape) -> None:
    """More words are set smaller down to the floor; then they are cut behind a word, with an ellipsis, in every language."""

    def sizes(words: int) -> tuple[int, Face]:
        """The size of the text, and what is left of it."""
        long = face("de", "en", de=f"Lage\n\n{'Wort ' * words}", en=f"Situation\n\n{'word ' * words}")
        sheet = sheet_of(long, shape)
        return min(line.size for line in sheet.lines if line.text.lower().startswith("wort")), sheet.face

    frame = sheet_of(face(), shape).frame
    (large, whole), (small, cut) = sizes(4), sizes(400)
    assert large > small >= frame.smallest
    assert small == frame.smallest or shape is Shape.PORTRAIT  # where a thousand characters fit as they are
    assert "…" not in whole.text
    for part, word in zip(cut.parts, ("Wort", "word"), strict=True):
        assert regex.fullmatch(f"({word} )+…", part.body)
        assert len(part.body) > 60


def test_room_is_shared_by_need() -> None:
    """Who needs little leaves the rest to the others, and nothing is handed out twice; a cut keeps whole words."""
    assert shares([10, 500, 500], 100) == [10, 45, 45]
    assert shares([10, 20], 100) == [10, 20]
    assert shares([], 5) == []
    assert shortened("Meiden Sie den Bereich.", 16) == "Meiden Sie …"
    assert shortened("Meiden", 6) == "Meiden"
    assert shortened("x" * 20, 10) == "xxxxxxxx …"
    assert shortened("Meiden", 0) == ""


def test_the_directions_of_languages() -> None:
    """Arabic and Persian are written from the right, German and Russian from the left; easy language counts with its own."""
    assert [right_to_left(language) for language in ("ar", "fa", "ar-leicht", "de", "ru", "de-leicht")] == [
        True
    ] * 3 + [False] * 3
