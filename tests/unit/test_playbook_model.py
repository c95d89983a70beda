"""Playbooks as data: spans of time, who must release, and the four texts in every language."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest
from house import channel, playbook
from pydantic import TypeAdapter, ValidationError

from dispatcher.model.cap import Severity
from dispatcher.model.channel import Audience
from dispatcher.model.playbook import ChannelRule, FactSpec, Misplaced, Release, Span, parse_span

SPAN: TypeAdapter[timedelta] = TypeAdapter(Span)


@pytest.mark.parametrize(
    ("written", "seconds"),
    [("90s", 90), ("20m", 1_200), (" 24 h ", 86_400), ("2d", 172_800), ("PT20M", 1_200), (timedelta(seconds=1), 1)],
)
def test_spans_are_read(written: Any, seconds: int) -> None:
    """A span is a number with s, m, h or d; ISO 8601 is read as well."""
    assert SPAN.validate_python(written) == timedelta(seconds=seconds)


@pytest.mark.parametrize("written", ["", "20", "m", "1.5h", "-5m", "20 minutes", "100000s", "5m 3s"])
def test_what_is_no_span_says_how_to_write_one(written: str) -> None:
    """Anything else is refused with an example of how it is written."""
    with pytest.raises(Misplaced, match="is no span of time") as refused:
        parse_span(written)
    assert "20m" in refused.value.remedy


@pytest.mark.parametrize("written", ["0s", "PT0S", timedelta(seconds=-1)])
def test_no_span_is_empty(written: Any) -> None:
    """A span of nothing, or backwards, is refused."""
    with pytest.raises(ValidationError):
        SPAN.validate_python(written)


def test_one_rule_for_every_severity() -> None:
    """A single word is the rule for every severity."""
    assert {playbook(release="one_person").release_for(severity) for severity in Severity} == {Release.ONE_PERSON}


def test_a_rule_by_severity_is_strict_where_it_is_silent() -> None:
    """Where a map of severities says nothing, two persons must release."""
    book = playbook(release={"extreme": "automatic", "minor": "one_person"})
    assert {severity: book.release_for(severity) for severity in Severity} == {
        Severity.EXTREME: Release.AUTOMATIC, Severity.SEVERE: Release.TWO_PERSONS,
        Severity.MODERATE: Release.TWO_PERSONS, Severity.MINOR: Release.ONE_PERSON,
        Severity.UNKNOWN: Release.TWO_PERSONS,
    }  # fmt: skip


def test_how_many_people_a_rule_means() -> None:
    """Automatic needs nobody, the others one and two."""
    assert [release.people for release in Release] == [0, 1, 2]


@pytest.mark.parametrize("purpose", ["alert", "update", "all_clear", "false_alarm"])
def test_every_text_speaks_every_language(purpose: str) -> None:
    """A playbook that lacks one of its languages in any of the four texts is none, and the gap is named."""
    book = playbook().model_dump()
    book["languages"] = ["de", "en"]
    complete = {name: {**texts, "en": texts["de"]} for name, texts in book["texts"].items() if texts}
    assert playbook(languages=["de", "en"], texts=complete)
    complete[purpose] = book["texts"][purpose]
    with pytest.raises(ValidationError) as refused:
        playbook(languages=["de", "en"], texts=complete)
    (error,) = refused.value.errors()
    assert error["ctx"]["error"].path == ("texts", purpose, "en")


@pytest.mark.parametrize("purpose", ["alert", "update", "all_clear", "false_alarm"])
def test_four_texts_or_none(purpose: str) -> None:
    """A playbook without one of the four texts does not load."""
    texts = playbook().model_dump()["texts"]
    del texts[purpose]
    with pytest.raises(ValidationError, match=f"texts.{purpose}"):
        playbook(texts=texts)


def test_named_updates_speak_every_language_as_well() -> None:
    """A named update that lacks a language of its playbook is refused, and the gap is named."""
    text = {"headline": "x", "long": "x", "short": "x"}
    with pytest.raises(ValidationError) as refused:
        playbook(updates={"shelter": {"title": "Shelter", "texts": {"en": text}}})
    (error,) = refused.value.errors()
    assert error["ctx"]["error"].path == ("updates", "shelter", "texts", "de")


def test_named_updates_bring_their_own_facts_and_texts() -> None:
    """A named update uses its own texts, and its facts beside those of its playbook."""
    text = {"headline": "Shelter", "long": "x", "short": "x"}
    update = {"title": "Shelter", "facts": {"hall": {"sample": "A"}}, "texts": {"de": text}}
    book = playbook(facts={"gate": {"sample": "Nord"}}, updates={"shelter": update})
    assert book.templates("update", "shelter")["de"].headline == "Shelter"
    assert book.templates("update")["de"].headline == "update: {{ place }}"
    assert book.fact_specs() == {"gate": FactSpec(sample="Nord")}
    assert set(book.fact_specs("shelter")) == {"gate", "hall"}


@pytest.mark.parametrize(
    "changes", [{"colour": "red"}, {"match": {"kind": []}}, {"priority": 0}, {"playbook": "Amok"}, {"languages": []}]
)
def test_a_playbook_says_nothing_unknown(changes: dict[str, Any]) -> None:
    """An unknown key, an empty match, a priority out of bounds or an odd id is an error, never a guess."""
    with pytest.raises(ValidationError):
        playbook(**changes)


def test_channels_are_narrowed() -> None:
    """Audience, kind and id each narrow who may speak; what is not named does not narrow."""
    public, staff = channel("whatsapp-leer"), channel("pager", audience=Audience.STAFF)
    assert ChannelRule().admits(public)
    assert not ChannelRule().admits(staff)
    assert ChannelRule(audiences=(Audience.STAFF,)).admits(staff)
    assert ChannelRule(kinds=("whatsapp",)).admits(public)
    assert not ChannelRule(kinds=("facebook",)).admits(public)
    assert ChannelRule(only=("whatsapp-leer",)).admits(public)
    assert not ChannelRule(only=("website",)).admits(public)
