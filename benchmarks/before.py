"""``python -m benchmarks.before``: one alarm to 1,000 channels, profiled now and before the work on speed, in turns.

The old tree is put into build/before/ and gets today's benchmarks. Writes docs/images/flame-{before,after}.svg and its part of
docs/performance.md; the times are those of a process below a sampler, so their shares say more than they do.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from collections import Counter
from collections.abc import Iterator, Mapping
from pathlib import Path

from benchmarks.figures import number
from benchmarks.flames import flame_graph
from benchmarks.machine import TOP
from benchmarks.profiling import WIDE_ALARMS, WIDE_CHANNELS
from benchmarks.report import measured, publish

BEFORE = "8a6106e664817ff8ff6970438b2f400621102576"  # the last commit before the work on speed
RUNS = int(os.environ.get("RUNS", "3"))
# Whose work it is, by the innermost function that belongs to one of them: the rest counts for its caller, as json or our model.
PARTS: Mapping[str, tuple[str, ...]] = {
    "journal": ("dispatcher.journal", "sqlalchemy", "sqlite3"),
    "HTTP": ("dispatcher.channels", "aiohttp", "aiohappyeyeballs", "yarl", "multidict", "ssl"),
    "plan, templates": ("dispatcher.plan", "jinja2"),
    "MQTT": ("dispatcher.intake", "dispatcher.feed", "aiomqtt", "paho"),
    "the road between them": ("dispatcher.pipeline", "dispatcher.worker", "dispatcher.launch", "dispatcher.permits"),
}
LOOP, REST = "event loop", "rest"
_LOOPS = ("asyncio", "uvloop", "selectors")
_TRUNK = "asyncio.runners.Runner.run"  # what is below it is the same for all that the event loop calls


def part(stack: str) -> str:
    """The part of the daemon that a stack ``thread;outermost;...;innermost`` is booked to."""
    thread, *names = stack.split(";")
    for name in reversed(names):
        for title, modules in PARTS.items():
            if name.startswith(tuple(f"{module}." for module in modules)):
                return title
        if name.startswith(_LOOPS) and name == names[-1] and thread == "MainThread":
            return LOOP
    return "journal" if thread.startswith("journal") else REST


def parts(collapsed: str, deliveries: int) -> dict[str, float]:
    """Microseconds of CPU for each delivery, by part."""
    found: Counter[str] = Counter()
    for line in collapsed.splitlines():
        stack, _, time = line.rpartition(" ")
        found[part(stack)] += int(time)
    return {title: found[title] / deliveries for title in (*PARTS, LOOP, REST)}


def trimmed(collapsed: str) -> str:
    """The same without what calls the event loop."""
    return "".join(f"{_trimmed(line)}\n" for line in collapsed.splitlines())


def _trimmed(line: str) -> str:
    thread, _, stack = line.partition(";")
    _, trunk, called = stack.partition(_TRUNK)
    if not trunk:
        return line
    return f"{thread}{called}" if called.startswith(";") else f"{thread};{LOOP}{called}"


def lines(before: Mapping[str, float], after: Mapping[str, float]) -> Iterator[str]:
    """The table and the pictures."""
    yield "## Before and after\n"
    yield f"Measured on {measured()}, {RUNS} runs of {WIDE_ALARMS} warm alarms to {WIDE_CHANNELS:,} channels, in turns.\n"
    yield "| CPU of a delivery, µs | before | after | after ÷ before |\n|---|---|---|---|"
    for title in [*after, "all"]:
        old, new = (sum(one.values()) if title == "all" else one[title] for one in (before, after))
        yield f"| {title} | {number(old)} | {number(new)} | {f'{new / old:.2f}' if old else '-'} |"
    for name in ("before", "after"):
        yield f"\n![Where the CPU time goes, {name}](images/flame-{name}.svg)"


def old_tree() -> Path:
    """The tree as it was, with today's benchmarks."""
    tree = TOP / "build" / "before"
    if not tree.exists():
        subprocess.run(
            ["git", "worktree", "add", "--force", "--quiet", "--detach", str(tree), BEFORE], cwd=TOP, check=True
        )
    shutil.rmtree(tree / "benchmarks")
    shutil.copytree(TOP / "benchmarks", tree / "benchmarks", ignore=shutil.ignore_patterns("__pycache__"))
    return tree


def profiled(tree: Path) -> str:
    """The collapsed stacks of one run in ``tree``."""
    command = [sys.executable, "-m", "benchmarks.profiling", "wide"]
    subprocess.run(
        command, cwd=tree, env={**os.environ, "PYTHONPATH": str(tree)}, stdout=subprocess.DEVNULL, check=True
    )
    return (tree / "build" / "profile" / "wide.collapsed").read_text()


def main() -> None:
    """Measure, print, publish."""
    trees = {"before": old_tree(), "after": TOP}
    stacks = dict.fromkeys(trees, "")
    for run in range(RUNS):
        for name in sorted(trees, reverse=run % 2 == 0):
            stacks[name] += profiled(trees[name])
    found = {name: parts(one, RUNS * WIDE_ALARMS * WIDE_CHANNELS) for name, one in stacks.items()}
    said = list(lines(found["before"], found["after"]))
    print("\n".join(said))
    for name, one in stacks.items():
        (TOP / "docs" / "images" / f"flame-{name}.svg").write_text(flame_graph(trimmed(one)))
    publish("before-and-after", {"before": found["before"], "after": found["after"]}, said, TOP / "docs")


if __name__ == "__main__":
    main()
