"""How cards look: colours, and where everything stands. Data only, so that a test can measure its contrast."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Final

from dispatcher.cards.words import Sign
from dispatcher.channels._cards import Shape

Colour = tuple[int, int, int]

PAPER: Final[Colour] = (255, 255, 255)
INK: Final[Colour] = (17, 22, 29)
QUIET: Final[Colour] = (68, 76, 88)
RULE: Final[Colour] = (203, 208, 214)
MARK: Final[Colour] = (255, 209, 0)
MARK_INK: Final[Colour] = (17, 17, 17)
WATER: Final[Colour] = (224, 226, 230)  # the mark of an exercise behind the words


@dataclass(frozen=True, slots=True)
class Look:
    """Of a sign: the panel, what stands on it, and how many of four bars are full; none where it tells no severity."""

    panel: Colour
    ink: Colour
    bars: int = 0

    @property
    def water(self) -> Colour:
        """The panel's colour under the mark of an exercise: a step away from the ink, so that words stand out even more."""
        away = 255 if sum(self.ink) < 384 else 0
        red, green, blue = (round(part * 0.78 + away * 0.22) for part in self.panel)
        return red, green, blue


LOOKS: Final[Mapping[Sign, Look]] = {
    Sign.EXTREME: Look((128, 0, 24), (255, 255, 255), 4),
    Sign.SEVERE: Look((190, 45, 10), (255, 255, 255), 3),
    Sign.MODERATE: Look((255, 190, 30), (24, 20, 8), 2),
    Sign.MINOR: Look((16, 78, 139), (255, 255, 255), 1),
    Sign.UNKNOWN: Look((66, 72, 84), (255, 255, 255)),
    Sign.OVER: Look((10, 98, 62), (255, 255, 255)),
    Sign.FALSE: Look((84, 46, 128), (255, 255, 255)),
}


@dataclass(frozen=True, slots=True)
class Box:
    """A rectangle in pixels."""

    left: int
    top: int
    width: int
    height: int

    @property
    def right(self) -> int:
        """The first column that is not in it."""
        return self.left + self.width

    @property
    def bottom(self) -> int:
        """The first row that is not in it."""
        return self.top + self.height

    @property
    def corners(self) -> tuple[int, int, int, int]:
        """Its first and last pixels, as drawing wants them."""
        return self.left, self.top, self.right - 1, self.bottom - 1


@dataclass(frozen=True, slots=True)
class Frame:
    """Where things stand on a card. ``mark`` and ``hem`` are the bands of an exercise, without height where it is none."""

    mark: Box
    panel: Box
    icon: Box
    bars: Box
    words: Box
    text: Box
    foot: Box
    hem: Box
    largest: int  # of the text, in pixels
    smallest: int

    @property
    def icon_alone(self) -> Box:
        """Where the icon stands when there are no bars below it."""
        return replace(self.icon, top=self.icon.top + (self.bars.bottom - self.icon.bottom) // 2)


def frame_of(shape: Shape, *, exercise: bool) -> Frame:
    """The frame of a card."""
    return _portrait(exercise=exercise) if shape is Shape.PORTRAIT else _landscape(exercise=exercise)


def _portrait(*, exercise: bool) -> Frame:
    width, height = Shape.PORTRAIT.size
    mark, hem = (88, 24) if exercise else (0, 0)
    side, panel, foot, icon = 64, 240, 100, 148
    top, bottom, words = mark + panel + 34, height - hem - foot, side + icon + 48
    return Frame(
        mark=Box(0, 0, width, mark), panel=Box(0, mark, width, panel), icon=Box(side, mark + 28, icon, icon),
        bars=Box(side, mark + 194, icon, 18), words=Box(words, mark + 20, width - side - words, panel - 40),
        text=Box(side, top, width - 2 * side, bottom - top - 14), foot=Box(side, bottom, width - 2 * side, foot - 14),
        hem=Box(0, height - hem, width, hem), largest=50, smallest=26,
    )  # fmt: skip


def _landscape(*, exercise: bool) -> Frame:
    width, height = Shape.LANDSCAPE.size
    mark, hem = (64, 20) if exercise else (0, 0)
    side, panel, foot, icon = 44, 330, 80, 180
    inner, bottom, left = height - mark - hem, height - hem - foot, panel + side
    return Frame(
        mark=Box(0, 0, width, mark), panel=Box(0, mark, panel, inner), icon=Box(75, mark + 48, icon, icon),
        bars=Box(75, mark + 250, icon, 18), words=Box(28, mark + 292, panel - 56, inner - 292 - 28),
        text=Box(left, mark + 28, width - left - side, bottom - mark - 28 - 10),
        foot=Box(left, bottom, width - left - side, foot - 12), hem=Box(0, height - hem, width, hem),
        largest=40, smallest=22,
    )  # fmt: skip
