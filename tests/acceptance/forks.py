"""Daemons by the hundred: forks of one process that has loaded the program already, which saves most of a start.

A fork runs the same function as ``dispatcher run``. What it skips is the interpreter's own start and end, so what is
said at the very end of a process is for `Daemon` to show.
"""

from __future__ import annotations

import asyncio
import contextlib
import ctypes
import multiprocessing
import os
import sys
import time
from collections.abc import Callable
from multiprocessing import forkserver
from multiprocessing.process import BaseProcess
from pathlib import Path
from typing import Any

import pytest
from acceptance.harness import PASSWORD, SECRET, Daemon

from dispatcher.cli.run import run

PR_SET_PTRACER, PR_SET_PTRACER_ANY = 0x59616D61, -1  # prctl(2)
_forks = multiprocessing.get_context("forkserver")
_forks.set_forkserver_preload(["acceptance.forks", "dispatcher.app", "dispatcher.journal.schema", "pytest", "uvloop"])


class Fork:
    """One forked process, with the face of asyncio's."""

    def __init__(self, process: BaseProcess) -> None:
        self._process = process

    @property
    def pid(self) -> int:
        """Its number."""
        assert self._process.pid is not None
        return self._process.pid

    @property
    def returncode(self) -> int | None:
        """Its exit code, negative where a signal ended it; None while it lives."""
        return self._process.exitcode

    def send_signal(self, signal: int) -> None:
        """Send it a signal, where it still lives."""
        with contextlib.suppress(ProcessLookupError):
            os.kill(self.pid, signal)

    def kill(self) -> None:
        """Send it a kill."""
        self._process.kill()

    async def wait(self) -> int:
        """Its exit code, when it has ended."""
        while (code := self.returncode) is None:
            await asyncio.sleep(0.002)
        return code


class ForkedDaemon(Daemon):
    """The daemon as a fork."""

    async def spawn(self, *_: Any, traced: bool = False, fault: Callable[[], None] | None = None, **__: Any) -> None:
        """Fork its process, without waiting for anything.

        One that is ``traced`` waits until somebody traces it; ``fault`` runs before the daemon does.
        """
        _ensure_server()
        arguments = (self.config, self.folder / "daemon.log", traced, fault)
        process = _forks.Process(target=_daemon, args=arguments, daemon=True)
        process.start()
        self.process = Fork(process)


def _ensure_server() -> None:
    """The process that all are forked from: in Python 3.11 it finds what it loads beforehand by PYTHONPATH alone."""
    with pytest.MonkeyPatch.context() as environment:
        environment.setenv("PYTHONPATH", os.pathsep.join(sys.path))
        forkserver.ensure_running()


def _daemon(config: Path, log: Path, traced: bool, fault: Callable[[], None] | None) -> None:
    handle = os.open(log, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o600)
    for stream in (sys.stdout, sys.stderr):
        os.dup2(handle, stream.fileno())
    os.environ.update({**PASSWORD, **SECRET})
    # Where only ancestors may trace (kernel.yama.ptrace_scope=1), anyone may trace this one.
    ctypes.CDLL(None).prctl(PR_SET_PTRACER, ctypes.c_ulong(PR_SET_PTRACER_ANY), 0, 0, 0)
    if traced:
        while b"\nTracerPid:\t0\n" in Path("/proc/self/status").read_bytes():
            time.sleep(0.001)
    if fault:
        fault()
    run(config)
