"""The library of playbooks: what loads has been rendered before, in every language, for every channel, at its longest.

A broken template is found here, with file, line and field, and not on the day it is needed.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from graphlib import CycleError, TopologicalSorter
from typing import Any

from dispatcher.documents import Document, Path, read_yaml, validated
from dispatcher.model.alert import Purpose
from dispatcher.model.cap import Realm
from dispatcher.model.channel import ChannelProfile, ChannelState, Unit
from dispatcher.model.deployment import Sender
from dispatcher.model.errors import ConfigurationError, Problem
from dispatcher.model.incident import MAX_PLACE
from dispatcher.model.playbook import FactSpec, Playbook, PlaybookId, Template
from dispatcher.plan.facts import disclosed, written
from dispatcher.plan.occasion import PROVIDED, Occasion, Voice, values, voice_of
from dispatcher.plan.phrases import DENIALS
from dispatcher.plan.render import shortest
from dispatcher.plan.templates import TemplateFailed, TemplateRefused, compile_template

_NOON = datetime(2026, 1, 1, 12, 0, tzinfo=UTC)
_WIDE = "🚨"  # one character, two UTF-16 units, four bytes
# Posts so short that they are measured by weights have to hold the usual occasion; beyond it the minimal text stands in,
# and the duty team hears of it.
_WEIGHED = frozenset({Unit.EMOJI_BYTES, Unit.WEIGHTED})


def load_library(
    files: Mapping[str, str],
    profiles: Iterable[ChannelProfile],
    sender: Sender,
    realm: Realm,
    *,
    region_names: tuple[str, ...] = (),
    channel_names: Collection[str] = (),
) -> tuple[tuple[Playbook, ...], tuple[Problem, ...]]:
    """Playbooks from texts by file name, first to speak first, and the problems of those that were left out.

    ``channel_names`` are the ids and kinds that a fallback may name; without them none is held against it.
    """
    known, problems = tuple(profiles), list[Problem]()
    found: dict[PlaybookId, tuple[str, Playbook]] = {}
    for file, text in sorted(files.items()):
        try:
            playbook = load_playbook(
                text, file, known, sender, realm, region_names=region_names, channel_names=channel_names
            )  # fmt: skip
        except ConfigurationError as error:
            problems += error.problems
            continue
        if playbook.id in found:
            taken = f'the id "{playbook.id}" is already taken by {found[playbook.id][0]}'
            problems.append(read_yaml(text, file).problem(("playbook",), taken, "give this playbook another id"))
        else:
            found[playbook.id] = (file, playbook)
    return tuple(sorted((p for _, p in found.values()), key=lambda p: (p.priority, p.id))), tuple(problems)


def load_playbook(
    text: str,
    file: str,
    profiles: Iterable[ChannelProfile],
    sender: Sender,
    realm: Realm,
    *,
    region_names: tuple[str, ...] = (),
    channel_names: Collection[str] = (),
) -> Playbook:
    """The playbook in ``text``; raises `ConfigurationError` with every problem, each with line, field and remedy.

    ``region_names`` are all that the deployment has; without a place, texts name them. ``channel_names``: `load_library`.
    A playbook that names a retired channel is refused.
    """
    document = read_yaml(text, file)
    playbook = validated(document, Playbook)
    known, retired = _split(profiles)
    trial = _Trial(document, playbook, known, sender, realm, region_names or ("Nordstadt",))
    named = [*_retired(document, playbook, retired), *_fallbacks(document, playbook, known, channel_names)]
    problems = [*named, *trial.facts(), *trial.texts()]
    problems = problems or list(trial.lengths())
    if problems:
        raise ConfigurationError(problems)
    return playbook


def _split(profiles: Iterable[ChannelProfile]) -> tuple[tuple[ChannelProfile, ...], dict[str, ChannelProfile]]:
    """Channels that speak, and by their ids those that are retired."""
    every = tuple(profiles)
    retired = {str(profile.id): profile for profile in every if profile.state is ChannelState.RETIRED}
    return tuple(profile for profile in every if profile.id not in retired), retired


def _retired(document: Document, playbook: Playbook, retired: Mapping[str, ChannelProfile]) -> Iterator[Problem]:
    """Channels that a playbook names and that speak no more."""
    rule = playbook.channels
    places: list[tuple[Path, str]] = [(("channels", "only", at), name) for at, name in enumerate(rule.only)]
    places += [(("channels", "fallback", one), name) for one, names in rule.fallback.items() for name in (one, *names)]
    for path, name in places:
        if profile := retired.get(name):
            remedy = f"name {profile.successor} instead" if profile.successor else "take it out"
            said = f", its successor is {profile.successor}" if profile.successor else ""
            yield document.problem(path, f"channel {name} is retired{said}", remedy)


def _fallbacks(
    document: Document, playbook: Playbook, profiles: Sequence[ChannelProfile], channel_names: Collection[str]
) -> Iterator[Problem]:
    """Fallbacks that name what there is not, and those that would wait for themselves."""
    rule = playbook.channels
    for primary, names in rule.fallback.items():
        for name in (primary, *names) if channel_names else ():
            if name not in channel_names:
                said, remedy = f"no channel or kind {name!r}", f"known: {', '.join(sorted(channel_names))}"
                yield document.problem(("channels", "fallback", primary), said, remedy)
    prepared = [profile for profile in profiles if rule.prepares(profile)]
    behind = {p.id: [q.id for q in prepared if rule.stands_by(q, p)] for p in prepared if rule.fallbacks(p)}
    try:
        TopologicalSorter(behind).prepare()
    except CycleError as error:
        ring = " -> ".join(reversed(error.args[1]))
        said = f"{ring}: a channel cannot stand by for itself"
        yield document.problem(("channels", "fallback"), said, "take one of them out, or name channels by their ids")


@dataclass(frozen=True, slots=True)
class _Trial:
    """One playbook, tried out on everything that could come."""

    document: Document
    playbook: Playbook
    profiles: tuple[ChannelProfile, ...]
    sender: Sender
    realm: Realm
    region_names: tuple[str, ...]

    def facts(self) -> Iterator[Problem]:
        """Declared facts whose names are taken or whose samples are not what they declare."""
        sets: list[tuple[Path, Mapping[str, FactSpec]]] = [(("facts",), self.playbook.facts)]
        sets += [(("updates", name, "facts"), update.facts) for name, update in self.playbook.updates.items()]
        for path, name, spec in ((path, name, spec) for path, specs in sets for name, spec in specs.items()):
            if name in PROVIDED:
                yield self.document.problem((*path, name), "every text has this name anyway", "use another name")
            try:
                written(spec, spec.sample, _NOON)
            except ValueError as error:
                yield self.document.problem((*path, name, "sample"), str(error), "give a sample that could be real")

    def texts(self) -> Iterator[Problem]:
        """Parts that do not compile, fail on some data, say nothing, or deny that an exercise is one."""
        for where, templates in self.playbook.text_sets():
            for language, template in templates.items():
                for part in Template.model_fields:
                    source: str = getattr(template, part)
                    yield from self._part((*where, language, part), language, source)

    def lengths(self) -> Iterator[Problem]:
        """Texts whose shortest form is too long for a channel that says them."""
        rule = self.playbook.channels
        admitted = [profile for profile in self.profiles if rule.admits(profile) or rule.prepares(profile)]
        voices = {voice_of(profile, self.playbook): profile for profile in reversed(admitted)}
        for where, _ in self.playbook.text_sets():
            for voice, profile in voices.items():
                if self._reads(voice, where):
                    yield from self._length(where, voice, profile)

    def _reads(self, voice: Voice, where: Path) -> bool:
        """Whether the texts at ``where`` are those that such a channel says: partners have their own, or everybody's."""
        of_partners = "partner" in where
        own = (where[0], where[1], "partner") if where[0] == "updates" else ("texts", "partner", where[-1])
        return voice.partner if of_partners else not (voice.partner and own in dict(self.playbook.text_sets()))

    def _part(self, path: Path, language: str, source: str) -> Iterator[Problem]:
        where = path[:-2]
        specs = self._specs(where)
        try:
            compiled = compile_template(source, PROVIDED.union(specs))
        except TemplateRefused as error:
            remedy = f"names are {', '.join(sorted(PROVIDED.union(specs)))}" if "unknown name" in str(error) else ""
            yield self.document.problem(path, str(error), remedy)
            return
        for data, occasion in self._occasions(where):
            facts, _ = disclosed(specs, occasion.facts, public_only=False, now=_NOON)
            try:
                text = compiled.render(values(occasion, language, facts))
            except TemplateFailed as error:
                yield self.document.problem(path, f"fails with {data}: {error}", "use only texts and conditions")
                return
            if complaint := self._complaint(text, data):
                yield self.document.problem(path, *complaint)
                return

    def _complaint(self, text: str, data: str) -> tuple[str, str] | None:
        if not text:
            return f"says nothing with {data}", "write what is said without them"
        plain = " ".join(text.casefold().split())
        denial = next((words for words in DENIALS if words in plain), "")
        if denial and self.realm is Realm.EXERCISE:
            return f'says "{denial}", in an exercise', "leave it out: the realm marks every text"
        return None

    def _length(self, where: Path, voice: Voice, profile: ChannelProfile) -> Iterator[Problem]:
        limit, language = voice.limit, voice.languages[0]
        usual, *extremes = (occasion for _, occasion in self._occasions(where))
        occasions = [usual] if limit.unit in _WEIGHED else [usual, *extremes]
        longest = max(limit.measure(shortest(occasion, voice).body) for occasion in occasions)
        if longest > limit.size:
            said = f"the channel {profile.id} takes {limit.size} {limit.unit}, this needs up to {longest}"
            yield self.document.problem((*where, language, "short"), said, "shorten it or its headline")

    def _specs(self, where: Path) -> dict[str, FactSpec]:
        return self.playbook.fact_specs(str(where[1]) if where[0] == "updates" else "")

    def _occasions(self, where: Path) -> Iterator[tuple[str, Occasion]]:
        """A usual occasion, one that nothing is known of, and the one with the most to say."""
        specs = self._specs(where)
        samples = {name: spec.sample for name, spec in specs.items()}
        longest = {name: _longest(spec) for name, spec in specs.items()}
        yield "sample facts", self._occasion(where, "Nordbahnhof", self.region_names[:1], samples)
        yield "no facts", self._occasion(where, "", self.region_names, {})
        yield "the longest facts", self._occasion(where, _WIDE * MAX_PLACE, self.region_names, longest)

    def _occasion(self, where: Path, place: str, region_names: tuple[str, ...], facts: Mapping[str, Any]) -> Occasion:
        named = where[0] == "updates"
        return Occasion(
            purpose=Purpose.UPDATE if named else Purpose(str(where[-1])),
            name=str(where[1]) if named else "",
            playbook=self.playbook, place=place, region_names=region_names, facts=facts, now=_NOON,
            sender=self.sender, realm=self.realm, code="AAA-AAA", public_only=False,
        )  # fmt: skip


def _longest(spec: FactSpec) -> str | int:
    if spec.type == "number":
        return int("9" * spec.max)
    return "23:59" if spec.type == "time" else _WIDE * spec.max
