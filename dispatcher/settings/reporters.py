"""The systems that report incidents: each is read on its own, so that a broken one is left out and named."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

from dispatcher.documents import Document, validated
from dispatcher.model.errors import ConfigurationError, Problem
from dispatcher.model.source import Source, person_of


@dataclass(slots=True)
class Reporters:
    """What came of all entries; one that is configured in error is None, so that nothing of it is taken."""

    sources: dict[str, Source | None] = field(default_factory=dict)
    problems: list[Problem] = field(default_factory=list)


def load_reporters(documents: Iterable[Document], *, signing: bool) -> Reporters:
    """Every entry under ``sources`` in ``documents``; ``signing``: whether the broker's protocol carries signatures."""
    loaded = Reporters()
    for document in documents:
        for name in document.data.get("sources") or {}:
            try:
                loaded.sources[name] = _read(document, name, loaded.sources, signing=signing)
            except ConfigurationError as error:
                loaded.sources[name] = None
                loaded.problems += error.problems
    return loaded


def _read(document: Document, name: str, others: Mapping[str, Source | None], *, signing: bool) -> Source:
    source = validated(document, Source, ("sources", name))
    if person_of(name) is not None or any(char in name for char in "/#+"):
        raise _refusal(document, name, "named like a person, or with a sign of MQTT topics", "give it another name")
    own = [t for t in (source.topic, source.heartbeat_topic) if t]
    if taken := [t for other in others.values() if other for t in (other.topic, other.heartbeat_topic) if t in own]:
        raise _refusal(document, name, f"topic {taken[0]} is another source's already", "give each a topic of its own")
    if source.signature and not signing:
        raise _refusal(document, name, "MQTT 3.1.1 carries no signatures", "say broker.protocol: '5'")
    return source


def _refusal(document: Document, name: str, message: str, remedy: str) -> ConfigurationError:
    return ConfigurationError([document.problem(("sources", name), message, remedy)])
