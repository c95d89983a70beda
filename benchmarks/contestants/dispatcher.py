"""The daemon as it is deployed: journal on disk, every attempt journaled, requests signed, each channel with its own secret."""

from __future__ import annotations

import base64
import contextlib
import json
import shutil
import sqlite3
import sys
import time
from collections.abc import AsyncIterator, Sequence
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
playbook: benchmark
title: Benchmark
match: {{kind: [benchmark]}}
severity: extreme
release: automatic
same_within: never
public_place: true
languages: [de]
texts:
{_TEXTS}"""


@contextlib.asynccontextmanager
async def running(
    field: Field, program: Sequence[str] = ("-m", "dispatcher"), journal: Path | None = None
) -> AsyncIterator[Running]:
    """The daemon, from files of its own and a copy of ``journal``, once it takes events; ``program`` is what Python runs."""
    console = free_port()
    config = configure(field, console)
    if journal:
        shutil.copy(journal, field.directory / "journal.sqlite")
    path = field.directory / "log"
    with path.open("wb") as log:
        command = (sys.executable, *program, "run", config)
        async with process(*command, stdout=log, stderr=log) as started:
            await answers(started, path, console, "/readyz", START_SECONDS)
            yield over_mqtt(field, started.pid, f"control-room/exercise/{SOURCE}/incidents")


def audit(directory: Path, count: int) -> None:
    """Raises `Faulty` unless the journal says of ``count`` deliveries and attempts that they were accepted, in ten seconds."""
    questions = [f"SELECT count(*) FROM {table}" for table in ("deliveries WHERE state", "attempts WHERE result")]
    deadline = time.monotonic() + 10
    with contextlib.closing(sqlite3.connect(f"file:{directory}/journal.sqlite?mode=ro", uri=True)) as journal:
        while (kept := [journal.execute(f"{one} = 'accepted'").fetchone()[0] for one in questions]) != [count, count]:
            if time.monotonic() > deadline:
                raise Faulty(f"of {count} deliveries, {kept[0]} are journaled, and {kept[1]} attempts")
            time.sleep(0.1)


def configure(field: Field, console: int) -> str:
    """Write the daemon's files and return the path of its configuration: JSON is YAML, too."""
    directory = field.directory
    (directory / "playbooks").mkdir()
    (directory / "playbooks" / "benchmark.yaml").write_text(_PLAYBOOK)
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
    path = directory / "dispatcher.yaml"
    path.write_text(json.dumps(settings, indent=1))
    return str(path)


def _channel(directory: Path, number: int, url: str) -> dict[str, str]:
    secret = base64.b64encode(number.to_bytes(32)).decode()
    (directory / f"secret-{number}").write_text(f"whsec_{secret}")
    return {"kind": "webhook", "realm": "exercise", "url": url, "secret_file": f"secret-{number}"}
