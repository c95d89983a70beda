"""An alert and the playbooks: which of them it calls, with the reason of every yes and no."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from dispatcher.model.cap import Region, RegionId, Severity
from dispatcher.model.deployment import Deployment
from dispatcher.model.incident import IncidentEvent
from dispatcher.model.playbook import Playbook, PlaybookId
from dispatcher.model.source import person_of

# With every event each answer is journaled, and paged where nobody speaks: a thousand times "another kind" helps nobody.
MOST_ANSWERS = 50


@dataclass(frozen=True, slots=True)
class Verdict:
    """One playbook's answer to one event, in words."""

    playbook: PlaybookId
    matched: bool
    reason: str

    def __str__(self) -> str:
        """As it stands in the journal."""
        return f"{self.playbook}: {'yes' if self.matched else 'no'}, {self.reason}"


def match(
    event: IncidentEvent, playbooks: Sequence[Playbook], where: Sequence[RegionId], regions: Sequence[Region]
) -> tuple[Verdict, ...]:
    """A verdict of every playbook; those named by an operator match whatever their rules say, a machine names none."""
    return tuple(_verdict(event, playbook, where, regions) for playbook in playbooks)


def asked(event: IncidentEvent, deployment: Deployment) -> Sequence[Playbook]:
    """The playbooks that have to answer: all of a few, and of many those that are for this kind of event, or named."""
    if len(deployment.playbooks) <= MOST_ANSWERS:
        return deployment.playbooks
    if _named(event):
        return [playbook for playbook in deployment.playbooks if playbook.id in event.playbooks]
    return deployment.for_kind(event.kind)


def _named(event: IncidentEvent) -> bool:
    """Whether an operator says which playbooks speak."""
    return bool(event.playbooks) and person_of(event.source) is not None


def speaking(verdicts: Sequence[Verdict], playbooks: Sequence[Playbook]) -> tuple[Playbook, ...]:
    """Playbooks that matched, the one that speaks first; the others are covered by it."""
    called = {verdict.playbook for verdict in verdicts if verdict.matched}
    return tuple(sorted((p for p in playbooks if p.id in called), key=lambda p: (p.priority, p.id)))


def _verdict(event: IncidentEvent, playbook: Playbook, where: Sequence[RegionId], regions: Sequence[Region]) -> Verdict:
    if _named(event):
        named = playbook.id in event.playbooks
        return Verdict(playbook.id, named, "named by the operator" if named else "not named by the operator")
    refusals = [text for holds, text in _rules(event, playbook, where, regions) if not holds]
    if refusals:
        return Verdict(playbook.id, matched=False, reason="; ".join(refusals))
    return Verdict(playbook.id, matched=True, reason=f"kind {event.kind}, severity {_said(event.severity)}")


def _rules(
    event: IncidentEvent, playbook: Playbook, where: Sequence[RegionId], regions: Sequence[Region]
) -> list[tuple[bool, str]]:
    rule = playbook.match
    rules = [(event.kind in rule.kind, f"kind {event.kind} is none of {', '.join(rule.kind)}")]
    if rule.severity is not None:
        severity = event.severity or Severity.UNKNOWN
        least = rule.severity.at_least
        rules.append((severity.at_least(least), f"severity {severity} is below {least}"))
    if rule.source:
        rules.append((event.source in rule.source, f"source {event.source} is none of {', '.join(rule.source)}"))
    if rule.regions:
        inside = any(region.id in where and any(region.covers(named) for named in rule.regions) for region in regions)
        rules.append((inside, f"none of the regions {', '.join(rule.regions)} is affected"))
    return rules


def _said(severity: Severity | None) -> str:
    return severity or "not said"
