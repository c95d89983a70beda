"""The playbooks that come with the program: what a good message holds, in every form, on every channel."""

from __future__ import annotations

import functools
import re

import pytest
from hypothesis import given
from hypothesis import settings as runs
from hypothesis import strategies as st
from unit.speaking import LIMITS, NOW, SENDER, all_of, channels, every_saying, occasion, shipped

from dispatcher.model.alert import Purpose, Text
from dispatcher.model.cap import Realm
from dispatcher.model.channel import Audience, TextLimit, Unit
from dispatcher.model.playbook import Playbook
from dispatcher.plan.library import load_library
from dispatcher.plan.phrases import EXERCISE
from dispatcher.plan.render import Voice, render_texts, voice_of

REGIONS = (
    "Stadt Osnabrück", "Landkreis Osnabrück", "Stadt Emden", "Landkreis Leer", "Landkreis Aurich", "Landkreis Wittmund",
    "Landkreis Emsland", "Landkreis Grafschaft Bentheim",
)  # fmt: skip
KINDS = {
    "amok": ("amok",),
    "terror-threat": ("terror_threat", "terror"),
    "bomb-threat": ("bomb_threat", "bomb"),
    "large-operation": ("large_operation",),
}
NAMED = {"meeting_point", "hotline", "no_photos", "nothing_new", "rumour_false"}
SHORT_POST = TextLimit(Unit.GRAPHEMES, 300)
SHORT_POSTS = {
    "short-post": SHORT_POST, "x": TextLimit(Unit.WEIGHTED, 280), "threads": TextLimit(Unit.EMOJI_BYTES, 500),
    "bluesky": TextLimit(Unit.GRAPHEMES, 300, most_bytes=3_000),
    "linkedin": TextLimit(Unit.UTF16, 3_000, escaped=frozenset("#*_~()")),
}  # fmt: skip

HAZARD = {
    "amok": "Angreifer|attacker|Lebensgefahr|[Dd]anger to life",
    "terror-threat": "[Tt]error|Anschlag",
    "bomb-threat": "[Bb]omb",
    "large-operation": "Einsatz|einsatz|operation",
}
ACTION = {
    "de": re.compile(r"\b(Meiden|Verlassen|Folgen|Fliehen|Bleiben) Sie\b|\b[Ff]liehen|verlassen Sie"),
    "en": re.compile(r"\b([Aa]void|[Ll]eave|[Ff]ollow|[Rr]un|[Ss]tay)\b"),
}
NEXT_WORD = {
    "de": re.compile(r"(Neues um|Nächste Information:) 1\d:\d\d Uhr"),
    "en": re.compile(r"(More at|Next information:) 1\d:\d\d"),
}
AS_OF = {"de": "Stand 14:05 Uhr", "en": "as of 14:05"}
ABBREVIATIONS = re.compile(
    r"\b(z\. ?B\.|d\. ?h\.|u\. ?a\.|bzw\.|ca\.|evtl\.|ggf\.|inkl\.|usw\.|Str\.|Nr\.|Tel\.|PI|PD|e\.g\.|i\.e\.|approx\.|etc\.)"
)


@functools.cache
def books() -> dict[str, Playbook]:
    """The shipped playbooks by id, loaded for an exercise: marks make texts longest."""
    return {playbook.id: playbook for playbook in library()[0]}


@functools.cache
def library() -> tuple[tuple[Playbook, ...], tuple[object, ...]]:
    """What loads of the shipped files for the usual channels and one with little room."""
    profiles = channels({**LIMITS, **SHORT_POSTS})
    return load_library(shipped(), profiles, SENDER, Realm.EXERCISE, region_names=REGIONS)


def said(book: Playbook, purpose: Purpose, name: str, voice: Voice, **changes: object) -> Text:
    """What follows up on a channel with ``voice``, with sample facts."""
    facts = {fact: spec.sample for fact, spec in book.fact_specs(name).items()}
    usual = {"playbook": book, "purpose": purpose, "name": name, "facts": facts, "place": "Neumarkt", **changes}
    return render_texts(occasion(**usual), [voice]).texts[voice].follow_up


def in_form(book: str, purpose: Purpose, name: str, language: str, form: str) -> str:
    """The long form of a text, or the short one, which is what is said where the long one just does not fit."""
    long = said(books()[book], purpose, name, Voice(LIMITS["whatsapp"], (language,))).body
    if form == "long":
        return long
    tight = TextLimit(Unit.CHARACTERS, len(long) - 1)
    short = said(books()[book], purpose, name, Voice(tight, (language,))).body
    assert "Warnung:" not in short
    return short


FORMS = [
    pytest.param(book, purpose, name, language, form, id=f"{book}-{name or purpose}-{language}-{form}")
    for book in KINDS
    for purpose, name in every_saying(books()[book])
    for language in ("de", "en")
    for form in ("long", "short")
]


def test_all_four_load_without_a_problem() -> None:
    """Every shipped playbook loads, at its longest, in an exercise, on every usual channel and in short posts."""
    found, problems = library()
    assert problems == ()
    assert {playbook.id: playbook.match.kind for playbook in found} == KINDS


def test_they_say_who_lets_them_out_and_who_hears_them() -> None:
    """No shipped playbook starts by machine alone, and each speaks to the public and to partners in both languages."""
    for book in books().values():
        assert all(book.release_for(severity).people >= 1 for severity in type(book.severity))
        assert book.channels.audiences == (Audience.PUBLIC, Audience.PARTNER)
        assert book.languages == ("de", "en")
        assert set(book.updates) == NAMED


@pytest.mark.parametrize(("book", "purpose", "name", "language", "form"), FORMS)
def test_every_form_is_plain_and_signed(book: str, purpose: Purpose, name: str, language: str, form: str) -> None:
    """Each text in each form names source, place and time, in sentences of at most 15 words and no abbreviation."""
    text = in_form(book, purpose, name, language, form)
    head, *body, closing = text.split("\n\n")
    assert "Neumarkt" in head
    assert closing == f"Polizeidirektion Osnabrück · {AS_OF[language]} · KQX-42"
    assert not ABBREVIATIONS.search(text)
    for sentence in re.split(r"(?<=[.?!])\s|\n", "\n".join([head, *body])):
        assert len(re.findall(r"\w+", sentence)) <= 15, sentence


@pytest.mark.parametrize("book", KINDS)
@pytest.mark.parametrize("language", ["de", "en"])
@pytest.mark.parametrize("form", ["long", "short"])
@pytest.mark.parametrize("purpose", [Purpose.ALERT, Purpose.UPDATE])
def test_warnings_say_what_to_do_and_when_to_listen_again(
    book: str, language: str, form: str, purpose: Purpose
) -> None:
    """Alert and update name the hazard, tell people what to do and say when the next word comes, in every form."""
    body = in_form(book, purpose, "", language, form)
    assert re.search(HAZARD[book], body)
    assert ACTION[language].search(body)
    assert NEXT_WORD[language].search(body)


@pytest.mark.parametrize("book", KINDS)
@pytest.mark.parametrize("form", ["long", "short"])
def test_ends_are_clear(book: str, form: str) -> None:
    """An all-clear says what is over and that the police say so; a false alarm what was wrong and what is true now."""
    words = {
        (Purpose.ALL_CLEAR, "de"): ("Polizei", "beendet|vorbei", HAZARD[book]),
        (Purpose.ALL_CLEAR, "en"): ("police", "ended|over", HAZARD[book]),
        (Purpose.FALSE_ALARM, "de"): ("Unsere", "war falsch", "Es besteht keine Gefahr", HAZARD[book]),
        (Purpose.FALSE_ALARM, "en"): ("Our", "was wrong", "There is no danger", HAZARD[book]),
    }
    for (purpose, language), needed in words.items():
        body = in_form(book, purpose, "", language, form)
        assert all(re.search(word, body) for word in needed), body


@pytest.mark.parametrize("book", KINDS)
def test_both_languages_fit_the_usual_channels(book: str) -> None:
    """On a usual day each alert and each end reaches the usual channels in both languages, long where there is room."""
    for profile in channels():
        voice = voice_of(profile, books()[book])
        for purpose in (Purpose.ALERT, Purpose.ALL_CLEAR, Purpose.FALSE_ALARM):
            text = said(books()[book], purpose, "", voice, realm=Realm.EXERCISE)
            assert text.languages == ("de", "en")
            assert profile.id == "mastodon" or "\n- " in text.body


@pytest.mark.parametrize(
    ("name", "fact"), [("meeting_point", "point"), ("hotline", "phone"), ("rumour_false", "rumour")]
)
@pytest.mark.parametrize("form", ["long", "short"])
@pytest.mark.parametrize("language", ["de", "en"])
def test_named_updates_carry_their_fact(name: str, fact: str, form: str, language: str) -> None:
    """Meeting point, telephone number and rumour stand in every form of their update, in both languages."""
    for book in books():
        sample = str(books()[book].fact_specs(name)[fact].sample)
        assert sample in in_form(book, Purpose.UPDATE, name, language, form)


@runs(max_examples=40)
@given(
    book=st.sampled_from(sorted(KINDS)),
    place=st.text(alphabet="🚨👩‍👧🏽🇩🇪שלוםe\u0301\u200d\u202ez /", max_size=80) | st.just("https://a.de " * 6),
    fact=st.text(alphabet="🚨👩‍👧שäo\u0308\u200f {}%:htps/.\n", max_size=500),
    data=st.data(),
)
def test_nothing_that_comes_in_makes_a_text_too_long(book: str, place: str, fact: str, data: st.DataObject) -> None:
    """Whatever place and facts hold, every text is within its limit, holds the code, and shows the exercise's marks."""
    purpose, name = data.draw(st.sampled_from(list(every_saying(books()[book]))))
    facts = dict.fromkeys(books()[book].fact_specs(name), fact)
    voices = [Voice(limit, ("de", "en")) for limit in (*LIMITS.values(), *SHORT_POSTS.values())]
    usual = {"playbook": books()[book], "purpose": purpose, "name": name, "facts": facts, "place": place}
    rendered = render_texts(occasion(**usual, realm=Realm.EXERCISE, now=NOW), voices)
    for voice, texts in rendered.texts.items():
        for text in all_of(texts):
            assert voice.limit.fits(text.body)
            assert text.body.startswith(EXERCISE)
            assert text.body.endswith(f"KQX-42\n{EXERCISE}")
