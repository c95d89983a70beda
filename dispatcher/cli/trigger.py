"""``dispatcher trigger``: a playbook started by a person over the running daemon's HTTP interface."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from dispatcher.cli.operate import Daemon


def trigger(
    playbook: str, *, place: str, regions: Sequence[str], facts: Mapping[str, str], url: str, token: str
) -> None:
    """Trigger ``playbook`` and print what the daemon made of it; raises `Refused` with the daemon's own words."""
    body = {"place": place, "regions": list(regions), "facts": dict(facts)}
    Daemon(url, token).show("POST", f"playbooks/{playbook}/trigger", body)
