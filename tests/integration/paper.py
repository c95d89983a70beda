"""Chromium as a printer, and what can be read on the paper it makes."""

from __future__ import annotations

import re
import subprocess
import zlib
from collections.abc import Iterator
from pathlib import Path

QUIET = ["--no-sandbox", "--disable-gpu", "--disable-background-networking", "--disable-component-update",
         "--disable-sync", "--no-first-run"]  # fmt: skip
_OBJECT = re.compile(rb"(\d+) 0 obj\n(.*?)\nendobj", re.DOTALL)
_TABLE = re.compile(rb"/ToUnicode (\d+) 0 R")
_PAGE = re.compile(rb"/Type /Page\n.*?/Contents (\d+) 0 R", re.DOTALL)
_SAID = re.compile(rb"/F(\d+) [\d.]+ Tf|<([0-9A-Fa-f]+)> ?Tj")
_GLYPHS = re.compile(rb"<([0-9A-Fa-f]+)> (?:<([0-9A-Fa-f]+)> )?<([0-9A-Fa-f]+)>\n")


def print_page(chromium: str, page: Path, paper: Path) -> None:
    """Print the HTML file ``page`` to the PDF file ``paper``."""
    where = [f"--user-data-dir={paper.parent / 'profile'}", f"--print-to-pdf={paper}", page.as_uri()]
    command = [chromium, "--headless", *QUIET, "--no-pdf-header-footer", *where]
    subprocess.run(command, check=True, capture_output=True, timeout=60)


def read_pages(paper: Path) -> list[str]:
    """The text on each page of a PDF as Chromium writes it, glyph by glyph through its fonts' tables, without spaces."""
    objects = _objects(paper)
    fonts = {number: int(found[1]) for number, body in objects.items() if (found := _TABLE.search(body))}
    tables = {font: _table(_stream(objects[number])) for font, number in fonts.items()}
    return ["".join(_glyphs(content, tables)) for content in _contents(paper)]


def _objects(paper: Path) -> dict[int, bytes]:
    return {int(number): body for number, body in _OBJECT.findall(paper.read_bytes())}


def _contents(paper: Path) -> list[bytes]:
    """What is drawn on each page, in order."""
    objects = _objects(paper)
    return [_stream(objects[int(found[1])]) for body in objects.values() if (found := _PAGE.search(body))]


def _stream(body: bytes) -> bytes:
    return zlib.decompress(body.partition(b"stream\n")[2])


def _table(cmap: bytes) -> dict[str, str]:
    """Glyphs, in hex as they stand in the text, and what they mean."""
    table = {}
    for first, last, text in _GLYPHS.findall(cmap.partition(b"endcodespacerange")[2]):
        start, end, code = int(first, 16), int(last or first, 16), int(text, 16)
        for step in range(end - start + 1):
            said = code + step
            table[f"{start + step:0{len(first)}X}"] = said.to_bytes(len(text) // 2, "big").decode("utf-16-be")
    return table


def _glyphs(content: bytes, tables: dict[int, dict[str, str]]) -> Iterator[str]:
    table: dict[str, str] = {}
    for font, said in _SAID.findall(content):
        if font:
            table = tables[int(font)]
            continue
        width = len(next(iter(table)))
        for at in range(0, len(said), width):
            yield table.get(said[at : at + width].decode().upper(), "").strip()


def scale(paper: Path) -> float:
    """How small Chromium made the pages because something on them was wider than the paper; 1.0 is full size."""
    found = re.findall(rb"\n([\d.]+) 0 0 ([\d.]+) [\d.]+ [\d.]+ cm", b"".join(_contents(paper)))
    sizes = {float(across) for across, down in found if across == down}
    return min(sizes) / max(sizes)
