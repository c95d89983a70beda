"""``python -m benchmarks.accounts``: one alert on 3,000 officers' own accounts of mixed kinds, a twentieth of them broken.

Each run is a fresh daemon, whose journal holds everybody's consent, and a fresh wall of all providers. A run in which a
healthy account was missed or had the text twice fails. Writes its part of docs/performance.json and docs/performance.md.
"""

from __future__ import annotations

import asyncio
import base64
import contextlib
import json
import os
import random
import sqlite3
import sys
import tempfile
import time
from collections import Counter
from collections.abc import AsyncIterator, Iterator, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from typing import Any

import aiohttp

from benchmarks.contestants.dispatcher import playbook
from benchmarks.figures import spread
from benchmarks.ledger import Faulty
from benchmarks.machine import TOP, answers, cpu, memory, process
from benchmarks.measures import Samples
from benchmarks.report import measured, publish
from dispatcher.accounts.seal import Seal
from dispatcher.console.auth import sha256
from dispatcher.intake.embedded import free_port
from dispatcher.journal import accounts
from dispatcher.journal.base import open_journal
from dispatcher.model.account import Account, Standing
from dispatcher.model.channel import ChannelId

OFFICERS, BROKEN = 3_000, (0, 150)  # how many of them
RUNS = int(os.environ.get("RUNS", "3"))
PATIENCE = 60.0  # seconds
MOST_MEMORY = 250  # MiB
KEY, TOKEN = "k" * 48, "the source's token"
HOOK = f"whsec_{base64.b64encode(bytes(24)).decode()}"
FAULTS: Sequence[Mapping[str, Any]] = (
    {"kind": "status", "status": 401}, {"kind": "status", "status": 503}, {"kind": "hang"}, {"kind": "reset_before"},
)  # fmt: skip


@dataclass(frozen=True)
class Kind:
    """Out of twenty accounts, how many are of this kind; ``asks`` with ``{}`` for the officer's number and ``WALL``."""

    name: str
    share: int
    asks: Mapping[str, str]
    account: str  # what the wall calls it

    def way(self) -> dict[str, Any]:
        """As it stands in the files."""
        mode = "share" if self.name == "ntfy" else "auto"
        asks = dict.fromkeys(self.asks, "?")
        return {"mode": mode, "kind": self.name, "title": self.name, "asks": asks, "hosts": ["127.0.0.1"]}


KINDS = (
    Kind("ntfy", 8, {"url": "WALL/ntfy/n{}"}, "n{}"),
    Kind("mastodon", 4, {"base_url": "WALL/mastodon", "token": "m{}"}, "m{}"),
    Kind("bluesky", 2, {"base_url": "WALL/bluesky", "identifier": "b{}.example", "token": "b{}"}, "b{}.example"),
    Kind("telegram", 2, {"base_url": "WALL/telegram", "chat_id": "-10012340{}", "token": "t{}"}, "-10012340{}"),
    Kind("matrix", 2, {"base_url": "WALL/matrix", "room_id": "!r{}:example", "token": "r{}"}, "!r{}:example"),
    Kind("x", 1, {"base_url": "WALL/x", "token": "x{}"}, "x{}"),
    Kind("webhook", 1, {"url": "WALL/hooks/w{}", "token": HOOK}, "w{}"),
)
MIX = [kind for kind in KINDS for _ in range(kind.share)]


def kind_of(officer: int) -> Kind:
    """Kinds take turns."""
    return MIX[officer % len(MIX)]


def at_wall(officer: int) -> str:
    """What the wall calls an officer's account."""
    return kind_of(officer).account.format(f"{officer:05}")


def consent(officer: int, wall: str, seal: Seal) -> Account:
    """An account whose owner has agreed."""
    kind, channel = kind_of(officer), ChannelId(f"officers-{officer:012x}")
    given = {name: text.format(f"{officer:05}").replace("WALL", wall) for name, text in kind.asks.items()}
    return Account(
        channel=channel, group="officers", officer=f"{officer:05}", standing=Standing.ACTIVE, at=datetime.now(UTC),
        way=kind.name, line="Aus meinem Revier:" if kind.name != "ntfy" else "", sealed=seal.close(given, channel),
    )  # fmt: skip


async def prepare(directory: Path, wall: str, console: int) -> Path:
    """The files of a daemon, and a journal in which everybody has agreed."""
    (directory / "playbooks").mkdir()
    (directory / "playbooks" / "benchmark.yaml").write_text(playbook("benchmark"))
    (directory / "key").write_text(KEY)
    token = {"id": "t1", "sha256": sha256(TOKEN), "role": "source", "source": "benchmark"}
    (directory / "tokens.yaml").write_text(json.dumps({"tokens": [token]}))
    ways = {kind.name: kind.way() for kind in KINDS}
    settings = {
        "realm": "live", "sender": {"name": "Benchmark"}, "journal": {"path": "journal.sqlite"},
        "console": {"port": console, "tokens_file": "tokens.yaml"}, "public": {"port": 0},
        "channels": {"website": {"kind": "ntfy", "url": f"{wall}/ntfy/website"}},
        "accounts": {"officers": {"title": "Officers", "key": {"token_file": "key"}, "ways": ways}},
    }  # fmt: skip
    async with open_journal(directory / "journal.sqlite", inline=True) as journal:
        seal = Seal(KEY)
        agreed = [consent(officer, wall, seal) for officer in range(OFFICERS)]
        await journal.write(partial(accounts.invite, invited=agreed, renewed=[], person="benchmark"))
    path = directory / "dispatcher.yaml"
    path.write_text(json.dumps(settings))
    return path


@asynccontextmanager
async def a_wall() -> AsyncIterator[str]:
    """All providers, in a process of their own; their address."""
    command = (sys.executable, "-m", "dispatcher.wall", "--port", "0")
    async with process(*command, stdout=asyncio.subprocess.PIPE) as started:
        assert started.stdout is not None
        yield (await started.stdout.readline()).decode().strip()


async def spoil(client: aiohttp.ClientSession, wall: str, officers: Sequence[int]) -> None:
    """Let these accounts fail, each in its own way."""
    for number, officer in enumerate(officers):
        fault = FAULTS[number % len(FAULTS)]
        async with client.post(f"{wall}/_wall/faults/{at_wall(officer)}", json=fault) as answer:
            answer.raise_for_status()


async def alarm(client: aiohttp.ClientSession, console: int) -> float:
    """Report the incident; when, in Unix seconds."""
    event = {"v": 1, "id": "1", "incident": "i1", "status": "actual", "kind": "benchmark", "place": "Hafen"}
    begun = time.time()
    headers = {"Authorization": f"Bearer {TOKEN}"}
    async with client.post(f"http://127.0.0.1:{console}/api/v1/events", json=event, headers=headers) as answer:
        assert answer.status == 201, await answer.text()
    return begun


async def arrivals(client: aiohttp.ClientSession, wall: str, healthy: set[str]) -> list[float]:
    """When the text came to each of the ``healthy``, in Unix seconds. Raises `Faulty` where one was missed or has it twice."""
    deadline, found = time.monotonic() + PATIENCE, Counter[str]()
    while len(found) < len(healthy):
        if time.monotonic() > deadline:
            raise Faulty(f"{len(healthy) - len(found)} healthy accounts were missed")
        await asyncio.sleep(1)
        async with client.get(f"{wall}/_wall/posts") as answer:
            posts = [post for post in await answer.json() if post["account"] in healthy]
        found = Counter(post["account"] for post in posts)
    if doubled := sum(1 for post in posts if post["repeats"] or found[post["account"]] > 1):
        raise Faulty(f"{doubled} healthy accounts have it twice")
    return sorted(post["received_ms"] / 1e3 for post in posts)


def journaled(directory: Path, count: int) -> None:
    """Raises `Faulty` unless the journal says of exactly ``count`` deliveries that they were accepted, in ten seconds."""
    deadline, asked = time.monotonic() + 10, "SELECT count(*) FROM deliveries WHERE state = 'accepted'"
    with contextlib.closing(sqlite3.connect(f"file:{directory}/journal.sqlite?mode=ro", uri=True)) as journal:
        while (kept := journal.execute(asked).fetchone()[0]) != count:
            if time.monotonic() > deadline:
                raise Faulty(f"of {count} deliveries, {kept} are journaled as accepted")
            time.sleep(0.1)


async def measure(broken: int) -> Samples:
    """One fresh daemon and its alarm."""
    order = random.Random(7).sample(range(OFFICERS), OFFICERS)
    console = free_port()
    with tempfile.TemporaryDirectory() as name:
        directory = Path(name)
        async with a_wall() as wall, aiohttp.ClientSession() as client:
            config = await prepare(directory, wall, console)
            await spoil(client, wall, order[:broken])
            with (directory / "log").open("wb") as log:
                command = (sys.executable, "-m", "dispatcher", "run", str(config))
                asked = time.monotonic()
                async with process(*command, stdout=log, stderr=log) as daemon:
                    await answers(daemon, directory / "log", console, "/readyz", PATIENCE)
                    ready, before = time.monotonic() - asked, cpu(daemon.pid)
                    begun = await alarm(client, console)
                    times = await arrivals(client, wall, {"website", *map(at_wall, order[broken:])})
                    journaled(directory, len(times))
                    used, peak = cpu(daemon.pid) - before, memory(daemon.pid, "VmHWM")
    if peak > MOST_MEMORY:
        raise Faulty(f"{peak:.0f} MiB of memory, more than {MOST_MEMORY}")
    after = [at - begun for at in times]
    figures = (ready, after[0], after[len(after) // 2], after[-1], used, peak)
    return {name: [value] for name, value in zip(FIGURES, figures, strict=True)}


FIGURES = ("ready", "first", "half", "last", "cpu", "peak")


async def compare() -> dict[int, Samples]:
    """With and without broken ones, taking turns."""
    found: dict[int, Samples] = {broken: {} for broken in BROKEN}
    for _ in range(RUNS):
        for broken, samples in found.items():
            for figure, values in (await measure(broken)).items():
                samples.setdefault(figure, []).extend(values)
    return found


def lines(found: Mapping[int, Samples]) -> Iterator[str]:
    """The table."""
    kinds = ", ".join(f"{OFFICERS * kind.share // len(MIX):,} {kind.name}" for kind in KINDS)
    yield "## 3,000 officers' own accounts\n"
    yield f"Measured on {measured()}, {RUNS} runs. Medians, with the least and the most in brackets.\n"
    yield f"{kinds}; all providers are the wall, in Python, on the same machine and behind one address, which is the worst case:"
    yield "whoever hangs takes a slot that others wait for. Of the broken ones a quarter each refuse the token (401), are down (503),"
    yield "hang, and cut the connection. Every healthy account had the text, once, and the journal says so.\n"
    yield "| broken | healthy, accepted | ready, s | first, s | half, s | last healthy, s | CPU until then, s | memory peak, MiB |"
    yield "|---|---|---|---|---|---|---|---|"
    for broken, samples in found.items():
        yield f"| {broken} | {OFFICERS - broken:,} | {' | '.join(map(spread, samples.values()))} |"


def main() -> None:
    """Measure, print, publish."""
    found = asyncio.run(compare())
    print("\n".join(lines(found)))
    results = [{"broken": broken, "samples": samples} for broken, samples in found.items()]
    publish("accounts", {"officers": OFFICERS, "results": results}, lines(found), TOP / "docs")


if __name__ == "__main__":
    main()
