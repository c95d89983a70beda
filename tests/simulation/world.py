"""What all parts of a simulated night share: its chances, its record, its witness, and the moment it kills the daemon."""

from __future__ import annotations

import asyncio
import json
import random
from collections import Counter, defaultdict
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from simulation.clockwork import VirtualLoop
from simulation.witness import Witness


@dataclass(slots=True)
class World:
    """Owns no behaviour of its own; ``rng`` is the only source of chance while a night runs."""

    rng: random.Random
    loop: VirtualLoop
    path: Path
    witness: Witness
    trace: list[str] = field(default_factory=list)
    faults: Counter[str] = field(default_factory=Counter)
    violations: list[str] = field(default_factory=list)
    doubted: set[str] = field(default_factory=set)  # deliveries whose doubt was journaled and not yet answered by name
    doubts: set[str] = field(default_factory=set)  # deliveries whose doubt was ever journaled
    published: dict[tuple[str, str], list[Published]] = field(default_factory=lambda: defaultdict(list))
    kill: Callable[[], None] = lambda: None
    _fuse: int = 0

    def note(self, what: str) -> None:
        """Add a line to the trace."""
        self.trace.append(f"{self.loop.time():9.4f} {what}")

    def fault(self, kind: str, what: str = "") -> None:
        """Count a fault."""
        self.faults[kind] += 1
        self.note(f"fault: {kind} {what}".rstrip())

    def wrong(self, what: str) -> None:
        """A promise is broken."""
        self.violations.append(f"{self.loop.time():9.4f} {what}")
        self.note(f"VIOLATION: {what}")

    def light(self, fuse: int) -> None:
        """Kill the daemon at the ``fuse``-th point that it passes from now on; 0 puts the fuse out."""
        self._fuse = fuse

    def point(self, name: str) -> None:
        """The daemon passes a point at which it may be killed."""
        if self._fuse:
            self._fuse -= 1
            if not self._fuse:
                self.fault("kill", f"at {name}")
                self.kill()

    def committed(self) -> None:
        """Look what a commit brought."""
        for fact in self.witness.news():
            body = json.loads(fact["body"])
            self.note(f"journal: {fact['seq']} {fact['kind']} {fact['ref']}")
            if fact["kind"] == "delivery.in_doubt":
                self.doubted.add(fact["ref"])
                self.doubts.add(fact["ref"])
            elif fact["kind"] == "delivery.queued" and body.get("note", "").startswith("by "):
                self.doubted.discard(fact["ref"])

    async def pause(self, most: float) -> None:
        """Let up to ``most`` seconds pass."""
        await asyncio.sleep(self.rng.uniform(0, most))

    def chance(self, probability: float) -> bool:
        """Whether it happens."""
        return self.rng.random() < probability


@dataclass(frozen=True, slots=True)
class Published:
    """A text that the public can read."""

    at: float
    delivery: str
    purpose: str
    revision: int
    body: str
    provider_id: str
    code: str


def never() -> asyncio.Future[Any]:
    """What a dead daemon waits for."""
    return asyncio.get_running_loop().create_future()
