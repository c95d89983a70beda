"""``dispatcher canary``: the running daemon posts a test to the private targets of its channels and reads it back."""

from __future__ import annotations

from collections.abc import Sequence

import typer

from dispatcher.cli.operate import Daemon

_LONGEST = 600.0  # seconds: one channel after another, each given its time


def canary(channels: Sequence[str], *, url: str, token: str) -> int:
    """Print what became of each; 1 where one is not proven live, else 0. Raises `Refused` with the daemon's own words."""
    said = Daemon(url, token, _LONGEST).ask("POST", "canary", {"channels": list(channels)})["channels"]
    for one in said:
        typer.echo(f"{one['channel']}: {one['canary']}; last proven live: {one['proven_at'] or 'never'}")
    if not said:
        typer.echo("no channel has a canary: give one a private target, docs/readiness.md says how")
    return 0 if said and all(one["proven"] for one in said) else 1
