"""Reads everything a daemon would read and says what is wrong, with file, line, field and remedy."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

import typer
from rich import box
from rich.console import Console
from rich.table import Table

from dispatcher.cli.preview import Request, compose_alert
from dispatcher.model.channel import ChannelId, ChannelProfile, TextLimit, Unit
from dispatcher.model.deployment import Deployment
from dispatcher.model.playbook import Playbook
from dispatcher.settings import Loaded, load

_NO_LIMIT = TextLimit(Unit.CHARACTERS, 1_000_000)


def check(config: Path, *, secrets: bool) -> int:
    """Print all problems and how every alert fits every channel; 1 where something was left out, else 0.

    Secrets that cannot be read are warnings, or errors where ``secrets`` is set. Raises `ConfigurationError` where
    nothing could be loaded at all.
    """
    loaded = load(config)
    errors = [*loaded.problems, *(loaded.secrets if secrets else ())]
    warnings = [*loaded.warnings, *(() if secrets else loaded.secrets)]
    for problem in errors:
        typer.echo(f"error: {problem}")
    for problem in warnings:
        typer.echo(f"warning: {problem}")
    if loaded.deployment.playbooks and loaded.deployment.channels:
        Console().print(fitting(loaded.deployment))
    typer.echo(_summary(loaded, len(errors), len(warnings)))
    return 1 if errors else 0


def fitting(deployment: Deployment) -> Table:
    """One row for channels that fare alike, one column for each playbook: languages, form and length of its alert."""
    now = datetime.now(UTC)
    columns = [_column(playbook, deployment, now) for playbook in deployment.playbooks]
    table = Table(box=box.SIMPLE_HEAD, padding=0)
    table.add_column("channel", no_wrap=True)
    for playbook in deployment.playbooks:
        table.add_column(playbook.id, overflow="fold")
    alike: dict[tuple[str, ...], list[ChannelProfile]] = {}
    for channel in deployment.channels.values():
        row = (_limit(channel), *(column.get(channel.id, "-") for column in columns))
        alike.setdefault(row, []).append(channel)
    for (limit, *cells), channels in alike.items():
        more = f" +{len(channels) - 1}" if len(channels) > 1 else ""
        table.add_row(f"{channels[0].id}{more}\n[dim]{limit}[/]", *cells)
    return table


def _column(playbook: Playbook, deployment: Deployment, now: datetime) -> dict[ChannelId, str]:
    facts = {name: spec.sample for name, spec in playbook.facts.items()}
    request = Request(playbook=playbook.id, place="Musterplatz", facts=facts)
    try:
        alert, _ = compose_alert(request, deployment, now)
    except typer.BadParameter:  # it calls no channel here
        return {}
    said = {planned.channel: alert.texts[planned.text].first for planned in alert.plan}
    roomy = {name: replace(deployment.channels[name], limit=_NO_LIMIT, languages=said[name].languages) for name in said}
    longest, _ = compose_alert(request, replace(deployment, channels=roomy), now)
    whole = {planned.channel: longest.texts[planned.text].first for planned in longest.plan}
    return {
        name: f"{' '.join(text.languages)} {'long' if text == whole[name] else 'short'}"
        f"\n{deployment.channels[name].limit.measure(text.body):,}"
        for name, text in said.items()
    }


def _limit(channel: ChannelProfile) -> str:
    return f"{channel.limit.size:,} {channel.limit.unit}"


def _summary(loaded: Loaded, errors: int, warnings: int) -> str:
    deployment = loaded.deployment
    retired = f" and {len(deployment.retired())} retired" if deployment.retired() else ""
    counts = f"playbooks {len(deployment.playbooks)}, channels {len(deployment.channels)}{retired}"
    return (
        f"realm {deployment.realm}, {counts}, regions {len(deployment.regions)}: errors {errors}, warnings {warnings}"
    )
