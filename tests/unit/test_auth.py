"""Who is asking: roles, tokens of a file that changes, tickets of one use, and the brake on guessing."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from pydantic import ValidationError

from dispatcher.console.auth import FAILURES, Entry, Identity, Role, Throttle, Tickets, Tokens, TokensFile, sha256

VIEWER, OPERATOR, SUPERVISOR, SOURCE = Role


def entry(token: str, role: str = "operator", person: str = "Leitstelle A") -> str:
    """One token as the file has it."""
    return f"- {{id: t-1, sha256: '{sha256(token)}', role: {role}, person: '{person}', created_at: now}}\n"


def write(path: Path, *entries: str) -> None:
    """Replace the file of tokens, as the command line does: by a new file of the same name."""
    other = path.with_suffix(".new")
    other.write_text("tokens:\n" + "".join(entries) if entries else "tokens: []\n")
    other.replace(path)


@pytest.mark.parametrize(
    ("role", "allowed"), [(VIEWER, {VIEWER}), (OPERATOR, {VIEWER, OPERATOR, SOURCE}), (SUPERVISOR, set(Role)), (SOURCE, {SOURCE})]
)  # fmt: skip
def test_each_role_may_exactly_what_it_is_for(role: Role, allowed: set[Role]) -> None:
    """People's roles grow from viewer to supervisor; a source reports and sees nothing."""
    assert {needed for needed in Role if role.may(needed)} == allowed


def test_a_token_of_the_file_stands_for_its_person(tmp_path: Path) -> None:
    """A token whose hash the file has is known by its person; any other is not."""
    file = tmp_path / "tokens.yaml"
    write(file, entry("right"))
    tokens = Tokens(file)
    assert tokens.find("right") == Identity(OPERATOR, "Leitstelle A")
    assert tokens.find("wrong") is None
    assert tokens.find(sha256("right")) is None


def test_a_changed_file_counts_at_once(tmp_path: Path) -> None:
    """A token added to the file is known at the next request, one taken out of it or with it is not."""
    file = tmp_path / "tokens.yaml"
    tokens = Tokens(file)
    assert tokens.find("first") is None
    write(file, entry("first"))
    assert tokens.find("first") is not None
    write(file, entry("other"))
    assert tokens.find("first") is None
    file.unlink()
    assert tokens.find("other") is None


def test_a_file_written_over_in_place_counts_too(tmp_path: Path) -> None:
    """A file of the same length that is edited in place is read again."""
    file = tmp_path / "tokens.yaml"
    write(file, entry("first"))
    tokens = Tokens(file)
    file.write_text("tokens:\n" + entry("other"))
    os.utime(file, ns=(1, 1))
    assert tokens.find("first") is None
    assert tokens.find("other") is not None


def test_a_broken_file_locks_nobody_out(tmp_path: Path) -> None:
    """A file that cannot be read leaves those known who were known before."""
    file = tmp_path / "tokens.yaml"
    write(file, entry("first"))
    tokens = Tokens(file)
    file.write_text("tokens: [")
    assert tokens.find("first") is not None
    file.write_bytes(b"\xff\xfe")
    assert tokens.find("first") is not None


@pytest.mark.parametrize(
    "wrong",
    [
        {"role": "operator"}, {"role": "operator", "person": "A", "source": "s"}, {"role": "source"},
        {"role": "source", "person": "A"}, {"role": "source", "source": "operator:A"}, {"role": "king", "person": "A"},
    ],
)  # fmt: skip
def test_a_token_names_a_person_or_a_machine_and_never_both(wrong: dict[str, str]) -> None:
    """A source cannot be named like a person, and no person goes without a name."""
    with pytest.raises(ValidationError):
        Entry.model_validate({"id": "t-1", "sha256": "0" * 64, **wrong})


def test_a_token_can_be_added_for_this_run() -> None:
    """An added token is known like one of the file, and held to the same rules."""
    tokens = Tokens()
    tokens.add("demo", "operator", person="Leitstelle A")
    assert tokens.find("demo") == Identity(OPERATOR, "Leitstelle A")
    with pytest.raises(ValueError, match="person"):
        tokens.add("machine", "source", source="operator:Leitstelle A")


def test_a_ticket_is_good_once() -> None:
    """A login ticket opens one session, and no second one."""
    tickets = Tickets()
    ticket = tickets.issue("Leitstelle A", OPERATOR)
    assert tickets.redeem("another") is None
    assert tickets.redeem(ticket) == Identity(OPERATOR, "Leitstelle A")
    assert tickets.redeem(ticket) is None


def test_a_ticket_is_good_for_ten_minutes() -> None:
    """A login ticket that nobody used within ten minutes is worth nothing."""
    now = 0.0
    tickets = Tickets(monotonic=lambda: now)
    fresh, old = tickets.issue("A", OPERATOR), tickets.issue("A", OPERATOR)
    now = 599.0
    assert tickets.redeem(fresh) is not None
    now = 600.0
    assert tickets.redeem(old) is None


def test_the_eleventh_failure_in_a_minute_is_too_many() -> None:
    """Ten failures are counted by address, the next is too many, and a minute after the first it begins anew."""
    now = 0.0
    throttle = Throttle(monotonic=lambda: now)
    assert not any(throttle.failed("10.0.0.1") for _ in range(FAILURES))
    assert throttle.failed("10.0.0.1")
    assert not throttle.failed("10.0.0.2")
    now = 60.0
    assert not throttle.failed("10.0.0.1")


def test_one_person_has_one_spelling() -> None:
    """Releases count persons, so a second spelling of one name is refused, and odd white space is no second person."""
    people = [{"id": f"t{n}", "sha256": "0" * 63 + str(n), "role": "operator"} for n in range(3)]
    same = TokensFile.model_validate(
        {"tokens": [people[0] | {"person": "Anna  B"}, people[1] | {"person": " Anna B "}]}
    )

    assert {entry.person for entry in same.tokens} == {"Anna B"}
    with pytest.raises(ValueError, match="spell one person alike"):
        TokensFile.model_validate({"tokens": [people[0] | {"person": "Anna"}, people[1] | {"person": "anna"}]})
