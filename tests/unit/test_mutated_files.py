"""Five hundred ways to break the files: `check` and the daemon agree on each, and the last good set stands in for all."""

from __future__ import annotations

import random
from functools import partial
from pathlib import Path

import pytest
from unit.speaking import SMALL

from dispatcher.app import build
from dispatcher.cli.check import check
from dispatcher.journal import queries
from dispatcher.model.errors import ConfigurationError
from dispatcher.reload import problems_of
from dispatcher.settings import Loaded, load
from dispatcher.settings.fallback import load_or_last_good

MUTATIONS = 500
FILES = {
    "dispatcher.yaml": """\
realm: live
sender: {name: Stadt Leer, level: local}
journal: {path: here.sqlite}
console: {port: 0}
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
  push: {kind: ntfy, url: "https://ntfy.example/warnings"}
  duty-team: {kind: by_hand, audience: staff}
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


@pytest.mark.parametrize("every", [40, pytest.param(1, marks=pytest.mark.long)])
async def test_check_and_the_daemon_agree(every: int, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """`check` passes exactly what starts whole; the rest starts without what is broken or with the last good set, and pages."""
    (tmp_path / "playbooks").mkdir()
    for name, text in FILES.items():
        (tmp_path / name).write_text(text)
    main, rng, seen = tmp_path / "dispatcher.yaml", random.Random(3), {"whole": 0, "reduced": 0, "broken": 0}
    good = load(main)
    assert good.problems == ()
    async with build(good, path=main, inline=True):
        pass
    for number in range(MUTATIONS):
        name = rng.choice(list(FILES))
        (tmp_path / name).write_text(mutated(FILES[name], rng))
        fate, loaded = _agreed(main, good)
        seen[fate] += 1
        if number % every == 0:
            await _starts(main, loaded)
        capsys.readouterr()
        (tmp_path / name).write_text(FILES[name])
    assert min(seen.values()) > 50, seen


def _agreed(main: Path, good: Loaded) -> tuple[str, Loaded]:
    """What became of the files: whole, reduced or broken; fails where `check` and the daemon do not say the same."""
    try:
        loaded = load(main)
    except ConfigurationError as error:
        wrong = tuple(error.problems)
    else:
        assert check(main, secrets=False) == (1 if loaded.problems else 0)
        return "reduced" if loaded.problems else "whole", loaded
    with pytest.raises(ConfigurationError):
        check(main, secrets=False)
    started = load_or_last_good(main, main.parent / "here.sqlite")
    assert started.broken == wrong != ()
    assert (started.deployment.channels, started.problems) == (good.deployment.channels, ())
    return "broken", started


async def _starts(main: Path, loaded: Loaded) -> None:
    """The daemon runs with this set, and pages what is wrong where there is still somebody to page."""
    journal = main.parent / "here.sqlite"
    if loaded.journal.path.resolve() != journal.resolve() or loaded.broker is not None:
        return
    before = journal.read_bytes()
    async with build(loaded, path=main, inline=True) as service:
        paged = await service.journal.read(partial(queries.alert_records, limit=10))
        wrong = bool(problems_of(loaded)) and bool(loaded.deployment.staff())
        assert [record.alert.name for record in paged] == ["configuration"] * wrong
        assert service.readiness()["configuration"] is not bool(loaded.broken)
    for side in ("-wal", "-shm"):
        journal.with_name(journal.name + side).unlink(missing_ok=True)
    journal.write_bytes(before)
