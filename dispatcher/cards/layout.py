"""Where every line of a card stands: as large as fits, down to a floor, and cut behind a word where even that is too large."""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from functools import cache, lru_cache, partial
from itertools import chain
from pathlib import Path
from typing import Final

import regex
from PIL import ImageFont

from dispatcher.cards.face import MOST, Face, Said
from dispatcher.cards.style import INK, LOOKS, MARK_INK, QUIET, Box, Colour, Frame, frame_of
from dispatcher.cards.words import BULLET, base_of, right_to_left
from dispatcher.channels._cards import Shape

_FONTS: Final = Path(__file__).parent / "fonts"
_STEPS: Final = range(0, MOST + 1, 10)  # characters that a card is cut to
_LEADING: Final = 1.36
_LEADING_RIGHT: Final = 1.62  # Arabic reaches higher and lower
_HEADLINE: Final = 1.42
_GRAPHEME: Final = regex.compile(r"\X")


@dataclass(frozen=True, slots=True)
class Line:
    """One line of text; ``x`` is its left end, or its right end where it is written from the right; ``y`` its base line."""

    text: str
    x: float
    y: float
    size: int
    bold: bool
    language: str
    colour: Colour

    @property
    def direction(self) -> str:
        """As Pillow calls it."""
        return "rtl" if right_to_left(self.language) else "ltr"


@dataclass(frozen=True, slots=True)
class Sheet:
    """A card that is ready to be drawn: what it says, its frame, its lines, and the heights of rules between languages."""

    face: Face
    shape: Shape
    frame: Frame
    lines: tuple[Line, ...]
    rules: tuple[int, ...]


@cache
def font(size: int, *, bold: bool) -> ImageFont.FreeTypeFont:
    """The shipped font at ``size`` pixels, shaped by Raqm; raises `OSError` where it cannot be read."""
    name = f"NotoSansCards-{'Bold' if bold else 'Regular'}.ttf"
    return ImageFont.truetype(_FONTS / name, size, layout_engine=ImageFont.Layout.RAQM)


def sheet_of(face: Face, shape: Shape) -> Sheet:
    """``face`` laid out: the largest size at which it all fits; at the smallest, as many words as fit."""
    frame = frame_of(shape, exercise=bool(face.mark))
    text = _largest(face, frame)
    if text is None:
        face = _cut(face, frame)
        text = _set(face, frame, frame.smallest)
    lines = (*_mark(face, frame), *_words(face, frame), *_closing(face, frame), *text.lines)
    return Sheet(face, shape, frame, lines, tuple(text.rules))


def _largest(face: Face, frame: Frame) -> _Column | None:
    columns = (_set(face, frame, size) for size in [*range(frame.largest, frame.smallest, -2), frame.smallest])
    return next((column for column in columns if column.fits), None)


def _cut(face: Face, frame: Frame) -> Face:
    """As much of ``face`` as fits at the smallest size: shorter bodies, and where headlines alone are too many, fewer languages."""
    while len(face.parts) > 1 and not _set(face.within(0), frame, frame.smallest).fits:
        face = replace(face, parts=face.parts[:-1])
    most = bisect_left(_STEPS, x=True, key=lambda most: not _set(face.within(most), frame, frame.smallest).fits)
    return face.within(_STEPS[max(0, most - 1)])


def _set(face: Face, frame: Frame, size: int) -> _Column:
    column = _Column(frame.text, size)
    for part in face.parts:
        column.part(part, last=part is face.parts[-1])
    return column


class _Column:
    """Text from top to bottom of a box, as far as there is room; ``fits`` says whether there was enough."""

    def __init__(self, box: Box, size: int, colour: Colour = INK) -> None:
        self.box, self.size, self.colour = box, size, colour
        self.lines, self.rules, self.y, self.fits = list[Line](), list[int](), float(box.top), True

    def part(self, part: Said, *, last: bool) -> None:
        """One language, with a rule below it unless it is the ``last``."""
        self.text(part.headline, part.language, round(self.size * _HEADLINE), bold=True)
        self.y += self.size * 0.3 if part.headline else 0
        self.text(part.body, part.language, self.size)
        if self.fits and not last:
            self.rules.append(round(self.y + self.size * 0.55))
            self.y += self.size * 1.1

    def text(self, text: str, language: str, size: int, *, bold: bool = False) -> None:
        """Paragraphs; those with a bullet are indented behind it."""
        for paragraph in text.split("\n") if text else ():
            if not paragraph:
                self.y += size * 0.42
            listed = paragraph.startswith(BULLET)
            indent = round(size * 0.8) if listed else 0
            before = self.y
            for line in wrapped(paragraph.removeprefix(BULLET), self.box.width - indent, size, language, bold=bold):
                self._line(line, language, size, indent, bold=bold)
            if listed and self.fits and self.y > before:
                first = next(line for line in self.lines if line.y > before)
                self.lines.append(replace(first, text=BULLET, x=self._start(language, 0)))

    def _line(self, text: str, language: str, size: int, indent: int, *, bold: bool) -> None:
        height = size * ((_LEADING_RIGHT if right_to_left(language) else _LEADING) - (0.1 if bold else 0))
        self.fits = self.fits and self.y + height <= self.box.bottom
        if self.fits:
            x, y = self._start(language, indent), round(self.y + height * 0.78)
            self.lines.append(Line(text, x, y, size, bold, language, self.colour))
            self.y += height

    def _start(self, language: str, indent: int) -> int:
        return self.box.right - indent if right_to_left(language) else self.box.left + indent


def wrapped(text: str, width: int, size: int, language: str, *, bold: bool) -> Iterator[str]:
    """``text`` in lines of at most ``width`` pixels; a word that is wider than that is broken between letters."""
    wide = partial(width_of, size=size, language=language, bold=bold)
    line, used, blank = list[str](), 0.0, wide(" ")
    for word in chain.from_iterable(_pieces(word, width, wide) for word in text.split()):
        if line and used + blank + wide(word) > width:
            yield " ".join(line)
            line, used = [], 0.0
        used += wide(word) + (blank if line else 0)
        line.append(word)
    if line:
        yield " ".join(line)


def _pieces(word: str, width: int, wide: Callable[[str], float]) -> Iterator[str]:
    """``word``, in pieces where it is wider than a line, each of one letter at least."""
    letters = _GRAPHEME.findall(word)
    while letters and wide("".join(letters)) > width:
        most = max(1, bisect_left(range(1, len(letters)), x=True, key=lambda n: wide("".join(letters[:n])) > width))
        yield "".join(letters[:most])
        letters = letters[most:]
    if letters:
        yield "".join(letters)


@lru_cache(maxsize=4096)
def width_of(text: str, *, size: int, language: str, bold: bool) -> float:
    """The length of ``text`` in pixels."""
    direction = "rtl" if right_to_left(language) else "ltr"
    return font(size, bold=bold).getlength(text, direction=direction, language=base_of(language))


def _mark(face: Face, frame: Frame) -> Iterator[Line]:
    """The mark of an exercise on its band."""
    if face.mark:
        size = round(frame.mark.height * 0.56)
        x = (frame.mark.width - width_of(face.mark, size=size, language="de", bold=True)) / 2
        yield Line(face.mark, round(x), round(frame.mark.height * 0.7), size, bold=True, language="de", colour=MARK_INK)


def _words(face: Face, frame: Frame) -> Iterator[Line]:
    """The sign's words on the panel, one below the other, the first one largest."""
    box, ink = frame.words, LOOKS[face.sign].ink
    sizes = [_widest(word, language, box.width, 40 if at else 64) for at, (language, word) in enumerate(face.words)]
    beside = box.width > 2 * box.height
    y = box.top + (max(0.0, (box.height - sum(sizes) * 1.3) / 2) if beside else 0)
    for size, (language, word) in zip(sizes, face.words, strict=True):
        y += size * 1.3
        x = box.left + (width_of(word, size=size, language=language, bold=True) if right_to_left(language) else 0)
        yield Line(word, round(x), round(y - size * 0.32), size, bold=True, language=language, colour=ink)


def _widest(word: str, language: str, width: int, largest: int) -> int:
    sizes = range(largest, 16, -2)
    return next((s for s in sizes if width_of(word, size=s, language=language, bold=True) <= width), 16)


def _closing(face: Face, frame: Frame) -> list[Line]:
    """Who speaks and as of when, in the size at which it fits."""
    language = face.parts[0].language if face.parts else "en"
    box = replace(frame.foot, top=frame.foot.top + 10, height=frame.foot.height - 10)
    for size in range(30, 11, -2):
        column = _Column(box, size, QUIET)
        column.text(face.closing, language, size)
        if column.fits:
            break
    return column.lines
