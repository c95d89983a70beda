"""What `check` advises: files that work and should not stay as they are."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from typer.testing import CliRunner

from dispatcher.cli import app
from dispatcher.cli.token import create
from dispatcher.settings import load, shipped_playbooks

MAIN = """\
realm: live
sender: {name: Stadt Leer}
journal: {path: here.sqlite}
console: {tokens_file: tokens.yaml}
channels:
  website: {kind: by_hand}
  duty-team: {kind: by_hand, audience: staff}
people:
  anna: {role: supervisor, channels: [duty-team]}
duty: [anna]
escalation: [anna]
"""


@pytest.fixture
def main(tmp_path: Path) -> Path:
    """A main file that nothing is to be said about, once anna has a token."""
    path = tmp_path / "dispatcher.yaml"
    path.write_text(MAIN)
    create(tmp_path / "tokens.yaml", role="supervisor", person="anna", source="")
    return path


def advised(main: Path) -> list[str]:
    """Every warning."""
    return [str(problem) for problem in load(main).warnings]


def test_nothing_is_said_about_a_good_set(main: Path) -> None:
    """Where all is in order there is no advice."""
    assert advised(main) == []


def test_people_and_tokens_are_held_against_each_other(main: Path) -> None:
    """Who is on the list and cannot sign in, and who can sign in and is not on the list, is named; viewers need no entry."""
    for role, person in (("operator", "ben"), ("viewer", "cem")):
        create(main.parent / "tokens.yaml", role=role, person=person, source="")
    main.write_text(MAIN.replace("duty:", "  dora: {channels: [duty-team]}\nduty:"))
    said = " ".join(advised(main))
    assert "people.dora: has no token" in said
    assert "ben can release and does not stand under people" in said
    assert "anna" not in said
    assert "cem" not in said


@pytest.mark.parametrize(
    ("text", "told"),
    [(None, "there is no"), ("tokens: [", "tokens.yaml:"), ("tokens: [{id: x}]", "tokens.0"), ("\x00", "tokens.yaml")],
)
def test_a_broken_tokens_file_is_told(text: str | None, told: str, main: Path) -> None:
    """A file of tokens that is missing or broken keeps everybody out, and `check` says so before anybody stands there."""
    file = main.parent / "tokens.yaml"
    file.unlink()
    if text is not None:
        file.write_text(text)
    assert any(told in line for line in advised(main))


def test_a_language_that_nobody_speaks_is_told(main: Path) -> None:
    """A channel that asks for a language no playbook has is named with that language."""
    main.write_text(MAIN.replace("website: {kind: by_hand}", "website: {kind: by_hand, languages: [de, uk]}"))
    assert [line for line in advised(main) if "channels.website.languages: no playbook speaks uk" in line]


def test_two_channels_with_one_account_are_told(main: Path) -> None:
    """Readers of one account would see everything twice: the second channel of it is named, other accounts are not."""
    one = '{kind: webhook, url: "https://example.org/hook", secret_env: HOME}'
    other = one.replace("/hook", "/other")
    main.write_text(MAIN.replace("channels:\n", f"channels:\n  c1: {one}\n  c2: {one}\n  c3: {other}\n", 1))
    assert [line for line in advised(main) if "same account" in line] == [
        f"{main}:7: channels.c2: speaks to the same account as c1 (keep one of them)"
    ]


@pytest.mark.parametrize(
    ("rule", "told"),
    [
        ("{fallback: {webhook: [sms]}}", "playbook amok: nothing stands by for webhook, as there is no sms for its audiences"),
        ("{fallback: {webhook: [by_hand]}}", "playbook amok: by_hand speaks at once and never stands by for webhook"),
        ("{kinds: [webhook], fallback: {webhook: [by_hand]}}", ""),
    ],
)  # fmt: skip
def test_a_fallback_that_never_stands_by_is_told(rule: str, told: str, main: Path) -> None:
    """Whoever relies on a fallback hears when none is there, and when it speaks at once like everybody else."""
    shipped = (shipped_playbooks() / "amok.yaml").read_text()
    (main.parent / "playbooks").mkdir()
    (main.parent / "playbooks" / "amok.yaml").write_text(re.sub("(?m)^channels: .*$", f"channels: {rule}", shipped))
    assert [line.partition("channels: ")[2].partition(" (")[0] for line in advised(main)] == [told] * bool(told)


def test_tokens_are_written_where_the_daemon_reads_them(main: Path) -> None:
    """`token create` writes into the file that the configuration names, from wherever it is called."""
    file = main.parent / "tokens.yaml"
    before = len(file.read_text())
    arguments = ["token", "create", "--role", "operator", "--person", "ben", "--config", str(main)]
    assert CliRunner().invoke(app, arguments).exit_code == 0
    assert "person: ben" in file.read_text()[before:]
    assert "ben" in CliRunner().invoke(app, ["token", "list", "--config", str(main)]).output
