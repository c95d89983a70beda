"""What a card says: taken out of an alert's finished text, the same for everybody who reads that text. Pure."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from dataclasses import dataclass, replace
from functools import lru_cache
from typing import Final

import regex

from dispatcher.cards.words import BULLET, Sign, shares, shortened, sign_of, word_of, writable
from dispatcher.channels._cards import Shape
from dispatcher.model.alert import Alert, Post, Purpose, Text
from dispatcher.model.cap import Realm, Severity
from dispatcher.plan.phrases import BLOCK, EXERCISE

MOST: Final = 1_000  # characters on a card: as many as Instagram and Threads take to describe an image
_DRAWN: Final = "1"  # with the drawing, whatever makes another image of the same words: a name stands for bytes
_HEADLINE: Final = 160
_HEADLINES: Final = 480
_CLOSING: Final = 140
_LONELY: Final = 120  # a text of one paragraph is a headline up to here
_LISTED: Final = regex.compile(r"^[-*•] +", regex.MULTILINE)
_LONGEST: Final = 20_000  # characters that are looked at


@dataclass(frozen=True, slots=True)
class Said:
    """One language's part: a headline, and what stands below it."""

    language: str
    headline: str
    body: str


@dataclass(frozen=True, slots=True)
class Face:
    """Everything on a card. ``words`` say the sign in each language; ``mark`` is empty where it is no exercise."""

    sign: Sign
    mark: str
    words: tuple[tuple[str, str], ...]  # language and word
    parts: tuple[Said, ...]
    closing: str

    @property
    def text(self) -> str:
        """The words on the card in the order of reading."""
        said = [word for _, word in self.words]
        said += [line for part in self.parts for line in (part.headline, part.body)]
        return "\n".join(line for line in (self.mark, *said, self.closing, self.mark) if line)

    def name(self, shape: Shape) -> str:
        """What the card is called as an image: by its content, so that nobody can guess it who does not know the text."""
        said = repr((_DRAWN, shape.value, self.sign.value, self.words, self.parts, self.text))
        return hashlib.sha256(said.encode()).hexdigest()[:40]

    def within(self, most: int) -> Face:
        """The same in at most ``most`` characters, as far as headlines allow: bodies are cut, each as far as it has to be."""
        bodies = [len(part.body) for part in self.parts]
        room = max(0, most - (len(self.text) - sum(bodies)))
        cut = [shortened(part.body, share) for part, share in zip(self.parts, shares(bodies, room), strict=True)]
        return replace(self, parts=tuple(replace(part, body=body) for part, body in zip(self.parts, cut, strict=True)))


@lru_cache(maxsize=256)  # as many channels say the same
def face_of(text: Text, severity: Severity, purpose: Purpose, realm: Realm) -> Face:
    """The card of a finished text, its words within `MOST`."""
    mark = EXERCISE if realm is Realm.EXERCISE else ""
    marks, said, closing = _parted(text, mark)
    sign = sign_of(severity, purpose)
    spoken = text.languages or ("en",)
    words = tuple(dict.fromkeys(word_of(sign, language) for language in spoken))[:3]
    closing = shortened(" · ".join(writable(line) for line in (*marks, closing) if writable(line)), _CLOSING)
    parts = tuple(_bounded(_parts(said, spoken)))
    return Face(sign, mark, words, parts, closing.replace("\n", " ")).within(MOST)


def face_of_post(post: Post) -> Face:
    """The card of a post."""
    return face_of(post.text, post.severity, post.purpose, post.realm)


def faces_of(alert: Alert) -> Iterator[Face]:
    """Every card that an alert may have had."""
    for texts in alert.texts.values():
        for text in (texts.first, texts.follow_up, texts.repetition):
            yield face_of(text, alert.severity, alert.purpose, alert.realm)


def _parted(text: Text, mark: str) -> tuple[tuple[str, ...], str, str]:
    """The marks before a text but that of an exercise, what it says, and its closing line."""
    body = text.body[:_LONGEST].strip()
    first, _, rest = body.partition("\n\n")
    marks = first.split("\n")
    if rest and text.headline.startswith(": ".join(marks) + ": "):
        body = rest
    else:
        marks = []
    body = body.removesuffix(mark).removeprefix(mark).strip() if mark else body
    said, _, closing = body.rpartition("\n\n")
    return tuple(line for line in marks if line != mark), said or body, closing if said else ""


def _parts(said: str, languages: tuple[str, ...]) -> Iterator[Said]:
    """Each language's part, as far as the fonts can write it."""
    for number, block in enumerate(said.split(BLOCK)):
        head, _, body = (writable(piece) for piece in block.strip().partition("\n\n"))
        if (not body and len(head) > _LONELY) or "\n" in head:
            head, body = "", f"{head}\n\n{body}".strip()
        if head or body:
            body = _LISTED.sub(f"{BULLET} ", body)
            yield Said(languages[min(number, len(languages) - 1)], shortened(head, _HEADLINE), body)


def _bounded(parts: Iterator[Said]) -> Iterator[Said]:
    """The first languages, as many as there is room for headlines of."""
    room = _HEADLINES
    for part in parts:
        room -= len(part.headline) or _LONELY
        if room < 0:
            return
        yield part
