"""``dispatcher init``: the dozen-line file, after three questions; it works on this machine right away, as an exercise."""

from __future__ import annotations

import json
from pathlib import Path

import typer

_NAME, _STAFF, _SITE = "Stadt Beispiel", "wall://ntfy/duty-team", "wall://hooks/website"
_TEMPLATE = """\
# One file is enough. `dispatcher check` says what is wrong in it; `dispatcher schema config` prints all it may say.
# An exercise on the wall, which is a page on this machine: `python -m dispatcher.wall` shows what the public would read.
# To go live: realm: live, take out the three other lines with "exercise", give the channels their real addresses and secrets.
realm: exercise
release_override: automatic # in an exercise alone: nobody has to release
sender: {{name: {name}}}
broker: {{url: "mqtt://127.0.0.1:1883"}}
console: {{tokens_file: tokens.yaml}}
channels:
  website:   {{kind: webhook, realm: exercise, url: {site}, secret_file: secrets/website}}
  duty-team: {{kind: ntfy, realm: exercise, audience: staff, url: {staff}}}
"""
_NEXT = """\
{file} is written. Next:

  dispatcher check {file}                    # says what is wrong, and how every text fits every channel
  python -m dispatcher.wall &                # the public, on this machine: http://127.0.0.1:8081
  mosquitto -p 1883 &                        # a broker, if you have none yet
  dispatcher run {file} &                    # the daemon
  dispatcher emit {event} --config {file}    # an event of your own
"""
_SECRET = "whsec_b25seS1mb3ItZXhlcmNpc2VzLW9uLXRoaXMtbWFjaGluZQ=="  # noqa: S105 - opens nothing but the wall


def init(file: Path, *, yes: bool, force: bool) -> None:
    """Write ``file`` and what it names; a usage error where it exists and is not to be written over."""
    if file.exists() and not force:
        raise typer.BadParameter(f"{file} exists: --force writes over it", param_hint="FILE")
    name = _NAME if yes else typer.prompt("Name of the authority, as the public knows it", default=_NAME)
    staff = _STAFF if yes else typer.prompt("ntfy topic of the duty team's phones", default=_STAFF)
    site = _SITE if yes else typer.prompt("Webhook of your website", default=_SITE)
    text = _TEMPLATE.format(name=json.dumps(name, ensure_ascii=False), staff=json.dumps(staff), site=json.dumps(site))
    secret, event = file.parent / "secrets" / "website", file.parent / "event.json"
    secret.parent.mkdir(parents=True, exist_ok=True)
    file.write_text(text)
    if not secret.exists():
        secret.write_text(f"{_SECRET}\n")
        secret.chmod(0o600)
    if not event.exists():
        event.write_text(json.dumps(_event(), indent=2, ensure_ascii=False) + "\n")
    typer.echo(_NEXT.format(file=file, event=event))


def _event() -> dict[str, object]:
    """An event that the shipped playbook for an amok alarm answers."""
    return {
        "v": 1, "id": "1", "incident": "first", "status": "exercise", "kind": "amok", "place": "Schulzentrum",
        "source": "own",
    }  # fmt: skip
