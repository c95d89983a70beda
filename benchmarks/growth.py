"""What must not slow an alarm down: a long history, many playbooks, a slow disk.

Two daemons stand side by side, each with a provider and a broker of its own, and take turns, so that a busy moment of the machine
hits both alike.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import tempfile
import time
from collections.abc import AsyncIterator, Callable
from functools import partial
from pathlib import Path

from benchmarks.contestants import Contestant, dispatcher
from benchmarks.course import Case, Course, Entry
from benchmarks.machine import cpu, needed
from benchmarks.measures import WARM_UPS, Samples
from benchmarks.past import write_finished  # the course has led the way to the tests
from benchmarks.recorder import recorder

FEW_INCIDENTS = 1_000
INCIDENTS = int(os.environ.get("HISTORY", "1000000"))
FEW_PLAYBOOKS = 10
PLAYBOOKS = int(os.environ.get("PLAYBOOKS", "10000"))
SYNC = 5_000  # microseconds that every flush takes on the slow disk
TURNS = 20  # alarms of each
REST, RESTED = 1.0, 0.1  # seconds, of which one at rest uses so many on the CPU
PATIENCE = 600.0  # seconds in which it is ready, and then at rest


async def history(course: Course, _contestant: Contestant, case: Case) -> Samples:
    """Warm alarms over a journal of few finished incidents and over one of many, an alert and its all-clear each."""
    with tempfile.TemporaryDirectory() as name:
        few, many = (_with_history(Path(name), count) for count in (FEW_INCIDENTS, INCIDENTS))
        return await in_turns(course, case, {"few": few, "many": many})


def _with_history(directory: Path, incidents: int) -> Contestant:
    journal = directory / str(incidents) / "journal.sqlite"
    journal.parent.mkdir()
    write_finished(journal, ["c0"], incidents)

    def audit(where: Path, count: int) -> None:
        dispatcher.audit(where, count + 2 * incidents)

    return _furnished(lambda where: journal.rename(where / journal.name), audit)


async def playbooks(course: Course, _contestant: Contestant, case: Case) -> Samples:
    """Warm alarms beside few playbooks and beside many, of which only one is for them."""
    few, many = (_furnished(partial(_with_playbooks, count=count)) for count in (FEW_PLAYBOOKS, PLAYBOOKS))
    return await in_turns(course, case, {"few": few, "many": many})


def _with_playbooks(directory: Path, count: int) -> None:
    """All but the one that every daemon of a benchmark has."""
    (directory / "playbooks").mkdir()
    for number in range(1, count):
        name = f"other-{number:05}"
        (directory / "playbooks" / f"{name}.yaml").write_text(dispatcher.playbook(name))


async def slow_disk(course: Course, _contestant: Contestant, case: Case) -> Samples:
    """Warm alarms on the disk as it is and on one whose every flush takes longer; strace is around both."""
    return await in_turns(course, case, {"fast": _traced([]), "slow": _traced([f"delay_enter={SYNC}"])})


def _traced(fault: list[str]) -> Contestant:
    """The daemon below strace, which sees its flushes only; strace is no parent of it (-D), so the process is the daemon's."""
    flushes = "fdatasync,fsync"
    inject = [argument for one in fault for argument in ("-e", f"inject={flushes}:{one}")]
    quiet = ("-D", "-f", "--seccomp-bpf", "-qq", "-e", "signal=none", "-o", "/dev/null")
    wrapper = (needed("strace"), *quiet, "-e", f"trace={flushes}", *inject)
    return Contestant("dispatcher", partial(dispatcher.running, wrapper=wrapper), audit=dispatcher.audit)


def _furnished(furnish: Callable[[Path], object], audit: Callable[[Path, int], None] = dispatcher.audit) -> Contestant:
    return Contestant("dispatcher", partial(dispatcher.running, furnish=furnish, patience=PATIENCE), audit=audit)


async def in_turns(course: Course, case: Case, contestants: dict[str, Contestant]) -> Samples:
    """Seconds to the last channel of each of two in `TURNS` warm alarms, and until it was ready; MiB before. Raises `Faulty`."""
    samples: Samples = {}
    async with _side_by_side(course, case, *contestants.values()) as entries:
        incidents: list[list[str]] = [[] for _ in entries]
        for turn in range(WARM_UPS + TURNS):
            for place in (0, 1) if turn % 2 else (1, 0):
                incidents[place] += await entries[place].alarm()
        for name, entry, told in zip(contestants, entries, incidents, strict=True):
            ledger = await entry.finish()
            samples[name] = [ledger.times(one, entry.started[one]).last for one in told[WARM_UPS:]]
            samples |= {f"{name}_ready": [entry.ready], f"{name}_idle": [entry.idle]}
    return samples


@contextlib.asynccontextmanager
async def _side_by_side(course: Course, case: Case, one: Contestant, other: Contestant) -> AsyncIterator[list[Entry]]:
    """Both at work, and at rest: what a start looks at beside the work is done."""
    with tempfile.TemporaryDirectory() as name:
        async with recorder(Path(name)) as second:
            twin = Course(second, course.numbers)
            async with course.enter(one, case) as here, twin.enter(other, case) as there:
                for entry in (here, there):
                    await _at_rest(entry.running.pid)
                yield [here, there]


async def _at_rest(pid: int) -> None:
    """Wait until a process has nothing to do. Raises `TimeoutError`."""
    deadline, used = time.monotonic() + PATIENCE, float("inf")
    while used > RESTED:
        if time.monotonic() > deadline:
            raise TimeoutError(f"it did not come to rest within {PATIENCE:.0f} s")
        before = cpu(pid)
        await asyncio.sleep(REST)
        used = cpu(pid) - before
