"""Finished texts: one for each distinct voice, whole, within its limit, always with the code, never cut.

A post is made of language blocks in the channel's order, each a headline and a body, and a closing line that says who
speaks, as of when, and the code we find our own post by. Whatever goes wrong on the way, something true goes out: a form
with fewer languages, a shorter form, and in the end a minimal text that needs no template.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import chain
from typing import Literal

from dispatcher.model.alert import Purpose, Text, TextSet
from dispatcher.model.cap import Realm
from dispatcher.model.channel import TextLimit
from dispatcher.model.errors import Invalid
from dispatcher.model.incident import clean
from dispatcher.model.playbook import MAX_WORDS
from dispatcher.plan.facts import disclosed, unread
from dispatcher.plan.occasion import PROVIDED, Occasion, Voice, values, voice_of
from dispatcher.plan.phrases import BLOCK, DENIALS, EXERCISE, phrases
from dispatcher.plan.templates import TemplateFailed, TemplateRefused, compile_template

__all__ = [
    "Block", "NothingFits", "Occasion", "Rendered", "Voice", "render_notice", "render_page", "render_texts", "shortest", "voice_of",
]  # fmt: skip

MAX_RAW = 4_000  # characters of a raw text on a page: the console shows the whole

Form = Literal["long", "short"]


class NothingFits(ValueError):
    """Not even the minimal text is within a channel's limit."""


@dataclass(frozen=True, slots=True)
class Rendered:
    """Texts by voice. ``degraded``: somewhere a minimal text stands in; ``notes`` say why, and what was left out.

    ``withheld``: something that was given stays back, because no person reads the text before it goes out.
    """

    texts: Mapping[Voice, TextSet]
    degraded: bool
    notes: tuple[str, ...]
    withheld: bool = False


@dataclass(frozen=True, slots=True)
class Block:
    """One language's part of a post."""

    language: str
    headline: str
    body: str
    form: Form = "short"


def render_texts(occasion: Occasion, voices: Iterable[Voice]) -> Rendered:
    """The texts of an occasion; raises `NothingFits` for a voice with less than 20 units."""
    speaker = _Speaker(occasion)
    texts = {voice: speaker.text_set(voice) for voice in dict.fromkeys(voices)}
    return Rendered(texts, speaker.degraded, tuple(speaker.notes), speaker.withheld)


def refuse_words(words: Mapping[str, str], realm: Realm) -> None:
    """Raise `Invalid` where a person's own words are none, too long, or deny an exercise."""
    for language, text in words.items():
        said = clean(text, MAX_WORDS)
        if not said:
            raise Invalid(f"1 to {MAX_WORDS} characters", f"words.{language}")
        denial = next((d for d in DENIALS if d in said.casefold()), "")
        if realm is Realm.EXERCISE and denial:
            raise Invalid(f"an exercise may not say {denial!r}", f"words.{language}")


def render_correction(original: Text, correction: Text, limit: TextLimit) -> Text:
    """An earlier post as it reads from now on: the correction's headline before it, or the correction alone."""
    body = f"{correction.headline}{BLOCK}{original.body}"
    return Text(correction.headline, body, original.languages) if limit.fits(body) else correction


def shortest(occasion: Occasion, voice: Voice) -> Text:
    """The last text before the minimal one, as a repetition, which is longest: where this fits, a template speaks."""
    speaker = _Speaker(occasion)
    return speaker.framed([speaker.block(occasion.purpose, voice, voice.languages[0], "short")], repeated=True)


def render_page(
    headline: str, lines: Sequence[str], raw: str, voices: Iterable[Voice], *, realm: Realm, code: str
) -> Mapping[Voice, TextSet]:
    """A page for staff: ``headline``, ``lines`` and the ``raw`` text it is about, which may be cut, with a mark.

    Raises `NothingFits` for a voice that has no room for more than marks and code.
    """
    said = "\n".join([headline, *lines]) + (f"\n\n{raw[:MAX_RAW]}" if raw else "")
    said = "".join(char if char.isprintable() or char == "\n" else "�" for char in said)
    left = len(raw[MAX_RAW:])
    return {voice: _page(headline, said, voice, realm, code, left=left) for voice in dict.fromkeys(voices)}


def render_notice(
    words: Mapping[str, str], headline: str, languages: Sequence[str], *, realm: Realm, code: str
) -> TextSet:
    """Words that belong to no incident, by language: those of ``languages`` that there are, else all of them."""
    said = tuple(language for language in languages if language in words) or tuple(words)

    def text(*, repeated: bool) -> Text:
        """The notice, or what is said where nobody knows whether it went out."""
        marks = _marks(realm, said, repeated=repeated)
        body = _dressed(BLOCK.join(words[language].strip() for language in said), f"{headline} · {code}", realm, marks)
        return Text(": ".join([*marks, headline]), body, said)

    notice = text(repeated=False)
    return TextSet(notice, notice, text(repeated=True))


class _Speaker:
    """Finds the words for one occasion, renders each block once and keeps notes of what went wrong."""

    def __init__(self, occasion: Occasion) -> None:
        self.occasion = occasion
        self.specs = occasion.playbook.fact_specs(occasion.name)
        self.facts, notes = disclosed(self.specs, occasion.facts, public_only=occasion.public_only, now=occasion.now)
        self.notes = dict.fromkeys(notes)
        self.degraded = False
        kept = [n for n, spec in self.specs.items() if n in occasion.facts and unread(spec, occasion.facts[n])]
        unseen = occasion.unseen_place and bool(occasion.place)
        self.withheld = unseen or (occasion.public_only and bool(kept))
        if unseen:
            self.notes["place: left out, as no person has read it"] = None
        self.blocks: dict[tuple[Purpose, bool, str, Form], Block] = {}

    def text_set(self, voice: Voice) -> TextSet:
        """First, following and repeating text of one voice; a person's own words are said in their languages."""
        if words := self.occasion.words:
            own = tuple(language for language in voice.languages if language in words)
            voice = replace(voice, languages=own or tuple(words))
        follow_up = self._said(voice, self._own(voice))
        first = self._said(voice, self._complete(voice)) if self.occasion.purpose is Purpose.UPDATE else follow_up
        return TextSet(first, follow_up, self._said(voice, self._complete(voice), repeated=True))

    def block(self, purpose: Purpose, voice: Voice, language: str, form: Form) -> Block:
        """One language's part in one form, for the public or for partners, rendered once."""
        key = (purpose, voice.partner, language, form)
        if key not in self.blocks:
            try:
                self.blocks[key] = self._rendered(purpose, language, form, partner=voice.partner)
            except (TemplateRefused, TemplateFailed) as error:
                self._degrade(f"{purpose} {language} {form}: {error}; the minimal text stands in")
                self.blocks[key] = self._minimal(language)
        return self.blocks[key]

    def framed(self, blocks: list[Block], *, repeated: bool, signed: bool = True) -> Text:
        """A whole post: marks, blocks, closing line."""
        occasion, languages = self.occasion, tuple(block.language for block in blocks)
        as_of = phrases(languages[0]).as_of.format(time=f"{occasion.now:%H:%M}")
        closing = " · ".join([*([self._sender(blocks[0])] if signed else []), as_of, occasion.code])
        said = BLOCK.join(f"{block.headline}\n\n{block.body}" for block in blocks)
        marks = _marks(occasion.realm, languages, repeated=repeated)
        return Text(": ".join([*marks, blocks[0].headline]), _dressed(said, closing, occasion.realm, marks), languages)

    def _rendered(self, purpose: Purpose, language: str, form: Form, *, partner: bool) -> Block:
        name = self.occasion.name if purpose is Purpose.UPDATE else ""
        templates = self.occasion.playbook.templates(purpose, name, partner=partner)
        words = self.occasion.words if purpose is Purpose.UPDATE else {}
        # Own words may be in a language that the playbook has not: any headline is better than none.
        template = templates[language] if language in templates else next(iter(templates.values()))
        names, filled = PROVIDED.union(self.specs), values(self.occasion, language, self.facts)
        headline = compile_template(template.headline, names).render(filled)
        body = words.get(language) or compile_template(getattr(template, form), names).render(filled)
        if not headline or not body:
            raise TemplateFailed("says nothing")
        return Block(language, headline.replace("\n", " "), body, form)

    def _sender(self, block: Block) -> str:
        """Who speaks; where there is room, how far that word reaches, which a town's own name says."""
        sender = self.occasion.sender
        if block.form == "short" or sender.level == "local":
            return sender.name
        return f"{sender.name} ({phrases(block.language).level[sender.level]})"

    def _minimal(self, language: str) -> Block:
        word, body = phrases(language).minimal[self.occasion.purpose]
        place = values(self.occasion, language, {})["place"]
        return Block(language, f"{word}: {self.occasion.playbook.title}, {place}".removesuffix(", "), body)

    def _said(self, voice: Voice, variants: Iterable[list[Block]], *, repeated: bool = False) -> Text:
        tight = None
        for blocks in variants:
            text = self.framed(blocks, repeated=repeated)
            if voice.limit.leaves_room(text.body):
                return text
            tight = tight or (text if voice.limit.fits(text.body) else None)
        if tight is not None:
            return tight
        self._degrade(f"no form fits {voice.limit.size} {voice.limit.unit}; the minimal text stands in")
        return self._least(voice, repeated=repeated)

    def _least(self, voice: Voice, *, repeated: bool) -> Text:
        """The minimal text: in fewer and fewer languages, in the end without place, title and sender."""
        for languages in _fewer(voice.languages):
            text = self.framed([self._minimal(language) for language in languages], repeated=repeated)
            if voice.limit.fits(text.body):
                return text
        language = voice.languages[0]
        bare = Block(language, *phrases(language).minimal[self.occasion.purpose])
        text = self.framed([bare], repeated=repeated, signed=False)
        if voice.limit.fits(text.body):
            return text
        return _tiny(bare.headline, voice, self.occasion)

    def _own(self, voice: Voice) -> Iterator[list[Block]]:
        for languages, form in _forms(voice.languages):
            yield [self.block(self.occasion.purpose, voice, language, form) for language in languages]

    def _complete(self, voice: Voice) -> Iterator[list[Block]]:
        """For who has heard nothing yet: an update comes with the alert it is about, where both fit."""
        if self.occasion.purpose is not Purpose.UPDATE:
            return self._own(voice)
        both = (
            [self._with_alert(voice, language, form) for language in languages]
            for languages, form in _forms(voice.languages)
        )
        return chain(both, self._own(voice))

    def _with_alert(self, voice: Voice, language: str, form: Form) -> Block:
        alert = self.block(Purpose.ALERT, voice, language, form)
        update = self.block(Purpose.UPDATE, voice, language, form)
        return Block(language, alert.headline, f"{alert.body}\n\n{update.headline}\n\n{update.body}", form)

    def _degrade(self, note: str) -> None:
        self.degraded = True
        self.notes[note] = None


def _tiny(word: str, voice: Voice, occasion: Occasion) -> Text:
    """The last resort on a channel that holds a line: its mark, a word, the code; an exercise is marked at both ends."""
    mark = phrases(voice.languages[0]).mark if occasion.realm is Realm.EXERCISE else ""
    for said in (f"{word} {occasion.code}", occasion.code):
        body = " ".join(part for part in (mark, said, mark) if part)
        if voice.limit.fits(body):
            return Text(body, body, voice.languages[:1])
    raise NothingFits(f"{voice.limit.size} {voice.limit.unit} hold no text at all")


def _fewer(languages: tuple[str, ...]) -> Iterator[tuple[str, ...]]:
    return (languages[:count] for count in range(len(languages), 0, -1))


def _forms(languages: tuple[str, ...]) -> Iterator[tuple[tuple[str, ...], Form]]:
    """All languages long, all short, then one language fewer each time."""
    both: tuple[Form, Form] = ("long", "short")
    return ((some, form) for some in _fewer(languages) for form in both)


def _page(headline: str, said: str, voice: Voice, realm: Realm, code: str, *, left: int) -> TextSet:
    def text(*, repeated: bool) -> Text:
        """The page, whole or with its raw text shortened to what fits."""
        marks = _marks(realm, voice.languages, repeated=repeated)
        missing = phrases(voice.languages[0]).missing
        body = _shortened(said, missing, voice.limit, lambda said: _dressed(said, code, realm, marks), left)
        return Text(": ".join([*marks, headline]), body, voice.languages)

    page = text(repeated=False)
    return TextSet(page, page, text(repeated=True))


def _shortened(text: str, missing: str, limit: TextLimit, dressed: Callable[[str], str], left: int) -> str:
    """``text``, dressed; or as much of its beginning as fits, with the number of characters that are ``missing``.

    ``left`` characters more are missing from the start.
    """
    if limit.fits(whole := dressed(f"{text} {missing.format(count=left)}" if left else text)):
        return whole
    fitting, kept, over = "", -1, len(text)
    while over - kept > 1:
        middle = (kept + over) // 2
        tried = dressed(f"{text[:middle].rstrip()} {missing.format(count=len(text) - middle + left)}".strip())
        fitting, kept, over = (tried, middle, over) if limit.fits(tried) else (fitting, kept, middle)
    if not fitting:
        raise NothingFits(f"{limit.size} {limit.unit} hold no page at all")
    return fitting


def _marks(realm: Realm, languages: tuple[str, ...], *, repeated: bool) -> list[str]:
    """What a text says before anything else."""
    mark = [EXERCISE] if realm is Realm.EXERCISE else []
    return mark + ([" / ".join(phrases(language).repeated for language in languages)] if repeated else [])


def _dressed(said: str, closing: str, realm: Realm, marks: list[str]) -> str:
    """The whole post: marks, what is said, the closing line, and in an exercise its mark once more."""
    end = [closing, EXERCISE] if realm is Realm.EXERCISE else [closing]
    return "\n\n".join([*(["\n".join(marks)] if marks else []), said, "\n".join(end)])
