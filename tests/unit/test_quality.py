"""The sheet of quality is held to code, wall, contract and pages: no kind and no point is left out, nothing is claimed."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping
from functools import cache, partial
from importlib.resources import files
from importlib.util import find_spec
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest
from contract.kit import kit_of, names_of

from dispatcher.channels.base import Traits, kinds, load_kind
from dispatcher.documents import read_yaml
from dispatcher.model.channel import Power
from dispatcher.model.delivery import DeliveryState, Reason
from dispatcher.settings.channels import entry_model
from dispatcher.wall.app import Wall, wall

TOP = Path(__file__).parents[2]
PAGES, PUBLISHED = TOP / "docs" / "channels", TOP / "tests" / "contract" / "published" / "README.md"
SHEET = read_yaml((files("dispatcher.channels") / "QUALITY.yaml").read_text(), "QUALITY.yaml").data
ROWS: Mapping[str, Any] = SHEET["kinds"]
POINTS = {
    "text", "image", "edit", "delete", "find", "probe", "limits", "errors", "idempotency", "rate_limits", "renewal",
    "contract", "wall", "description", "docs", "live",
}  # fmt: skip
COLUMNS = ("page", "reach", "limit", "image", "edit", "delete", "find", "key", "cost")
SECTIONS = ("What it needs", "Limits", "What happens", "What can go wrong")
KNOWN = [kind for kind in kinds() if kind in ROWS]


@cache
def table() -> dict[str, dict[str, str]]:
    """The cells of the table of all kinds, by kind and column."""
    rows = re.findall(r"^\| \[`(\w+)`\]\((.*?)\) \| (.*) \|$", (PAGES / "README.md").read_text(), re.MULTILINE)
    return {kind: dict(zip(COLUMNS, (page, *rest.split(" | ")), strict=False)) for kind, page, rest in rows}


def page(kind: str) -> str:
    """The kind's page, empty where it has none."""
    path = PAGES / table().get(kind, {}).get("page", f"{kind}.md")
    return path.read_text() if path.exists() else ""


def section(kind: str, heading: str) -> str:
    """What stands below a heading of the kind's page."""
    found = re.search(rf"^## {heading}\n(.*?)(?=^## |\Z)", page(kind), re.MULTILINE | re.DOTALL)
    return found[1] if found else ""


@cache
def traits(kind: str) -> list[Traits]:
    """What the kind declares with the settings of its contract, for each of its providers."""
    module = load_kind(kind)
    return [module.traits(module.Settings(**kit_of(name).settings("http://127.0.0.1:9"))) for name in names_of(kind)]


def powers(kind: str) -> set[Power]:
    """What any of its providers can do."""
    return set().union(*(found.powers for found in traits(kind)))


# Each looks for one point's evidence and says what is missing, or nothing.


def declared(kind: str, power: Power) -> str:
    """Its traits name the power, which the contract holds to the verbs that answer."""
    return "" if power in powers(kind) else f"traits() declares no {power}"


def imaged(kind: str) -> str:
    """Its page says where the words for the image come from."""
    return "" if "alternative text" in page(kind) else "its page does not speak of an alternative text"


def limited(kind: str) -> str:
    """Its page and the table name the number that texts are measured by."""
    number = rf"(?<![\d,]){traits(kind)[0].limit.size:,}(?!\d|,\d)"
    places = {
        "its page, under Limits": section(kind, "Limits"),
        "docs/channels/README.md": table().get(kind, {}).get("limit", ""),
    }
    silent = [place for place, text in places.items() if not re.search(number, text)]
    return f"{' and '.join(silent)}: no word of {traits(kind)[0].limit.size:,}" if silent else ""


def explained(kind: str) -> str:
    """Its page has a table of what is shown when it goes wrong, in words that are really shown."""
    shown = re.findall(r"^\| (?!shown|-)(.*?) \|", section(kind, "What can go wrong"), re.MULTILINE)
    if not shown:
        return "its page has no table of errors"
    words = {match[1] for row in shown if (match := re.match(r"`(\w+)`", row))}
    unknown = words - {*Reason, *DeliveryState}
    return f"its table of errors names {sorted(unknown)}, which is never shown" if unknown else ""


def safe(kind: str) -> str:
    """With every provider a doubt is settled by a key or a look-up."""
    every = all({Power.KEY, Power.FIND} & found.powers for found in traits(kind))
    return "" if every else "not every provider has a key or a look-up"


def patient(kind: str) -> str:
    """The contract's table for HTTP, which has waits in it, is the one that it meets."""
    heeds = [kit_of(name).calls and kit_of(name).speaks == "http" for name in names_of(kind)]
    return "" if all(heeds) else "the contract has no waits for what it speaks"


def contracted(kind: str) -> str:
    """It has a kit, and a provider to meet."""
    return "" if all(kit_of(name).calls for name in names_of(kind)) else "its kit calls nothing"


def doubled(kind: str) -> str:
    """What a drill points it at is on the wall."""
    paths = {resource.canonical.split("/")[1] for resource in wall(Wall()).router.resources()}
    values = [str(value) for value in load_kind(kind).drill("c1", "/made/up").values()]
    there = [urlsplit(value) for value in values if value.startswith("wall")]
    missing = [url.geturl() for url in there if url.netloc not in {"", *paths}]
    return f"the wall has no {missing[0]}" if missing else "" if there else "drill() points at nothing on the wall"


def described(kind: str) -> str:
    """A published description is kept for it."""
    return "" if f"| `{kind}` |" in PUBLISHED.read_text() else "tests/contract/published/README.md keeps none for it"


def documented(kind: str) -> str:
    """It has its row in the table of all kinds and its page with every section."""
    if len(table().get(kind, {})) < len(COLUMNS):
        return f"docs/channels/README.md: add a row that begins with | [`{kind}`]({kind}.md) | and fills every column"
    lacking = [heading for heading in SECTIONS if not section(kind, heading)]
    return f"docs/channels/{table()[kind]['page']} lacks {', '.join(lacking)}" if lacking else ""


def proven(kind: str) -> str:
    """The last line of its page names a day."""
    return "" if re.search(r"^Last proven live: \d{4}-\d\d-\d\d", page(kind), re.MULTILINE) else "its page names no day"


EVIDENCE: Mapping[str, Callable[[str], str]] = {
    **{power: partial(declared, power=power) for power in Power if power is not Power.KEY},
    "image": imaged, "limits": limited, "errors": explained, "idempotency": safe, "rate_limits": patient,
    "contract": contracted, "wall": doubled, "description": described, "docs": documented, "live": proven,
}  # fmt: skip
ONE_WAY = {"image", "rate_limits"}  # the evidence alone does not say that the point is done


def complaints(kind: str, row: Mapping[str, Any]) -> Iterator[str]:
    """What is wrong with a row: points left out or answered twice, reasons left out, claims without evidence."""
    done, open_ = row["done"], {**row["todo"], **row["exempt"]}
    answered = [*done, *row["todo"], *row["exempt"]]
    yield from (f"{point}: answer it under done, todo or exempt" for point in sorted(POINTS - set(answered)))
    yield from (f"{point}: there is no such point" for point in answered if point not in POINTS)
    yield from (f"{point}: answered more than once" for point in sorted(POINTS) if answered.count(point) > 1)
    yield from (f"{point}: give the reason" for point, reason in open_.items() if not str(reason or "").strip())
    if "docs" in done and (lacking := documented(kind)):
        yield f"docs: says done, but {lacking}"
        return  # most evidence stands on the page
    for point, evidence in EVIDENCE.items():
        if point in done and (lacking := evidence(kind)):
            yield f"{point}: says done, but {lacking}"
        elif point in open_ and point not in ONE_WAY and not evidence(kind):
            yield f"{point}: it is there, so move it to done"


def test_every_kind_has_its_row() -> None:
    """Every kind that is found has a row and a kit, every row a kind, and the sheet explains every point."""
    how = "one row under kinds in dispatcher/channels/QUALITY.yaml, with each of its points under done, todo or exempt"
    missing = [f"{kind}: add {how}" for kind in kinds() if kind not in ROWS]
    left_over = [f"{kind}: there is no such kind, take its row out" for kind in ROWS if kind not in kinds()]
    bare = [f"{kind}: add tests/contract/kits/{kind}.py" for kind in kinds() if not find_spec(f"contract.kits.{kind}")]
    wrong = missing + left_over + bare
    assert not wrong, "\n".join(wrong)
    assert set(SHEET["points"]) == POINTS
    assert list(ROWS) == sorted(ROWS), "rows stand in alphabetical order"


@pytest.mark.parametrize("kind", KNOWN)
def test_a_row_says_what_is_so(kind: str) -> None:
    """Each point is answered once, with a reason where it is not done, and what is done can be seen, and nothing else."""
    wrong = list(complaints(kind, ROWS[kind]))
    assert not wrong, f"{kind} in dispatcher/channels/QUALITY.yaml:\n" + "\n".join(wrong)


@pytest.mark.parametrize("kind", sorted(kind for kind, cells in table().items() if len(cells) == len(COLUMNS)))
def test_the_table_of_all_kinds_is_true(kind: str) -> None:
    """The table has kinds that exist, and says of each whether it can change, delete, look up and recognise a repeat."""
    assert kind in kinds(), f"docs/channels/README.md: take the row of {kind} out"
    can = {power: table()[kind][power] not in ("no", "a task") for power in ("edit", "delete", "find", "key")}
    assert can == {power: power in powers(kind) for power in can}


@pytest.mark.parametrize("path", sorted(PAGES.glob("*.md")), ids=lambda path: path.name)
def test_examples_of_channels_are_taken(path: Path) -> None:
    """Every example on a page of a channel is one that the main file takes."""
    for text in re.findall(r"^```yaml\n(.*?)^```", path.read_text(), re.MULTILINE | re.DOTALL):
        data = read_yaml(text, path.name).data
        for entry in data.get("channels", data).values():
            entry_model(entry["kind"]).model_validate(entry)


@pytest.mark.parametrize(
    ("kind", "change", "said"),
    [
        ("mastodon", {"done": ["text"]}, "edit: answer it under done, todo or exempt"),
        ("mastodon", {"todo": {"beauty": "later"}}, "beauty: there is no such point"),
        ("mastodon", {"exempt": {"text": "again"}}, "text: answered more than once"),
        ("x", {"exempt": {"edit": "", "renewal": "none"}}, "edit: give the reason"),
        ("telegram", {"done": ["find"]}, "find: says done, but traits() declares no find"),
        ("telegram", {"done": ["idempotency"]}, "idempotency: says done, but not every provider has a key or a look-up"),
        ("sms", {"done": ["image"]}, "image: says done, but its page does not speak of an alternative text"),
        ("sms", {"done": ["live"]}, "live: says done, but its page names no day"),
        ("by_hand", {"done": ["contract"]}, "contract: says done, but its kit calls nothing"),
        ("by_hand", {"done": ["wall"]}, "wall: says done, but drill() points at nothing on the wall"),
        ("email", {"done": ["rate_limits"]}, "rate_limits: says done, but the contract has no waits for what it speaks"),
        ("ntfy", {"done": ["description"]}, "description: says done, but tests/contract/published/README.md keeps none for it"),
        ("bluesky", {"done": [], "todo": {"probe": "some day"}}, "probe: it is there, so move it to done"),
        ("bluesky", {"done": [], "todo": {"wall": "some day"}}, "wall: it is there, so move it to done"),
    ],
)  # fmt: skip
def test_a_row_that_lies_is_named(kind: str, change: Mapping[str, Any], said: str) -> None:
    """Whatever is missing, doubled, unreasoned or untrue in a row is told, with what to do about it."""
    assert list(complaints(kind, ROWS[kind])) == []
    assert said in list(complaints(kind, {**ROWS[kind], **change}))
