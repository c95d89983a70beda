"""Texts as they would go out now, made on the same road as real ones; nothing is journaled or sent."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import typer
from rich.console import Console
from rich.rule import Rule

from dispatcher.model.alert import Alert, Purpose
from dispatcher.model.cap import Area, RegionId
from dispatcher.model.delivery import IncidentId
from dispatcher.model.deployment import Deployment
from dispatcher.model.incident import IncidentHistory, LaneHistory
from dispatcher.model.playbook import Playbook, PlaybookId
from dispatcher.plan.compose import Speech, compose, select_channels
from dispatcher.settings import load

_INCIDENT = IncidentId("preview")


@dataclass(frozen=True, slots=True, kw_only=True)
class Request:
    """What to preview. ``regions`` are ids or AGS, none for all; ``update`` names a prepared update, if it is one."""

    playbook: str
    purpose: str = Purpose.ALERT
    update: str = ""
    place: str = ""
    regions: tuple[str, ...] = ()
    facts: Mapping[str, Any] = field(default_factory=dict)
    language: str = ""


def preview(config: Path, request: Request) -> None:
    """Print each distinct text with its channels and lengths; a usage error names what is not there."""
    loaded = load(config)
    for problem in loaded.problems:
        typer.echo(problem, err=True)
    alert, notes = compose_alert(request, loaded.deployment, datetime.now(UTC))
    console = Console(highlight=False)
    for key in dict.fromkeys(planned.text for planned in alert.plan):
        texts = alert.texts[key]
        console.print(Rule(style="dim"))
        for planned in [one for one in alert.plan if one.text == key]:
            channel = loaded.deployment.channels[planned.channel]
            used = f"{channel.limit.measure(texts.first.body)} of {channel.limit.size} {channel.limit.unit}"
            waits = f", stands by for {', '.join(planned.fallback_of)}" if planned.fallback_of else ""
            about = f"({', '.join(texts.first.languages)}: {used}{waits})"
            console.print(f"[bold]{channel.id}[/] {channel.title} [dim]{about}[/]")
        console.print()
        console.print(texts.first.body, markup=False, soft_wrap=True)
    for note in notes:
        typer.echo(note, err=True)


def compose_alert(request: Request, deployment: Deployment, now: datetime) -> tuple[Alert, tuple[str, ...]]:
    """The alert that ``request`` would become and notes on what was left out of it.

    Raises a usage error for a playbook, update, region or language that is not there and where no channel is called.
    """
    playbook = deployment.playbook(PlaybookId(request.playbook))
    if playbook is None:
        raise _unknown(f"no playbook {request.playbook!r}", (p.id for p in deployment.playbooks), "PLAYBOOK")
    purpose = Purpose.UPDATE if request.update else Purpose(request.purpose)
    speech = Speech(
        purpose=purpose, playbook=playbook, regions=_regions(request, deployment), severity=playbook.severity,
        place=request.place, facts=_typed(request, playbook), name=request.update,
    )  # fmt: skip
    deployment = _speaking(request.language, playbook, deployment)
    history = IncidentHistory(id=_INCIDENT) if purpose is Purpose.ALERT else _carried(speech, deployment)
    words = compose(speech, deployment, history, now, incident=_INCIDENT, event_key="preview")
    if words.alert is None:
        raise typer.BadParameter("this playbook calls no channel in these regions")
    return words.alert, words.notes


def _regions(request: Request, deployment: Deployment) -> tuple[RegionId, ...]:
    if not request.regions:
        return tuple(region.id for region in deployment.regions)
    found = deployment.resolve(Area(regions=request.regions))
    if found is None:
        known = (region.id for region in deployment.regions)
        raise _unknown(f"not all regions: {', '.join(request.regions)}", known, "--region")
    return found


def _typed(request: Request, playbook: Playbook) -> dict[str, Any]:
    """The facts with numbers as numbers: on the command line everything is text."""
    if request.update and request.update not in playbook.updates:
        raise _unknown(f"no update {request.update!r}", playbook.updates, "--update")
    specs = playbook.fact_specs(request.update)
    if wrong := request.facts.keys() - specs.keys():
        raise _unknown(f"no fact {min(wrong)!r}", specs, "--fact")
    return {name: _number(value) if specs[name].type == "number" else value for name, value in request.facts.items()}


def _number(value: Any) -> Any:
    try:
        return float(value)
    except ValueError:
        return value


def _speaking(language: str, playbook: Playbook, deployment: Deployment) -> Deployment:
    """``deployment`` with every channel speaking nothing but ``language``, where one is wanted."""
    if not language:
        return deployment
    if language not in playbook.languages:
        raise _unknown(f"no language {language!r}", playbook.languages, "--lang")
    channels = {name: replace(profile, languages=(language,)) for name, profile in deployment.channels.items()}
    return replace(deployment, channels=channels)


def _carried(speech: Speech, deployment: Deployment) -> IncidentHistory:
    """As if the alert had gone out everywhere: a later word follows it, an end exactly there."""
    empty = IncidentHistory(id=_INCIDENT)
    called = select_channels(replace(speech, purpose=Purpose.ALERT), deployment, empty)
    return replace(empty, lanes={profile.id: LaneHistory(carried=True) for profile in called})


def _unknown(message: str, known: Iterable[str], option: str) -> typer.BadParameter:
    return typer.BadParameter(f"{message}; known: {', '.join(known)}", param_hint=option)
