"""Finished texts: whole, within the limit, signed, marked, and never silent."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import settings as runs
from hypothesis import strategies as st
from unit.speaking import NOW, SMALL, all_of, occasion, playbook

from dispatcher.model.alert import Purpose, TextSet
from dispatcher.model.cap import Realm
from dispatcher.model.channel import ChannelId, ChannelProfile, TextLimit, Unit
from dispatcher.model.deployment import Level, Sender
from dispatcher.plan.facts import disclosed
from dispatcher.plan.phrases import EXERCISE
from dispatcher.plan.render import NothingFits, Rendered, Voice, render_page, render_texts, voice_of

ROOMY = TextLimit(Unit.CHARACTERS, 5_000)
BOTH = Voice(ROOMY, ("de", "en"))
SAID = [purpose for purpose in Purpose if purpose.spoken]
LATIN = st.text(max_size=90)
ODD = st.text(alphabet="🚨👩‍👧اש\u0301\u200f\u202eß /.:htps@#*{}%", max_size=90) | st.just("https://a " * 9)


def texts(voice: Voice = BOTH, **changes: Any) -> TextSet:
    """What ``voice`` says on the usual occasion, but for ``changes``."""
    return render_texts(occasion(**changes), [voice]).texts[voice]


def small_voice(size: int, *languages: str) -> Voice:
    """A voice with room for ``size`` characters."""
    return Voice(TextLimit(Unit.CHARACTERS, size), languages or ("de", "en"))


def broken(template: str = "{% if place > 3 %}x{% endif %}") -> Rendered:
    """The usual occasion with a German alert text that fails at run time."""
    book = playbook(SMALL.replace("Schließen Sie Fenster.", template).replace('"Fenster zu."', f'"{template}"'))
    return render_texts(occasion(playbook=book), [BOTH])


def test_a_post_holds_its_languages_in_order_and_a_closing_line() -> None:
    """A post is one block for each language, a line between them, and who speaks, as of when, under which code."""
    assert texts().first.body == (
        "Brand: Nordbahnhof\n\nSchließen Sie Fenster. Rauch zieht nach Osten.\n\n***\n\n"
        "Fire: Nordbahnhof\n\nClose windows.\n\n"
        "Polizeidirektion Osnabrück · Stand 14:05 Uhr · KQX-42"
    )
    assert texts().first.headline == "Brand: Nordbahnhof"
    assert texts(Voice(ROOMY, ("en",))).first.body.endswith("\n\nPolizeidirektion Osnabrück · as of 14:05 · KQX-42")


def test_the_longest_form_that_fits_is_said() -> None:
    """With less room come shorter forms, then fewer languages; what is said is whole and nothing is degraded."""
    said = []
    for size in range(400, 94, -1):
        rendered = render_texts(occasion(), [small_voice(size)])
        text = rendered.texts[small_voice(size)].first
        assert len(text.body) <= size
        said.append((" ".join(text.languages), "Rauch zieht" in text.body))
    assert list(dict.fromkeys(said)) == [("de en", True), ("de en", False), ("de", True), ("de", False)]


def test_a_voice_is_rendered_once_for_all_channels_that_share_it() -> None:
    """Channels with the same limit and languages share one text; others get their own."""
    profiles = [
        ChannelProfile(id=ChannelId(str(n)), kind="x", title="x", limit=ROOMY, languages=("de",)) for n in range(9)
    ]
    other = ChannelProfile(id=ChannelId("y"), kind="y", title="y", limit=ROOMY, languages=("en",))
    rendered = render_texts(occasion(), [voice_of(profile, playbook()) for profile in [*profiles, other]])
    assert [voice.languages for voice in rendered.texts] == [("de",), ("en",)]


@pytest.mark.parametrize(
    ("own", "expected"),
    [((), ("de", "en")), (("en", "de"), ("en", "de")), (("fr", "en"), ("en",)), (("fr",), ("de", "en"))],
)
def test_a_channel_speaks_its_own_languages(own: tuple[str, ...], expected: tuple[str, ...]) -> None:
    """A channel's own order of languages counts, as far as the playbook has them; else the playbook's."""
    profile = ChannelProfile(id=ChannelId("x"), kind="x", title="x", limit=ROOMY, languages=own)
    assert voice_of(profile, playbook()).languages == expected
    assert voice_of(profile).languages == (own or ("de", "en"))


def test_an_exercise_is_marked_at_both_ends() -> None:
    """In an exercise every text, its headline too, begins with the mark and ends with it, whatever the room."""
    for voice in (BOTH, small_voice(200), small_voice(160)):
        for text in all_of(texts(voice, realm=Realm.EXERCISE)):
            assert text.body.startswith(f"{EXERCISE}\n")
            assert text.body.endswith(f"KQX-42\n{EXERCISE}")
            assert text.headline.startswith(EXERCISE)
            assert voice.limit.fits(text.body)
    assert EXERCISE not in texts().first.body


def test_a_repetition_says_so_first() -> None:
    """A text that may be there twice begins with saying that it repeats, in the languages of its post."""
    assert texts().repetition.body == f"Wiederholung / Repeated\n\n{texts().first.body}"
    marked = texts(Voice(ROOMY, ("en",)), realm=Realm.EXERCISE).repetition
    assert marked.body.startswith(f"{EXERCISE}\nRepeated\n\nFire:")


def test_an_update_brings_the_alert_to_those_who_never_heard_it() -> None:
    """On a new channel an update comes with the alert's text; where both do not fit, with its own words alone."""
    update = texts(purpose=Purpose.UPDATE)
    assert "Schließen Sie Fenster." in update.first.body
    assert "Es brennt weiter: Nordbahnhof" in update.first.body
    assert "Schließen" not in update.follow_up.body
    tight = texts(small_voice(115, "de"), purpose=Purpose.UPDATE)
    assert "Fenster" not in tight.first.body
    assert tight.first == tight.follow_up


def test_a_named_update_has_its_own_texts_and_facts() -> None:
    """A named update says its own words, with its own facts, and its required ones are missed."""
    said = texts(purpose=Purpose.UPDATE, name="shelter", facts={"hall": "Halle 2", "smoke": "ab"})
    assert "Unterkunft: Nordbahnhof\n\nOffen: Halle 2." in said.follow_up.body
    assert "Rauch zieht ab." in said.first.body
    notes = render_texts(occasion(purpose=Purpose.UPDATE, name="shelter", facts={}), [BOTH]).notes
    assert notes == ("hall: required, but not given",)


def test_only_public_facts_go_out_unread() -> None:
    """Where no person reads the text first, facts not declared public stay out of it, and a note says so."""
    facts = {"smoke": "nach Osten", "count": 7}
    assert "7 hurt" in texts(facts=facts).first.body
    rendered = render_texts(occasion(facts=facts, public_only=True), [BOTH])
    assert "7 hurt" not in rendered.texts[BOTH].first.body
    assert "nach Osten" in rendered.texts[BOTH].first.body
    assert rendered.notes == ("count: left out, as it is not public and no person has read it",)


@pytest.mark.parametrize(
    ("name", "value", "written"),
    [
        ("smoke", " nach \u202e\n Osten ", "nach Osten"),
        ("smoke", "x" * 41, ""),
        ("smoke", ["a"], ""),
        ("smoke", True, ""),
        ("smoke", 4, "4"),
        ("count", 12.0, "12"),
        ("count", 1.5, "1.5"),
        ("count", 1_000, ""),
        ("count", float("inf"), ""),
        ("count", float("nan"), ""),
        ("count", "12", ""),
        ("count", True, ""),
        ("since", "7:30", "7:30"),
        ("since", "2026-05-04T11:40:00+00:00", "13:40"),
        ("since", "0001-01-01T00:00:00+14:00", ""),
        ("since", "2026-05-04T11:40:00", ""),
        ("since", "soon", ""),
        ("since", 5, ""),
    ],
)
def test_facts_are_checked_against_their_declaration(name: str, value: object, written: str) -> None:
    """A fact that is not of its declared type and size is left out with a note; no text is ever cut to fit it."""
    said, notes = disclosed(playbook().facts, {name: value}, public_only=False, now=NOW)
    assert said[name] == written
    assert [note.split(":")[0] for note in notes] == ([] if written else [name])


def test_a_missing_place_is_told_by_its_regions() -> None:
    """Without a place the regions are named; too many are counted instead of leaving the limit or the truth."""
    assert "Brand: Stadt Emden\n" in texts(place="").first.body
    many = tuple(f"Landkreis Nummer {n}" for n in range(1, 60))
    body = texts(place="", region_names=many).first.body
    assert "Brand: Landkreis Nummer 1, Landkreis Nummer 2, Landkreis Nummer 3 und 56 weitere\n" in body
    assert "Fire: Landkreis Nummer 1, Landkreis Nummer 2, Landkreis Nummer 3 and 56 more\n" in body


def test_the_next_word_is_announced_in_real_hours() -> None:
    """The time of the next update counts elapsed minutes, also through the night when the clocks change."""
    night = datetime(2026, 10, 25, 0, 45, tzinfo=UTC).astimezone(ZoneInfo("Europe/Berlin"))
    assert f"{night:%H:%M}" == "02:45"
    assert "Neues um 02:15 Uhr" in texts(purpose=Purpose.UPDATE, now=night).follow_up.body


def test_a_broken_template_never_silences_an_alert() -> None:
    """A template that fails at run time is replaced, in its language only, by words that need no template."""
    rendered = broken()
    body = rendered.texts[BOTH].first.body
    assert "Warnung: Großbrand, Nordbahnhof\n\nFolgen Sie den Anweisungen der Einsatzkräfte." in body
    assert "Fire: Nordbahnhof\n\nClose windows." in body
    assert rendered.degraded
    assert any("alert de long" in note for note in rendered.notes)


@pytest.mark.parametrize("template", ["{{ nonsense }}", "{% if %}", "{{ place", "{{ range(9) }}"])
def test_a_template_that_does_not_compile_is_replaced_too(template: str) -> None:
    """Even a template that should never have been loaded costs its own words only."""
    assert "Warnung: Großbrand" in broken(template).texts[BOTH].first.body


def test_a_template_that_says_nothing_is_replaced() -> None:
    """An empty text is a failed one: nobody is helped by a signed blank."""
    book = playbook(SMALL.replace('short: "Fenster zu."', 'short: "{% if count %}x{% endif %}"'))
    assert render_texts(occasion(playbook=book), [small_voice(160, "de")]).degraded is False
    assert (
        "Einsatzkräfte"
        in texts(small_voice(130, "de"), playbook=book, place="x" * 20, facts={"smoke": "y" * 40}).first.body
    )


@pytest.mark.parametrize("unit", list(Unit))
@pytest.mark.parametrize("language", ["de", "en", "fr"])
def test_160_units_always_hold_a_text(unit: Unit, language: str) -> None:
    """In 160 of any unit there is always something true to say, with mark, repetition, time and code."""
    voice = Voice(TextLimit(unit, 160), (language,))
    wordy = SMALL.replace("title: Großbrand", f"title: {'🚨' * 80}\nlanguages: [de]")
    book = playbook(wordy.replace("en: {", "fr: {") if language == "fr" else wordy)
    sender = Sender(name="Amt für öffentliche Sicherheit und Ordnung " * 9)
    for purpose in SAID:
        said = texts(voice, playbook=book, purpose=purpose, place="🚨" * 80, sender=sender, realm=Realm.EXERCISE)
        for text in all_of(said):
            assert voice.limit.fits(text.body)
            assert "KQX-42" in text.body


def test_a_limit_without_room_for_any_text_is_an_error() -> None:
    """Where not even the minimal text fits, that is said, instead of posting half of it."""
    with pytest.raises(NothingFits, match="4 characters"):
        texts(small_voice(4))


@runs(max_examples=60)
@given(place=ODD | LATIN, smoke=ODD | LATIN, purpose=st.sampled_from(SAID))
def test_no_text_is_ever_too_long(place: str, smoke: str, purpose: Purpose) -> None:
    """Whatever stands in place and facts, every text is within its limit and holds the code."""
    voices = [
        Voice(TextLimit(unit, size, url), ("de", "en")) for unit in Unit for size in (160, 300) for url in (None, 23)
    ]
    rendered = render_texts(
        occasion(place=place, facts={"smoke": smoke}, purpose=purpose, realm=Realm.EXERCISE), voices
    )
    for voice, said in rendered.texts.items():
        for text in all_of(said):
            assert voice.limit.fits(text.body)
            assert "KQX-42" in text.body
            assert text.body.startswith(EXERCISE)
            assert text.body.endswith(EXERCISE)


def page(raw: str, voice: Voice = BOTH, realm: Realm = Realm.LIVE) -> TextSet:
    """A page about ``raw``."""
    return render_page("Unreadable event", ["from leer", "not JSON"], raw, [voice], realm=realm, code="KQX-42")[voice]


def test_a_page_shows_the_raw_text() -> None:
    """A page for staff holds its headline, its lines, what came in, and the code; invisible signs are made visible."""
    assert page('{"a": 1}\nb\u202ec\0').first.body == (
        'Unreadable event\nfrom leer\nnot JSON\n\n{"a": 1}\nb�c�\n\nKQX-42'
    )
    assert page("", realm=Realm.EXERCISE).repetition.body == (
        f"{EXERCISE}\nWiederholung / Repeated\n\nUnreadable event\nfrom leer\nnot JSON\n\nKQX-42\n{EXERCISE}"
    )


@runs(max_examples=40)
@given(raw=st.text(max_size=600) | ODD, unit=st.sampled_from(Unit), size=st.integers(160, 400))
def test_a_page_that_is_cut_says_how_much_is_missing(raw: str, unit: Unit, size: int) -> None:
    """A raw text that does not fit is cut, never beyond the limit, and the number of missing characters is named."""
    voice = Voice(TextLimit(unit, size // 40 if unit is Unit.SEGMENTS else size), ("de",))
    for text in (page(raw, voice).first, page(raw, voice, Realm.EXERCISE).repetition):
        assert voice.limit.fits(text.body)
        assert "KQX-42" in text.body
    cut = page("x" * 5_000, voice).first.body
    kept = cut.count("x")
    assert f"[… {5_000 - kept} Zeichen fehlen]" in cut
    assert voice.limit.measure(cut) >= voice.limit.size - 2


def test_a_page_that_could_not_be_said_is_an_error() -> None:
    """Where a channel has no room for marks and code, that is said, instead of paging with nothing."""
    with pytest.raises(NothingFits):
        page("x", small_voice(5))


@pytest.mark.parametrize(
    ("level", "german", "english"),
    [("local", "", ""), ("regional", " (regional)", " (regional)"), ("national", " (landesweit)", " (national)")],
)
def test_a_long_text_says_how_far_its_senders_word_reaches(level: Level, german: str, english: str) -> None:
    """National and regional senders say so behind their name where there is room; templates may say it themselves."""
    speaks = {
        "sender": Sender(name="Polizei", level=level),
        "playbook": playbook(SMALL.replace("Close windows.", "A {{ level }} word.")),
    }
    assert f"Polizei{german} · Stand" in texts(**speaks).first.body
    assert f"Polizei{english} · as of" in texts(Voice(ROOMY, ("en",)), **speaks).first.body
    assert f"A {level} word." in texts(**speaks).first.body
    assert "Polizei · Stand" in texts(small_voice(90), **speaks).first.body
