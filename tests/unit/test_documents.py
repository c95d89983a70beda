"""YAML in, plain values with lines out; what is surprising is refused with file, line, field and remedy."""

from __future__ import annotations

import contextlib

import pytest
from hypothesis import example, given
from hypothesis import settings as runs
from hypothesis import strategies as st
from unit.speaking import SMALL, playbook

from dispatcher.documents import MAX_BYTES, read_yaml, validated
from dispatcher.model.errors import ConfigurationError, Problem
from dispatcher.model.playbook import Playbook


def problems(text: str) -> list[Problem]:
    """What is wrong with ``text`` as a playbook."""
    with pytest.raises(ConfigurationError) as refused:
        validated(read_yaml(text, "a.yaml"), Playbook)
    return refused.value.problems


def test_scalars_mean_what_they_look_like() -> None:
    """Words, times and municipality keys stay text; only what JSON calls null, boolean or number becomes one."""
    text = "a: [no, on, 14:30, 03452, 1_000, 0x1F, 2026-01-01, .nan, 3452, -1, 1.5, 2e3, true, null, ~, '7', \"\"]"
    assert read_yaml(text, "a.yaml").data["a"] == [
        "no", "on", "14:30", "03452", "1_000", "0x1F", "2026-01-01", ".nan", 3452, -1, 1.5, 2000.0, True, None, None,
        "7", "",
    ]  # fmt: skip


def test_lines_are_remembered() -> None:
    """Every key and every item knows its line, and what is not there the line of what is above it."""
    document = read_yaml("# words\na:\n  b:\n    - one\n    - two\nc: 3\n", "a.yaml")
    assert [document.line(path) for path in [("a",), ("a", "b"), ("a", "b", 1), ("a", "b", 1, "x"), ("z",)]] == [
        2, 3, 5, 5, 1,
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("text", "line", "said"),
    [
        ("a: 1\nb: [1\n", 3, "not YAML"),
        ("a: 1\nb: 2\na: 3\n", 3, "stands twice, first in line 1"),
        ("a: &x 1\nb: 2\n", 1, "anchors"),
        ("a: 1\nb: *x\n", 2, "anchors"),
        ("a: 1\nb: !!python/name:os.system x\n", 2, "tag"),
        ("a: 1\n<<: {b: 2}\n", 2, "merge keys"),
        ("a: 1\n? [b]\n: 2\n", 2, "a key must be text"),
        ("a: 1\n---\nb: 2\n", 2, "a second document"),
        ("- a\n", 1, "no mapping"),
        ("", 1, "no mapping"),
        ("a: " + "[" * 40 + "]" * 40, 1, "nested deeper"),
        ('a: "\\ud83d\\ude00"\n', 1, "surrogate"),
        ("a: '" + "x" * MAX_BYTES + "'", None, "larger than 1024 KiB"),
        ("a: 1\nb: \0", 2, "not YAML"),
    ],
)
def test_what_is_refused(text: str, line: int | None, said: str) -> None:
    """Whatever makes a file ambiguous, endless or dangerous is refused with its file and line."""
    with pytest.raises(ConfigurationError) as refused:
        read_yaml(text, "a.yaml")
    [problem] = refused.value.problems
    assert (problem.file, problem.line) == ("a.yaml", line)
    assert said in problem.message


@runs(max_examples=150)
@given(st.text(alphabet="ab:-[]{}&*!|>'\"%@`#?,~\\ \n\tuU0x<", max_size=60))
@example('a: "\\UFFFFFFFF"')
def test_no_text_does_worse_than_being_refused(text: str) -> None:
    """Any text is either read or refused as configuration; nothing else ever comes out of the reader."""
    with contextlib.suppress(ConfigurationError):
        read_yaml(text, "a.yaml")


def test_a_part_becomes_a_model() -> None:
    """A model is filled from the whole document, or from the part that a path leads to."""
    nested = "outer:\n  inner:\n" + "".join(f"    {line}\n" for line in SMALL.splitlines())
    assert validated(read_yaml(nested, "a.yaml"), Playbook, ("outer", "inner")) == playbook()


@pytest.mark.parametrize(
    ("old", "new", "field", "remedy"),
    [
        ("title: Großbrand", "titel: Großbrand", "titel", 'did you mean "title"?'),
        ("public: true}", "pulbic: true}", "facts.smoke.pulbic", 'did you mean "public"?'),
        ("type: number", "type: digit", "facts.count.type", "allowed: text, number, time"),
        ("next_update: 30m", "release: one_persn", "release", 'did you mean "one_person"?'),
        ("next_update: 30m", "release: {severe: nobody}", "release.severe", "allowed: automatic"),
        ("  false_alarm:", "  falsealarm:", "texts.falsealarm", 'did you mean "false_alarm"?'),
        ("next_update: 30m", "languages: [de, en, fr]", "texts.alert.fr", "write it, or"),
        ("playbook: fire", "playbook: Fire!", "playbook", ""),
        ("next_update: 30m", "next_update: soon", "next_update", "write 90s, 20m"),
        ('long: "Es hat nicht gebrannt.", ', "", "texts.false_alarm.de.long", "add it"),
    ],
)
def test_a_wrong_field_is_named_with_its_line_and_a_remedy(old: str, new: str, field: str, remedy: str) -> None:
    """A field that does not fit is reported with its dotted name, its line and, where one is known, the right word."""
    text = SMALL.replace(old, new, 1)
    named = {problem.field: problem for problem in problems(text)}
    assert field in named
    assert field.rpartition(".")[0] not in named
    assert remedy in named[field].remedy
    word = field.rpartition(".")[2]
    if f"{word}:" in text and f"{word}:" in new:
        assert f"{word}:" in text.splitlines()[(named[field].line or 0) - 1]


def test_every_error_is_reported_once() -> None:
    """Two mistakes give two problems, and one mistake is not told again by each arm of a union."""
    text = SMALL.replace("title:", "titel:", 1).replace("next_update: 30m", "release: one_persn")
    assert sorted(problem.field for problem in problems(text)) == ["release", "titel", "title"]
