"""``dispatcher sheet``: every text and every account on paper, for the day when nothing works."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path

import typer
from jinja2 import Environment, FileSystemLoader, StrictUndefined

from dispatcher.cli.preview import Request, compose_alert
from dispatcher.model.alert import Purpose
from dispatcher.model.channel import TextLimit, Unit
from dispatcher.model.deployment import Deployment
from dispatcher.model.playbook import Playbook
from dispatcher.settings import load

_CONSOLE = Path(__file__).parent.parent / "console"
_BLANK = "________"
_PAPER = TextLimit(Unit.CHARACTERS, 1_000_000)


@dataclass(frozen=True, slots=True)
class Said:
    """One text on paper: what it is for, and its words with blanks for what only the day will tell."""

    title: str
    body: str


def sheet(config: Path, output: Path) -> None:
    """Write the sheet of all playbooks as one HTML file that a browser prints."""
    deployment = load(config).deployment
    environment = Environment(
        loader=FileSystemLoader(_CONSOLE / "templates"), autoescape=True, undefined=StrictUndefined, trim_blocks=True
    )
    text = environment.get_template("sheet.html").render(
        deployment=deployment, style=(_CONSOLE / "static" / "sheet.css").read_text(), printed=datetime.now(UTC),
        books=[(playbook, list(_texts(playbook, deployment))) for playbook in deployment.playbooks],
    )  # fmt: skip
    output.write_text(text)
    typer.echo(f"{output}: open it in a browser and print it")


def _texts(playbook: Playbook, deployment: Deployment) -> Iterator[Said]:
    """Every text of a playbook once, in all its languages, in full."""
    channels = {
        name: replace(profile, limit=_PAPER, languages=()) for name, profile in deployment.channels.items()
    }  # fmt: skip
    where = replace(deployment, channels=channels)
    wanted = [(purpose.value, "") for purpose in Purpose if purpose.spoken]
    for purpose, name in [*wanted, *(("update", name) for name in playbook.updates)]:
        specs = playbook.fact_specs(name)
        facts = {key: _BLANK for key, spec in specs.items() if spec.type == "text"}
        request = Request(playbook=playbook.id, purpose=purpose, update=name, place=_BLANK, facts=facts)
        alert, _ = compose_alert(request, where, datetime.now(UTC))
        title = playbook.updates[name].title if name else purpose
        for text in dict.fromkeys(texts.follow_up.body for texts in alert.texts.values()):
            yield Said(title, text)
