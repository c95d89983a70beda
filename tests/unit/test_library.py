"""The library: what loads can be said, everywhere, at its longest; what cannot is left out with its reason."""

from __future__ import annotations

from dataclasses import replace

import pytest
from unit.speaking import SENDER, SMALL, channels

from dispatcher.model.cap import Realm
from dispatcher.model.channel import Audience, ChannelProfile, TextLimit, Unit
from dispatcher.model.errors import ConfigurationError, Problem
from dispatcher.model.playbook import Playbook
from dispatcher.plan.library import load_library, load_playbook

REGIONS = ("Stadt Emden", "Landkreis Leer", "Landkreis Aurich")


def load(text: str = SMALL, profiles: list[ChannelProfile] | None = None, realm: Realm = Realm.LIVE) -> Playbook:
    """The playbook in ``text``, for the usual channels unless others are given."""
    known = channels() if profiles is None else profiles
    return load_playbook(text, "fire.yaml", known, SENDER, realm, region_names=REGIONS)


def refused(old: str, new: str, **given: object) -> list[Problem]:
    """What is wrong with the small playbook once ``old`` is ``new``."""
    assert old in SMALL
    with pytest.raises(ConfigurationError) as error:
        load(SMALL.replace(old, new, 1), **given)
    return error.value.problems


def test_a_good_playbook_loads() -> None:
    """A playbook without fault loads for live and for exercises, with channels and before there are any."""
    assert load().id == load(realm=Realm.EXERCISE).id == load(profiles=[]).id == "fire"


@pytest.mark.parametrize("missing", ["alert", "update", "all_clear", "false_alarm"])
def test_four_texts_or_none(missing: str) -> None:
    """A playbook that lacks one of the four texts does not load, and the text is named."""
    lines = SMALL.splitlines(keepends=True)
    at = lines.index(f"  {missing}:\n")
    [problem] = refused("".join(lines[at : at + 3]), "")
    assert (problem.field, problem.line, problem.remedy) == (f"texts.{missing}", 9, "add it")


@pytest.mark.parametrize(
    ("old", "new", "field", "said"),
    [
        ("{{ regions }} ist aus", "{{ region }} ist aus", "texts.all_clear.de.long", 'unknown name "region"'),
        ("More at {{ next_update }}", "More at {{ hall }}", "texts.update.en.long", 'unknown name "hall"'),
        ("Es brennt noch.", "{{ place", "texts.update.de.short", "in line 1 of the template"),
        ("Fire out.", "{{ place * 9 }}", "texts.all_clear.en.short", '"*" is not allowed'),
        ("Fenster zu.", "{% if count > 3 %}x{% endif %}y", "texts.alert.de.short", "fails with sample facts"),
        ("Fenster zu.", "{% if smoke %}x{% endif %}", "texts.alert.de.short", "says nothing with no facts"),
        ('short: "{{ hall or \'soon\' }}"', 'short: "{% if not hall %}x{% endif %}"', "updates.shelter.texts.en.short", "says nothing with sample"),
        ("sample: 12", "sample: 1200", "facts.count.sample", "more than 3 digits"),
        ('"13:40"', '"13 Uhr"', "facts.since.sample", "no time of day"),
        ("smoke: {type", "place: {type", "facts.place", "every text has this name anyway"),
        ("hall: {type", "sender: {type", "updates.shelter.facts.sender", "every text has this name anyway"),
    ],
)  # fmt: skip
def test_a_text_that_could_fail_is_found_at_load(old: str, new: str, field: str, said: str) -> None:
    """What would fail on the day, with usual facts, with none or with the longest, is refused with field and line."""
    named = {problem.field: problem for problem in refused(old, new)}
    assert said in named[field].message
    line = SMALL.replace(old, new, 1).splitlines()[(named[field].line or 0) - 1]
    assert new in line
    assert named[field].file == "fire.yaml"


def test_every_problem_is_told_at_once() -> None:
    """Two broken texts and a bad sample give three problems, not the first of them."""
    text = SMALL.replace("Fire out.", "{{ x }}").replace("No fire.", "{{ y }}").replace("sample: 12", "sample: 1200")
    with pytest.raises(ConfigurationError) as error:
        load(text)
    assert [problem.field for problem in error.value.problems] == [
        "facts.count.sample", "texts.all_clear.en.short", "texts.false_alarm.en.short",
    ]  # fmt: skip


def test_a_text_that_fits_no_channel_is_found_at_load() -> None:
    """A text whose shortest form is too long for a channel at its worst names the channel, the limit and the length."""
    [problem] = refused("Es brennt noch.", "Es brennt noch. " * 30)
    assert problem.field == "texts.update.de.short"
    assert "the channel mastodon takes 500 graphemes, this needs up to 6" in problem.message
    assert problem.line == 1 + SMALL.splitlines().index(
        '    de: {headline: "Es brennt weiter: {{ place }}", long: "Neues um {{ next_update }} Uhr.", short: "Es brennt noch."}'
    )


def test_the_longest_place_and_facts_have_to_fit() -> None:
    """A text that fits on usual days and fails with a long place is found at load, not on the day."""
    room = channels({"board": TextLimit(Unit.CHARACTERS, 160)})
    with pytest.raises(ConfigurationError, match="the channel board takes 160 characters"):
        load(profiles=room)
    assert load(SMALL.replace(": {{ place }}", ""), profiles=room).id == "fire"


def test_only_channels_that_would_speak_have_to_fit() -> None:
    """A channel that the playbook never speaks on does not hold it back."""
    tiny = channels({"pager": TextLimit(Unit.BYTES, 60)})
    with pytest.raises(ConfigurationError, match="the channel pager takes 60 bytes"):
        load(profiles=tiny)
    staff = [ChannelProfile(id=c.id, kind=c.kind, title="x", limit=c.limit, audience=Audience.STAFF) for c in tiny]
    assert load(profiles=staff).id == "fire"


@pytest.mark.parametrize("words", ["Das ist keine  Übung.", "KEINE ÜBUNG", "This is not a drill."])
def test_an_exercise_never_denies_itself(words: str) -> None:
    """A text that denies being an exercise does not load in the exercise realm."""
    [problem] = refused("Feuer aus.", words, realm=Realm.EXERCISE)
    assert problem.field == "texts.all_clear.de.short"
    assert load(SMALL.replace("Feuer aus.", words)).id == "fire"


FALLBACK = "channels: {fallback: {%s}}\ntexts:"
NAMES = {"mastodon", "whatsapp", "facebook", "website", "duty-team", "sms"}


@pytest.mark.parametrize(
    ("rule", "field", "said", "remedy"),
    [
        ("facebok: [sms]", "channels.fallback.facebok", "no channel or kind 'facebok'", "known: duty-team, facebook,"),
        ("facebook: [website, sns]", "channels.fallback.facebook", "no channel or kind 'sns'", "known: duty-team,"),
        ("website: [website]", "channels.fallback", "website -> website: a channel cannot stand by", "take one of them"),
        ("website: [facebook], facebook: [mastodon], mastodon: [website]", "channels.fallback", "website -> facebook", "take"),
        ("facebook: []", "channels.fallback.facebook", "", ""),
    ],
)  # fmt: skip
def test_a_fallback_that_could_not_work_is_found_at_load(rule: str, field: str, said: str, remedy: str) -> None:
    """A fallback of what there is not, of itself, or of one another in a ring is refused with place and remedy."""
    with pytest.raises(ConfigurationError) as error:
        load_playbook(
            SMALL.replace("texts:", FALLBACK % rule, 1), "fire.yaml", channels(), SENDER, Realm.LIVE, channel_names=NAMES
        )  # fmt: skip
    [problem] = error.value.problems
    assert (problem.file, problem.line, problem.field) == ("fire.yaml", 9, field)
    assert said in problem.message
    assert remedy in problem.remedy


def test_a_fallback_may_name_what_is_not_configured_here() -> None:
    """A kind that this program knows and this place has no channel of does not hold the playbook back."""
    text = SMALL.replace("texts:", FALLBACK % "facebook: [sms, website]", 1)
    loaded = load_playbook(text, "fire.yaml", channels(), SENDER, Realm.LIVE, channel_names=NAMES)
    assert loaded.channels.fallback == {"facebook": ("sms", "website")}


def test_texts_have_to_fit_what_stands_by() -> None:
    """A text is tried on channels that speak only where others fail, too."""
    rule = "channels: {kinds: [facebook], fallback: {facebook: [pager]}}\ntexts:"
    tiny = channels({"pager": TextLimit(Unit.BYTES, 60), "facebook": TextLimit(Unit.UTF16, 63_206)})
    with pytest.raises(ConfigurationError, match="the channel pager takes 60 bytes"):
        load(SMALL.replace("texts:", rule, 1), profiles=tiny)
    staff = [replace(one, audience=Audience.STAFF) if one.id == "pager" else one for one in tiny]
    assert load(SMALL.replace("texts:", rule, 1), profiles=staff).id == "fire"


def test_one_broken_playbook_leaves_the_others_standing() -> None:
    """A file that does not load is reported and left out; the rest is there, first to speak first."""
    files = {
        "a.yaml": SMALL,
        "b.yaml": SMALL.replace("playbook: fire", "playbook: flood\npriority: 5"),
        "c.yaml": "playbook: [",
        "d.yaml": SMALL.replace("Fire out.", "{{ x }}").replace("playbook: fire", "playbook: gas"),
    }
    playbooks, problems = load_library(files, iter(channels()), SENDER, Realm.LIVE)
    assert [playbook.id for playbook in playbooks] == ["flood", "fire"]
    assert [problem.file for problem in problems] == ["c.yaml", "d.yaml"]


def test_an_id_is_given_once() -> None:
    """A second playbook with an id that is taken is refused, and both files are named."""
    playbooks, [problem] = load_library({"a.yaml": SMALL, "b.yaml": "\n" + SMALL}, channels(), SENDER, Realm.LIVE)
    assert [playbook.title for playbook in playbooks] == ["Großbrand"]
    assert (problem.file, problem.line, problem.field) == ("b.yaml", 2, "playbook")
    assert "a.yaml" in problem.message
