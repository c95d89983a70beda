"""How long from an incident event to the first and the last channel, beside a script that keeps nothing and promises nothing.

Every channel is a webhook on a host of its own (127.x.y.z). Each run starts a fresh process and measures its first alert,
as an alarm finds it; runs alternate between the two. A run in which a channel was missed or asked twice fails. Writes
docs/performance.json and the table in docs/performance.md.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import re
import shutil
import socket
import sys
import tempfile
import time
import urllib.request
import uuid
from collections.abc import AsyncIterator
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from figures import publish, spread
from recorder import Recorder

TOP = Path(__file__).parents[1]
sys.path.insert(0, str(TOP / "tests"))

from integration.broker import Mosquitto  # noqa: E402 - the broker of the tests, with the configuration we ship

CHANNELS = (4, 100, 1_000)
LATENCIES = (0.0, 0.1)  # seconds until the provider answers
RUNS = int(os.environ.get("RUNS", "5"))
QUIET = 0.2  # seconds before the event: it comes into silence, with no packet unacknowledged
SETTLE = 1.0  # seconds after the last arrival in which a repeat would show, and the journal is completed
SOURCE = "benchmark"
# Each has a topic of its own: the daemon's session outlives its process, and what others publish must not wait in it.
TOPICS = {"dispatcher": f"control-room/exercise/{SOURCE}/incidents", "plain": f"plain/{SOURCE}/incidents"}
PLACES = [os.environ.get("PATH", ""), "/usr/sbin", "/usr/local/sbin"]

PLAYBOOK = """\
playbook: benchmark
title: Benchmark
match: {kind: [benchmark]}
severity: extreme
release: automatic
same_within: never
public_place: true
languages: [de]
texts:
""" + "".join(
    f"""\
  {purpose}:
    de:
      headline: "Polizeieinsatz in {{{{ place }}}}"
      long: "Meiden Sie den Bereich {{{{ place }}}}. Folgen Sie den Anweisungen der Polizei."
      short: "Meiden Sie {{{{ place }}}}."
"""
    for purpose in ("alert", "update", "all_clear", "false_alarm")
)


@dataclass(frozen=True)
class Run:
    """Seconds from publishing to first and last arrival, CPU seconds until settled, peak memory in bytes."""

    first: float
    last: float
    cpu: float
    memory: int


def urls(count: int, port: int) -> list[str]:
    """One host for each channel, all of them this machine."""
    return [f"http://127.1.{number // 250}.{number % 250 + 1}:{port}/" for number in range(count)]


@contextlib.asynccontextmanager
async def plain(broker: Mosquitto, targets: list[str], _directory: Path) -> AsyncIterator[int]:
    """The script as a process; yields its process id when it is subscribed."""
    settings = {"port": broker.port, "username": broker.username, "password": broker.password}
    argument = json.dumps(settings | {"topic": TOPICS["plain"], "urls": targets})
    script = str(Path(__file__).with_name("plain.py"))
    async with process(sys.executable, script, argument, stdout=asyncio.subprocess.PIPE) as started:
        await started.stdout.readline()
        yield started.pid


@contextlib.asynccontextmanager
async def dispatcher(broker: Mosquitto, targets: list[str], directory: Path) -> AsyncIterator[int]:
    """The daemon as a process with a configuration of its own; yields its process id when it is ready."""
    console = free_port()
    configure(directory, broker, targets, console)
    log = (directory / "log").open("wb")
    config = str(directory / "dispatcher.yaml")
    async with process(sys.executable, "-m", "dispatcher", "run", config, stdout=log, stderr=log) as started:
        async with asyncio.timeout(20):
            while not await asyncio.to_thread(ready, console):
                assert started.returncode is None, (directory / "log").read_text()
                await asyncio.sleep(0.05)
        yield started.pid


@contextlib.asynccontextmanager
async def process(*command: str, **options: Any) -> AsyncIterator[asyncio.subprocess.Process]:
    """A process that is ended on the way out."""
    started = await asyncio.create_subprocess_exec(*command, cwd=TOP, **options)
    try:
        yield started
    finally:
        if started.returncode is None:
            started.terminate()
        await started.communicate()


def configure(directory: Path, broker: Mosquitto, targets: list[str], console: int) -> None:
    """Write the daemon's files: JSON is YAML, too."""
    (directory / "playbooks").mkdir()
    (directory / "playbooks" / "benchmark.yaml").write_text(PLAYBOOK)
    (directory / "secret").write_text("whsec_" + "MDEyMzQ1Njc4OWFiY2RlZjAxMjM0NTY3ODlhYmNkZWY=")
    (directory / "password").write_text(broker.password)
    settings = {
        "realm": "exercise",
        "release_override": "automatic",
        "sender": {"name": "Benchmark"},
        "broker": {"url": broker.url, "username": broker.username, "password_file": "password"},
        "journal": {"path": "journal.sqlite"},
        "console": {"port": console},
        "channels": {
            f"c{number}": {"kind": "webhook", "realm": "exercise", "url": url, "secret_file": "secret"}
            for number, url in enumerate(targets)
        },
    }
    (directory / "dispatcher.yaml").write_text(json.dumps(settings, indent=1))


def ready(console: int) -> bool:
    """Whether the daemon says that it takes events."""
    try:
        with urllib.request.urlopen(f"http://127.0.0.1:{console}/readyz", timeout=1) as answer:
            return answer.status == 200
    except OSError:
        return False


def free_port() -> int:
    """A port of 127.0.0.1 that nobody listens on."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        port: int = server.getsockname()[1]
        return port


def event() -> bytes:
    """An incident event that the playbook matches."""
    moment = datetime.now(UTC).isoformat()
    common = {"v": 1, "id": str(uuid.uuid4()), "source": SOURCE, "incident": str(uuid.uuid4()), "kind": "benchmark"}
    return json.dumps({**common, "status": "exercise", "sent": moment, "place": "Lingen (Ems)"}).encode()


def cpu(pid: int) -> float:
    """CPU seconds that the process has used, in user and kernel mode."""
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def peak(pid: int) -> int:
    """Largest resident memory of the process so far, in bytes."""
    found = re.search(r"VmHWM:\s+(\d+) kB", Path(f"/proc/{pid}/status").read_text())
    return int(found[1]) * 1024


async def measure(contender: Any, broker: Mosquitto, recorder: Recorder, count: int) -> Run:
    """One fresh process, one event. Raises AssertionError where a channel was missed or asked twice."""
    recorder.arrivals.clear()
    with tempfile.TemporaryDirectory() as directory:
        async with contender(broker, urls(count, recorder.port), Path(directory)) as pid, broker.client() as client:
            await asyncio.sleep(QUIET)
            before, start = cpu(pid), time.monotonic()
            await client.publish(TOPICS[contender.__name__], event(), qos=1)
            with contextlib.suppress(TimeoutError):
                await recorder.reached(count, 30)
            await asyncio.sleep(SETTLE + recorder.latency)
            used, memory = cpu(pid) - before, peak(pid)
    times = [moment - start for moments in recorder.arrivals.values() for moment in moments]
    assert len(recorder.arrivals) == len(times) == count, (
        f"{contender.__name__}: {len(recorder.arrivals)} of {count} channels were asked, {len(times)} times"
    )
    return Run(min(times), max(times), used, memory)


async def compare() -> list[dict[str, Any]]:
    """All sizes and latencies, runs alternating between the two."""
    results = []
    with tempfile.TemporaryDirectory() as directory:
        programs = [shutil.which(name, path=os.pathsep.join(PLACES)) for name in ("mosquitto", "mosquitto_passwd")]
        async with Mosquitto(*programs, Path(directory) / "broker", free_port()) as broker, Recorder() as recorder:
            for count in CHANNELS:
                for recorder.latency in LATENCIES:
                    runs: dict[str, list[Run]] = {"dispatcher": [], "plain": []}
                    for _ in range(RUNS):
                        runs["dispatcher"].append(await measure(dispatcher, broker, recorder, count))
                        runs["plain"].append(await measure(plain, broker, recorder, count))
                    for name, measured in runs.items():
                        runs_ = [asdict(run) for run in measured]
                        results.append({"what": name, "channels": count, "latency": recorder.latency, "runs": runs_})
                        print(row(results[-1]), flush=True)
    return results


def row(result: dict[str, Any]) -> str:
    """A line of the table: medians, with the least and the most in brackets."""
    scales = {"first": (1e3, 1), "last": (1e3, 1), "cpu": (1, 2), "memory": (1e-6, 0)}
    cells = [spread([run[name] for run in result["runs"]], *scale) for name, scale in scales.items()]
    return f"| {result['channels']:,} | {result['latency'] * 1e3:.0f} ms | {result['what']} | {' | '.join(cells)} |"


def main() -> None:
    results = asyncio.run(compare())
    head = "| channels | provider answers after | what | first, ms | last, ms | CPU, s | memory, MB |"
    publish("fan-out", results, [head, "|---:|---:|---|---:|---:|---:|---:|", *map(row, results)])


if __name__ == "__main__":
    main()
