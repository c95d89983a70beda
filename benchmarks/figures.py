"""Where the figures of a benchmark go: every single run to docs/performance.json, the table to docs/performance.md."""

from __future__ import annotations

import json
import os
import platform
import re
import statistics
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

TOP = Path(__file__).parents[1]
DOCS = TOP / "docs"


def spread(values: Sequence[float], scale: float, digits: int) -> str:
    """The median, with the least and the most in brackets."""
    scaled = [value * scale for value in values]
    return f"{statistics.median(scaled):.{digits}f} ({min(scaled):.{digits}f} to {max(scaled):.{digits}f})"


def machine() -> str:
    """What the figures were measured on."""
    found = re.search(r"model name\s*: (.*)", Path("/proc/cpuinfo").read_text())
    model = found[1] if found else platform.machine()
    return f"{os.cpu_count()} cores ({model}), Python {platform.python_version()}"


def publish(name: str, results: list[dict[str, Any]], table: Sequence[str]) -> None:
    """Put ``results`` under ``name`` and ``table`` between the marks of that name."""
    measured = f"{datetime.now(UTC):%Y-%m-%d}: {machine()}"
    file, page = DOCS / "performance.json", DOCS / "performance.md"
    everything = json.loads(file.read_text()) | {name: {"measured": measured, "results": results}}
    file.write_text(json.dumps(everything, indent=1) + "\n")
    said = (
        f"Measured on {measured}. Medians of {len(results[0]['runs'])} runs, with the least and the most in brackets.\n"
    )
    marked = re.compile(rf"(<!-- {name} -->\n).*?(\n<!-- end of {name} -->)", re.DOTALL)
    page.write_text(marked.sub(lambda found: found[1] + "\n".join([said, *table]) + found[2], page.read_text()))
