"""The paper for the day when nothing works: a browser prints all of it, and nothing is cut off."""

from __future__ import annotations

import unicodedata
from collections.abc import Callable
from html.parser import HTMLParser
from pathlib import Path

import pytest
from integration.paper import print_page, read_pages, scale

from dispatcher.cli import main

DEMO = (Path(__file__).parents[2] / "config/demo/dispatcher.yaml").read_text()
WIDE = f"""\
  desk-without-spaces:
    {{kind: by_hand, realm: exercise, title: {"Lagezentrum" * 7}, link: "https://desk.example/{"x" * 470}",
     instructions: {"Zugangskennung" * 35}}}
"""


class _Words(HTMLParser):
    """Every text of a page's body, without white space."""

    def __init__(self, page: Path) -> None:
        super().__init__()
        self.found: list[str] = []
        self.feed("<body" + page.read_text().partition("<body")[2])

    def handle_data(self, data: str) -> None:
        self.found.append(_plain(data))


def _plain(text: str) -> str:
    """``text`` without white space and ligatures, which are the printer's affair."""
    return "".join(unicodedata.normalize("NFKC", text).split())


def _sheet(folder: Path, config: str) -> Path:
    (folder / "dispatcher.yaml").write_text(config)
    page = folder / "sheet.html"
    with pytest.raises(SystemExit) as ended:
        main(["sheet", str(folder / "dispatcher.yaml"), "--output", str(page)])
    assert ended.value.code == 0
    return page


def test_a_browser_prints_every_word(need: Callable[..., str], tmp_path: Path) -> None:
    """Chromium prints the sheet whole and in full size, however long a name, a link or a hint without a space is."""
    page = _sheet(tmp_path, DEMO + WIDE)
    paper = tmp_path / "sheet.pdf"
    print_page(need("chromium", "chromium-browser"), page, paper)

    pages = read_pages(paper)
    printed = _plain("".join(text.removeprefix(f"{n}/{len(pages)}") for n, text in enumerate(pages, 1)))
    words = _Words(page).found
    assert (len(pages) > 4, "Lagezentrum" * 7 in words) == (True, True)
    assert [word for word in words if word not in printed] == []
    assert scale(paper) == 1.0
