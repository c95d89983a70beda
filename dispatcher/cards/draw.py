"""From a face to a JPEG. The same face gives the same bytes; whatever the words are, they stay within the card."""

from __future__ import annotations

import io
import math
from collections.abc import Callable, Iterable, Mapping
from typing import Final

from PIL import Image, ImageDraw

from dispatcher.cards.face import Face
from dispatcher.cards.layout import Line, Sheet, font, sheet_of
from dispatcher.cards.style import LOOKS, MARK, MARK_INK, PAPER, RULE, WATER, Box, Colour, Look
from dispatcher.cards.words import Sign, base_of
from dispatcher.channels._cards import Shape

_FINE: Final = 4  # forms are drawn so much larger and made smaller, for smooth edges
_QUALITY: Final = 90

Pen = ImageDraw.ImageDraw
Point = tuple[float, float]


def draw(face: Face, shape: Shape) -> tuple[bytes, str]:
    """The card as a JPEG, and the words on it. Raises whatever Pillow raises where it cannot."""
    sheet = sheet_of(face, shape)
    out = io.BytesIO()
    painted(sheet).save(
        out, "JPEG", quality=_QUALITY, subsampling=0
    )  # optimised it would stop the loop four times longer
    return out.getvalue(), sheet.face.text


def painted(sheet: Sheet) -> Image.Image:
    """The card as pixels."""
    image = Image.new("RGB", sheet.shape.size, PAPER)
    look, frame = LOOKS[sheet.face.sign], sheet.frame
    pen = ImageDraw.Draw(image)
    pen.rectangle(frame.panel.corners, fill=look.panel)
    if sheet.face.mark:
        _water(image, sheet.face.mark, look, frame.panel)
        pen.rectangle(frame.mark.corners, fill=MARK)
        _stripes(image, frame.hem)
    _icon(image, sheet.face.sign, look, frame.icon if look.bars else frame.icon_alone)
    _bars(pen, look, frame.bars)
    for y in sheet.rules:
        pen.rectangle((frame.text.left, y - 1, frame.text.right - 1, y), fill=RULE)
    pen.rectangle((frame.foot.left, frame.foot.top, frame.foot.right - 1, frame.foot.top + 1), fill=RULE)
    write(pen, sheet.lines)
    return image


def write(pen: Pen, lines: Iterable[Line]) -> None:
    """Draw ``lines`` where they stand."""
    for line in lines:
        pen.text(
            (line.x, line.y), line.text, fill=line.colour, font=font(line.size, bold=line.bold),
            anchor="rs" if line.direction == "rtl" else "ls", direction=line.direction, language=base_of(line.language),
        )  # fmt: skip


def _water(image: Image.Image, mark: str, look: Look, panel: Box) -> None:
    """The mark of an exercise from corner to corner, behind everything that is read."""
    width, height = image.size
    length = math.hypot(width, height)
    size = next(s for s in range(400, 20, -4) if font(s, bold=True).getlength(mark) <= length * 0.74)
    stencil = Image.new("L", (math.ceil(length), size * 2), 0)
    ImageDraw.Draw(stencil).text((length / 2, size), mark, fill=255, font=font(size, bold=True), anchor="mm")
    turned = stencil.rotate(math.degrees(math.atan2(height, width)), Image.Resampling.BICUBIC, expand=True)
    left, top = (turned.width - width) // 2, (turned.height - height) // 2
    tint = Image.new("RGB", image.size, WATER)
    ImageDraw.Draw(tint).rectangle(panel.corners, fill=look.water)
    image.paste(tint, mask=turned.crop((left, top, left + width, top + height)))


def _stripes(image: Image.Image, band: Box) -> None:
    """A band as on a barrier."""
    tile = Image.new("RGB", (band.width, band.height), MARK)
    pen, step = ImageDraw.Draw(tile), band.height * 2
    for x in range(-step, band.width + step, step):
        pen.polygon(
            [(x, band.height), (x + band.height, 0), (x + step, 0), (x + band.height, band.height)], fill=MARK_INK
        )
    image.paste(tile, (band.left, band.top))


def _bars(pen: Pen, look: Look, box: Box) -> None:
    """How severe it is, as so many of four bars."""
    step = (box.width + 10) / 4
    for number in range(4 if look.bars else 0):
        left = box.left + round(number * step)
        bar = (left, box.top, left + round(step) - 11, box.bottom - 1)
        pen.rectangle(bar, fill=look.ink if number < look.bars else None, outline=look.ink, width=3)


def _icon(image: Image.Image, sign: Sign, look: Look, box: Box) -> None:
    """The sign's form, so many times too large, and made smaller."""
    side = box.width * _FINE
    large = Image.new("RGB", (side, side), look.panel)
    _FORMS[sign](ImageDraw.Draw(large), side, look.ink, look.panel)
    image.paste(large.resize((box.width, box.height), Image.Resampling.LANCZOS), (box.left, box.top))


def _regular(side: int, corners: int, turn: float, radius: float = 0.5) -> list[Point]:
    angles = (math.radians(turn + 360 * n / corners) for n in range(corners))
    return [(side * (0.5 + radius * math.cos(a)), side * (0.5 + radius * math.sin(a))) for a in angles]


def _scaled(side: int, *points: Point) -> list[Point]:
    return [(side * x, side * y) for x, y in points]


def _exclaim(pen: Pen, side: int, x: float, ends: tuple[float, float], colour: Colour) -> None:
    """A mark of exclamation around ``x``, between two heights."""
    top, bottom = ends
    length = bottom - top
    pen.polygon(
        _scaled(
            side, (x - 0.058, top), (x + 0.058, top), (x + 0.036, top + length * 0.66), (x - 0.036, top + length * 0.66)
        ),
        fill=colour,
    )
    r = 0.058
    pen.ellipse([side * (x - r), side * (bottom - 2 * r), side * (x + r), side * bottom], fill=colour)


def _octagon(pen: Pen, side: int, ink: Colour, panel: Colour) -> None:
    pen.polygon(_regular(side, 8, 22.5), fill=ink)
    pen.polygon(_regular(side, 8, 22.5, 0.455), fill=panel)
    pen.polygon(_regular(side, 8, 22.5, 0.42), fill=ink)
    for x in (0.38, 0.62):
        _exclaim(pen, side, x, (0.22, 0.78), panel)


def _triangle(pen: Pen, side: int, ink: Colour, panel: Colour) -> None:
    pen.polygon(_scaled(side, (0.5, 0.04), (1.0, 0.93), (0.0, 0.93)), fill=ink)
    _exclaim(pen, side, 0.5, (0.34, 0.84), panel)


def _diamond(pen: Pen, side: int, ink: Colour, panel: Colour) -> None:
    pen.polygon(_regular(side, 4, 0), fill=ink)
    _exclaim(pen, side, 0.5, (0.25, 0.75), panel)


def _disc(pen: Pen, side: int, ink: Colour, panel: Colour) -> None:
    pen.ellipse(_scaled(side, (0.03, 0.03), (0.97, 0.97)), fill=ink)
    pen.ellipse(_scaled(side, (0.43, 0.2), (0.57, 0.34)), fill=panel)
    pen.rectangle(_scaled(side, (0.44, 0.42), (0.56, 0.78)), fill=panel)


def _hexagon(pen: Pen, side: int, ink: Colour, panel: Colour) -> None:
    pen.polygon(_regular(side, 6, 30), fill=ink)
    pen.polygon(_regular(side, 6, 30, 0.42), fill=panel)
    _exclaim(pen, side, 0.5, (0.25, 0.75), ink)


def _check(pen: Pen, side: int, ink: Colour, panel: Colour) -> None:
    pen.ellipse(_scaled(side, (0.03, 0.03), (0.97, 0.97)), fill=ink)
    pen.line(_scaled(side, (0.26, 0.52), (0.44, 0.69), (0.75, 0.33)), fill=panel, width=side // 10, joint="curve")


def _cross(pen: Pen, side: int, ink: Colour, panel: Colour) -> None:
    pen.rounded_rectangle(_scaled(side, (0.05, 0.05), (0.95, 0.95)), radius=side // 12, fill=ink)
    for ends in (((0.28, 0.28), (0.72, 0.72)), ((0.72, 0.28), (0.28, 0.72))):
        pen.line(_scaled(side, *ends), fill=panel, width=side // 9)


_FORMS: Final[Mapping[Sign, Callable[[Pen, int, Colour, Colour], None]]] = {
    Sign.EXTREME: _octagon,
    Sign.SEVERE: _triangle,
    Sign.MODERATE: _diamond,
    Sign.MINOR: _disc,
    Sign.UNKNOWN: _hexagon,
    Sign.OVER: _check,
    Sign.FALSE: _cross,
}
