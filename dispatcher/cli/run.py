"""``dispatcher run``: the daemon itself."""

from __future__ import annotations

import asyncio
import faulthandler
import gc
import sys
from collections.abc import Coroutine
from pathlib import Path
from typing import Any, TypeVar

from dispatcher.app import serve
from dispatcher.settings.fallback import load_or_last_good
from dispatcher.telemetry import configure_logs

T = TypeVar("T")


def run_loop(work: Coroutine[Any, Any, T]) -> T:
    """Run ``work`` on uvloop where it exists, else on asyncio's own loop."""
    try:
        import uvloop
    except ImportError:
        return asyncio.run(work)
    return uvloop.run(work)


def run(config: Path, journal: Path | None = None) -> None:
    """Run until a signal; exits 0 after a clean end, 70 where a restart must replay.

    Broken files start with the last good set; ``journal`` says where that lies when the main file does not.
    """
    configure_logs()
    faulthandler.enable()  # systemd's watchdog ends us by SIGABRT: the log then shows where every thread was
    loaded = load_or_last_good(config, journal)
    for problem in (*loaded.broken, *loaded.problems, *loaded.warnings, *loaded.secrets):
        print(problem, file=sys.stderr)
    gc.freeze()  # the program itself is never garbage: no collection stops the loop to look through it again
    sys.exit(run_loop(serve(loaded, config)))
