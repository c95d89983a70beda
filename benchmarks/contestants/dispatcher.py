"""The daemon as it is deployed: journal on disk, every attempt journaled, requests signed, each channel with its own secret."""

from __future__ import annotations

import base64
import contextlib
import json
import sqlite3
import sys
import time
from collections.abc import AsyncIterator, Callable, Sequence
from pathlib import Path

from benchmarks.contestants.base import SOURCE, START_SECONDS, Field, Running, over_mqtt
from benchmarks.ledger import Faulty
from benchmarks.machine import answers, process
from dispatcher.intake.embedded import free_port

_TEXTS = "".join(
    f"""\
  {purpose}:
    de:
      headline: "Polizeieinsatz in {{{{ place }}}}"
      long: "Meiden Sie den Bereich {{{{ place }}}}. Folgen Sie den Anweisungen der Polizei."
      short: "Meiden Sie {{{{ place }}}}."
"""
    for purpose in ("alert", "update", "all_clear", "false_alarm")
)
_PLAYBOOK = f"""\
playbook: NAME
title: Benchmark
match: {{kind: [NAME]}}
severity: extreme
release: automatic
same_within: never
public_place: true
languages: [de]
texts:
{_TEXTS}"""


@contextlib.asynccontextmanager
async def running(
    field: Field,
    program: Sequence[str] = ("-m", "dispatcher"),
    *,
    furnish: Callable[[Path], object] = lambda _directory: None,
    wrapper: Sequence[str] = (),
    patience: float = START_SECONDS,
) -> AsyncIterator[Running]:
    """The daemon, from files of its own, once it takes events; ``program`` is what Python runs.

    ``furnish`` puts what it shall find into its directory, a journal or playbooks. ``wrapper`` is a program that becomes it.
    ``patience`` are the seconds in which it must be ready.
    """
    furnish(field.directory)
    configure(field, free_port())
    async with at_work(field, (*wrapper, sys.executable, *program), patience) as started:
        yield started


@contextlib.asynccontextmanager
async def at_work(
    field: Field, command: Sequence[str] = (sys.executable, "-m", "dispatcher"), patience: float = START_SECONDS
) -> AsyncIterator[Running]:
    """A daemon on the files that are in its directory, once it takes events."""
    config, path = field.directory / "dispatcher.yaml", field.directory / "log"
    console = json.loads(config.read_text())["console"]["port"]
    with path.open("ab") as log:
        async with process(*command, "run", str(config), stdout=log, stderr=log, env=field.environment) as started:
            await answers(started, path, console, "/readyz", patience)
            yield over_mqtt(field, started.pid, f"control-room/exercise/{SOURCE}/incidents")


def audit(directory: Path, count: int) -> None:
    """Raises `Faulty` unless the journal says of ``count`` deliveries and attempts that they were accepted, in ten seconds."""
    questions = [f"SELECT count(*) FROM {table}" for table in ("deliveries WHERE state", "attempts WHERE result")]
    deadline = time.monotonic() + 10
    with journal(directory) as kept_in:
        while (kept := [kept_in.execute(f"{one} = 'accepted'").fetchone()[0] for one in questions]) != [count, count]:
            if time.monotonic() > deadline:
                raise Faulty(f"of {count} deliveries, {kept[0]} are journaled, and {kept[1]} attempts")
            time.sleep(0.1)


def journal(directory: Path) -> contextlib.closing[sqlite3.Connection]:
    """The daemon's journal, to read."""
    return contextlib.closing(sqlite3.connect(f"file:{directory}/journal.sqlite?mode=ro", uri=True))


def playbook(name: str) -> str:
    """A playbook for incidents of the kind ``name``."""
    return _PLAYBOOK.replace("NAME", name)


def configure(field: Field, console: int) -> None:
    """Write the daemon's files: JSON is YAML, too."""
    directory = field.directory
    (directory / "playbooks").mkdir(exist_ok=True)
    (directory / "playbooks" / "benchmark.yaml").write_text(playbook("benchmark"))
    (directory / "password").write_text(field.broker.password)
    settings = {
        "realm": "exercise",
        "release_override": "automatic",
        "sender": {"name": "Benchmark"},
        "broker": {
            "url": f"mqtt://127.0.0.1:{field.broker.port}",
            "username": field.broker.username,
            "password_file": "password",
        },
        "journal": {"path": "journal.sqlite"},
        "console": {"port": console},
        "channels": {f"c{number}": _channel(directory, number, url) for number, url in enumerate(field.urls)},
    }
    (directory / "dispatcher.yaml").write_text(json.dumps(settings, indent=1))


def _channel(directory: Path, number: int, url: str) -> dict[str, str]:
    secret = base64.b64encode(number.to_bytes(32)).decode()
    (directory / f"secret-{number}").write_text(f"whsec_{secret}")
    return {"kind": "webhook", "realm": "exercise", "url": url, "secret_file": f"secret-{number}"}
