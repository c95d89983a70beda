"""Bad input that nobody thought of: mutations and made-up templates fail as they say, and what one costs is bounded."""

from __future__ import annotations

import gc
import json
import time
from collections.abc import Callable

import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from unit.corpus import MADE, PLAYBOOK, event, unseen
from unit.house import NOW, channel, deployment
from unit.speaking import SENDER, SMALL

from dispatcher.documents import read_yaml
from dispatcher.model.cap import Area, Realm, Region, RegionId, covering_regions
from dispatcher.model.channel import Audience, TextLimit, Unit
from dispatcher.model.errors import ConfigurationError, Unreadable
from dispatcher.model.incident import MAX_BYTES, parse_event
from dispatcher.model.playbook import FactSpec
from dispatcher.plan.facts import disclosed, holds_link
from dispatcher.plan.library import load_playbook
from dispatcher.plan.pages import Cause, Page, compose_page
from dispatcher.plan.templates import MAX_OUTPUT, MAX_WORK, TemplateFailed, TemplateRefused, compile_template

VALID = json.dumps(
    event("1", expires="2026-11-20T12:00:00+01:00", sequence=4, facts={"gate": "Nord"}, reason="all_clear", colour="red"),
    ensure_ascii=False,
)  # fmt: skip
SIGNS = (
    '"',
    "\\",
    "{",
    "}",
    "[",
    "]",
    ":",
    ",",
    "\\ud800",
    "\\u202e",
    "\u202e",
    "\u200b",
    "\0",
    "NaN",
    "1e999",
    "null",
)
PIECES = (
    "\t",
    "&a ",
    "*a",
    "<<: ",
    "!!str ",
    "? ",
    "- ",
    "'",
    '"',
    "|\n",
    "\u202e",
    "\x07",
    "\\u0007",
    "{{",
    "%}",
    "---\n",
)
JOINERS = set("\t\u061c\u200c\u200d\u200e\u200f")  # scripts and emoji need them
Cut = tuple[int, int, str]
NAMES = frozenset({"place", "regions", "region_names", "gate"})
FULL = {"place": "ß" * 80, "regions": "ß" * 2_000, "region_names": ("ß" * 80,) * 50, "gate": "ß" * 500}


def cuts(signs: tuple[str, ...], size: int) -> st.SearchStrategy[list[Cut]]:
    """Up to three places, how much is taken out there, and what is put in."""
    put_in = st.sampled_from(signs) | st.text(max_size=3)
    return st.lists(st.tuples(st.integers(0, size), st.integers(0, 6), put_in), min_size=1, max_size=3)


def mutated(text: str, where: list[Cut]) -> str:
    """``text`` after these cuts."""
    for at, out, put_in in where:
        text = text[:at] + put_in + text[at + out :]
    return text


@given(cuts(SIGNS, len(VALID)))
@example([(0, len(VALID), '{"\\ud800": 1, "\\ud800": 2}')])
def test_a_mutated_event_is_read_or_refused(where: list[Cut]) -> None:
    """Whatever is cut out of an event and put into it, it is read or unreadable, and says nothing that cannot be seen."""
    try:
        found = parse_event(mutated(VALID, where).encode(errors="surrogatepass"), source="x", received_at=NOW)
    except Unreadable as error:
        found, said = None, str(error)
    if found is None:
        assert unseen(said) == []
        return
    facts, notes = disclosed({"gate": FactSpec(sample="x")}, found.facts, public_only=False, now=NOW)
    texts = [found.id, found.incident, found.kind, found.place, found.reason, *found.area.regions, *found.playbooks]
    assert unseen("".join([*texts, *found.warnings, *facts.values(), *notes])) == []


@given(cuts(PIECES, len(SMALL)))
def test_a_mutated_playbook_loads_or_is_refused(where: list[Cut]) -> None:
    """Whatever is cut out of a playbook and put into it, it loads, or is refused with file and reason that can be seen."""
    text = mutated(SMALL, where)
    try:
        load_playbook(text, "fire.yaml", [channel("website")], SENDER, Realm.LIVE)
        return
    except ConfigurationError as error:
        problems = error.problems
    assert problems
    for problem in problems:
        assert problem.file == "fire.yaml"
        assert problem.line is None or 1 <= problem.line <= len(text.splitlines()) + 1
        assert set(unseen(str(problem))) <= JOINERS


WORDS = st.sampled_from(["place", "regions", "region_names", "gate", "name", "unknown", "'x'", "3", "loop", "self"])
EXPRESSIONS = st.recursive(
    WORDS,
    lambda inner: st.one_of(
        st.tuples(inner, st.sampled_from([" ~ ", " == ", " > ", " or ", " and ", " * ", " in ", "."]), inner).map(
            "".join
        ),
        st.tuples(inner, st.sampled_from(["upper", "title", "join", "default('y')", "attr('x')", "length"])).map(
            "|".join
        ),
        st.tuples(inner, inner, inner).map(lambda three: f"({three[0]} if {three[1]} else {three[2]})"),
        inner.map(lambda one: f"not {one}"),
    ),
    max_leaves=8,
)
TEMPLATES = st.recursive(
    st.sampled_from(["x", "\n", "🚨"]) | EXPRESSIONS.map(lambda said: f"{{{{ {said} }}}}"),
    lambda inner: st.one_of(
        st.lists(inner, max_size=4).map("".join),
        st.tuples(EXPRESSIONS, inner).map(lambda two: f"{{% if {two[0]} %}}{two[1]}{{% endif %}}"),
        inner.map(lambda said: f"{{% for name in region_names %}}{said}{{% endfor %}}"),
    ),
    max_leaves=8,
)


@given(TEMPLATES)
@example("{% for name in region_names %}" + "{{ regions }}" * 4 + "{% endfor %}")
def test_a_made_up_template_says_something_short_or_fails_as_it_says(source: str) -> None:
    """Any template is refused, fails, or says a text within the cap; nothing else ever happens."""
    try:
        said = compile_template(source, NAMES).render(FULL)
    except (TemplateRefused, TemplateFailed):
        return
    assert len(said) <= MAX_OUTPUT


def cost(act: Callable[[], object]) -> float:
    """The least of three goes, in seconds of processor time, without the memory of other tests being tidied up."""
    costs = []
    gc.disable()
    try:
        for _ in range(3):
            started = time.process_time()
            act()
            costs.append(time.process_time() - started)
    finally:
        gc.enable()
    return min(costs)


def heaviest(before: str, piece: str, after: str = "") -> str:
    """As many pieces as a template may have that begins and ends like this: one more and it is refused."""
    few, many = 0, 8_000 // len(piece)
    while many - few > 1:
        middle = (few + many) // 2
        try:
            compile_template(before + piece * middle + after, NAMES)
            few = middle
        except TemplateRefused:
            many = middle
    return before + piece * few + after


@pytest.mark.parametrize(
    ("before", "piece", "after"),
    [
        ("{% for a in region_names %}{% if a == ", "gate ~ ", "a %}x{% endif %}{% endfor %}"),
        ("{% for a in region_names %}", "{% if a %}{% endif %}", "{% endfor %}"),
        (
            "{% for a in region_names %}{% if (",
            "regions ~ ",
            "a) | upper | title | lower == a %}x{% endif %}{% endfor %}",
        ),
        ("{% if ", "regions | title == place or ", "place %}x{% endif %}"),
        ("{% if ", "regions | join('--------------------') == place or ", "place %}x{% endif %}"),
        ("", "{% for a in region_names %}{% endfor %}", ""),
        ("", "{{ place }}", ""),
    ],
    ids=["comparisons", "rounds", "filters", "conditions", "joins", "loops", "names"],
)
def test_no_template_costs_more_than_a_payload(before: str, piece: str, after: str) -> None:
    """The heaviest template of each kind that loads costs no more than reading the largest payload does, three times over."""
    compiled = compile_template(heaviest(before, piece, after), NAMES)

    def render() -> None:
        try:
            compiled.render(FULL)
        except TemplateFailed:
            return

    assert cost(render) < 3 * cost(lambda: parse_event(large, source="x", received_at=NOW))


large = MADE["F48-json-with-no-single-meaning/a-quarter-of-a-megabyte-of-keys"]()


@pytest.mark.parametrize("unit", [Unit.CHARACTERS, Unit.GRAPHEMES, Unit.WEIGHTED, Unit.SEGMENTS])
def test_a_page_costs_the_same_however_large_its_payload(unit: Unit) -> None:
    """Calling staff about the largest payload takes hardly longer than about one of a fiftieth of its size."""
    duty = channel("duty-team", audience=Audience.STAFF, limit=TextLimit(unit, 8 if unit is Unit.SEGMENTS else 500))
    where, page = deployment(channels=(duty,)), Page(Cause.UNREADABLE, ("no JSON",))
    small, largest = ("e\u0301🚨 text ".encode() * (size // 14) for size in (MAX_BYTES // 50, MAX_BYTES))

    def called(raw: bytes) -> None:
        assert compose_page(page, raw, where, NOW, key="k") is not None

    assert cost(lambda: called(largest)) < 5 * cost(lambda: called(small))


def test_a_thousand_regions_are_looked_up() -> None:
    """Finding a thousand named regions among four hundred costs near to what finding them among four does."""
    named = Area(regions=tuple(f"1{number:03}{number:04}" for number in range(1_000)))
    few, many = (
        deployment(regions=tuple(Region(RegionId(f"r{n}"), f"R{n}", f"1{n:03}") for n in range(1_000 - count, 1_000)))
        for count in (4, 400)
    )
    assert cost(lambda: many.resolve(named)) < 20 * cost(lambda: few.resolve(named))


@given(
    st.lists(
        st.tuples(st.sampled_from(["a", "03", "034", "b"]), st.sampled_from(["", "03", "034", "0345"])), max_size=4
    )
)
def test_looking_up_finds_what_covers(pairs: list[tuple[str, str]]) -> None:
    """What is looked up are exactly the regions that cover a name by their id or by the beginning of its key."""
    regions = [Region(RegionId(name), name, ags) for name, ags in dict(pairs).items()]
    for named in ("a", "b", "c", "", "03", "034", "0345", "03457013", "034x", "3"):
        assert covering_regions(regions)(named) == {region.id for region in regions if region.covers(named)}


@pytest.mark.parametrize(
    ("text", "link"),
    [
        ("https://leer.example", True), ("www.leer", True), ("p\u043elizei.de", True), ("Infos: leer.de/hilfe", True),
        ("leer．de", True), ("a@b.com", True), ("xn--e1afmkfd.xn--p1ai", True), ("ftp://x", True),
        ("Bahnhofstr. 5", False), ("Bhf.Leer", False), ("14.30 Uhr", False), ("Tor 2.1", False), ("St.Georg", False),
        ("z.B. am Deich", False), ("Ecke Ring-/Hauptstr.", False), (3, False),
    ],
)  # fmt: skip
def test_links_are_seen(text: object, *, link: bool) -> None:
    """What a phone would make a link is one, whatever letters it is written in; abbreviations and numbers are none."""
    assert holds_link(text) is link


def test_a_broken_playbook_takes_no_other_with_it() -> None:
    """The playbook that the corpus is held against loads, and its lines are known: rows would mean nothing otherwise."""
    assert load_playbook(PLAYBOOK, "amok.yaml", [channel("website")], SENDER, Realm.EXERCISE).id == "amok"
    assert read_yaml(PLAYBOOK, "amok.yaml").line(("texts", "alert", "de")) == 12
    assert MAX_WORK > MAX_OUTPUT
