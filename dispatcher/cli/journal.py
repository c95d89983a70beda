"""``dispatcher journal``: a copy of the journal for the day when its disk fails, and the way back from one."""

from __future__ import annotations

from pathlib import Path

import typer

from dispatcher.journal.backup import backup, restore
from dispatcher.settings import load


def save(config: Path, file: Path) -> None:
    """Copy the journal that ``config`` names to ``file``; raises `JournalError` where there would be no whole copy."""
    journal = load(config).journal.path
    backup(journal, file)
    typer.echo(f"{journal} is in {file}, {file.stat().st_size:,} bytes, whole")


def bring_back(config: Path, file: Path) -> None:
    """Put ``file`` in the place of the journal that ``config`` names; raises `JournalError` where it must not be."""
    journal = load(config).journal.path
    aside, until = restore(journal, file)
    if aside is not None:
        typer.echo(f"{aside} is the journal as it was.")
    typer.echo(
        f"{journal} is {file} again and ends at {until:%Y-%m-%d %H:%M:%S} UTC." if until else f"{journal}: empty."
    )
    typer.echo("Of what came later it knows nothing: look at the channels before the daemon starts.")
