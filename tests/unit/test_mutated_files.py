"""Five hundred ways to break the files: `check` and the daemon agree on each, and the last good set stands in for all."""

from __future__ import annotations

import random
from datetime import UTC, datetime
from pathlib import Path

import pytest
from unit.speaking import SMALL

from dispatcher.cli.check import check
from dispatcher.journal.base import open_journal
from dispatcher.journal.keeping import keep_configuration
from dispatcher.model.errors import ConfigurationError
from dispatcher.settings import Loaded, load
from dispatcher.settings.fallback import load_or_last_good
from dispatcher.settings.sources import absolute

MUTATIONS = 500
FILES = {
    "dispatcher.yaml": """\
realm: live
sender: {name: Stadt Leer, level: local}
journal: {path: here.sqlite}
max_age: 10m
regions:
  - {id: leer, name: Leer, ags: "03457"}
  - {id: emden, name: Emden, ags: "03402"}
channels_file: channels.yaml
people_file: people.yaml
playbooks: playbooks
""",
    "channels.yaml": """\
channels:
  desk: {kind: by_hand, official: true, reach: 1000, regions: [leer]}
  messenger: {kind: whatsapp_channel, regions: ["03457"], languages: [de]}
  duty-team: {kind: ntfy, url: "https://ntfy.example/duty", audience: staff}
""",
    "people.yaml": """\
people:
  anna: {role: operator, channels: [duty-team], regions: [leer]}
  ben: {role: supervisor, channels: [duty-team]}
duty: [anna]
escalation: [ben]
""",
    "playbooks/fire.yaml": SMALL,
}
GARBAGE = ("\x00", "[", "}", ": :", "\t- x", "&a *a", "ü: ß", "no", "!!python/object:os.system x", "9" * 40)


def mutated(text: str, rng: random.Random) -> str:
    """``text`` with one thing wrong, or perhaps not."""
    rows = text.splitlines(keepends=True)
    at, other = rng.randrange(len(rows)), rng.randrange(len(rows))
    match rng.randrange(7):
        case 0:
            del rows[at]
        case 1:
            rows.insert(at, rows[other])
        case 2:
            rows[at], rows[other] = rows[other], rows[at]
        case 3:
            return text[: rng.randrange(len(text))]
        case 4:
            rows[at] = rows[at].replace(rng.choice(["a", "e", ":", "{", '"', "0"]), rng.choice(GARBAGE), 1)
        case 5:
            rows.insert(at, rng.choice(GARBAGE) + "\n")
        case _:
            where = rng.randrange(len(text))
            return text[:where] + rng.choice(GARBAGE) + text[where + rng.randrange(4) :]
    return "".join(rows)


async def test_check_and_the_daemon_agree(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """`check` passes exactly what is loaded whole; what cannot be loaded at all starts with the last good set."""
    (tmp_path / "playbooks").mkdir()
    for name, text in FILES.items():
        (tmp_path / name).write_text(text)
    main, rng, seen = tmp_path / "dispatcher.yaml", random.Random(3), {"whole": 0, "reduced": 0, "broken": 0}
    good = load(main)
    assert good.problems == ()
    async with open_journal(tmp_path / "here.sqlite", inline=True) as journal:
        now = datetime(2026, 11, 20, tzinfo=UTC)
        await journal.write(lambda c: keep_configuration(c, good.digest, absolute(main), good.files, now))
        await journal.write(lambda c: c.exec_driver_sql("INSERT INTO meta VALUES ('realm', 'live')").close())
    for _ in range(MUTATIONS):
        name = rng.choice(list(FILES))
        (tmp_path / name).write_text(mutated(FILES[name], rng))
        seen[_agreed(main, good)] += 1
        capsys.readouterr()
        (tmp_path / name).write_text(FILES[name])
    assert min(seen.values()) > 50, seen


def _agreed(main: Path, good: Loaded) -> str:
    """What became of the files: whole, reduced or broken; fails where `check` and the daemon do not say the same."""
    try:
        problems = load(main).problems
    except ConfigurationError as error:
        wrong = tuple(error.problems)
    else:
        assert check(main, secrets=False) == (1 if problems else 0)
        return "reduced" if problems else "whole"
    with pytest.raises(ConfigurationError):
        check(main, secrets=False)
    started = load_or_last_good(main, main.parent / "here.sqlite")
    assert started.broken == wrong != ()
    assert (started.deployment.channels, started.problems) == (good.deployment.channels, ())
    return "broken"
