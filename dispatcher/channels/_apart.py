"""The daemon's side of a process that speaks for one channel: started when first needed, and anew when it is gone.

Whoever leaves a `Talk` by an error or a deadline leaves nobody behind: what hangs is killed, for a thread in there cannot be
called back.
"""

from __future__ import annotations

import asyncio
import json
import os
import ssl
import sys
from asyncio.subprocess import DEVNULL, PIPE, Process
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from typing import Any

from dispatcher.model.errors import DispatcherError

_PROGRAM = ("-P", "-m", "dispatcher.channels._bridge")
_PASSED_ON = ("PATH", "PYTHONPATH", "LANG", "LC_ALL", "TZ")  # no secret, no proxy
_START_SECONDS = 30


class Gone(DispatcherError):
    """The process has ended, or says what it should not."""


class Unusable(DispatcherError):
    """It will not work with what it was given, now or later."""


class Talk:
    """One conversation with the process, line by line."""

    def __init__(self, process: Process) -> None:
        """``process`` has pipes for both ways."""
        self._process = process
        self.greeting: dict[str, Any] = {}

    @property
    def pid(self) -> int:
        """The process's number."""
        return self._process.pid

    @property
    def over(self) -> bool:
        """Whether it has ended."""
        return self._process.returncode is not None

    def tell(self, line: dict[str, Any]) -> None:
        """One line to it; that it is gone shows when it is to be heard."""
        assert self._process.stdin is not None
        self._process.stdin.write(json.dumps(line).encode() + b"\n")

    async def hear(self) -> dict[str, Any]:
        """Its next line; raises `Gone`."""
        assert self._process.stdout is not None
        try:
            said = json.loads(await self._process.stdout.readline())
        except (ValueError, OSError):
            raise Gone("ended without an answer") from None
        if not isinstance(said, dict):
            raise Gone("said what nobody understands")
        return said

    async def kill(self) -> None:
        """End it, whatever it is doing, and wait until it is no more."""
        with suppress(ProcessLookupError):
            self._process.kill()
        await self._process.wait()


class Apart:
    """The process of one channel. `turn` is for one at a time."""

    def __init__(self, first: dict[str, Any]) -> None:
        """``first`` is told to every process before anything else, by its pipe: no one can see it in a list of processes."""
        self._first = first
        self._alone = asyncio.Lock()
        self._starting: asyncio.Task[Talk] | None = None

    @asynccontextmanager
    async def turn(self) -> AsyncIterator[Talk]:
        """The process to oneself; raises `Gone` or `Unusable`. A start that takes longer than one waits goes on."""
        async with self._alone:
            talk = await self._running()
            done = False
            try:
                yield talk
                done = True
            finally:
                if not done:
                    await self.close()

    async def close(self) -> None:
        """No process is left afterwards."""
        starting, self._starting = self._starting, None
        if starting is None:
            return
        starting.cancel()
        await asyncio.wait({starting})
        if not starting.cancelled() and starting.exception() is None:
            await starting.result().kill()

    async def _running(self) -> Talk:
        if self._starting is None or _lost(self._starting):
            self._starting = asyncio.create_task(_start(self._first))
        return await asyncio.shield(self._starting)


def _lost(starting: asyncio.Task[Talk]) -> bool:
    """Whether that process is no more; one that told why it never will work needs no other."""
    if not starting.done():
        return False
    if starting.cancelled() or (error := starting.exception()):
        return starting.cancelled() or not isinstance(error, Unusable)
    return starting.result().over


async def _start(first: dict[str, Any]) -> Talk:
    """A process that has understood ``first``; raises `Gone`, `Unusable`, or `OSError` where none can be started."""
    process = await asyncio.create_subprocess_exec(
        sys.executable, *_PROGRAM, stdin=PIPE, stdout=PIPE, stderr=DEVNULL, env=_environment(), start_new_session=True
    )
    talk = Talk(process)
    try:
        async with asyncio.timeout(_START_SECONDS):
            talk.tell(first)
            talk.greeting = await talk.hear()
    finally:
        if not talk.greeting or "refused" in talk.greeting:
            await talk.kill()
    if "refused" in talk.greeting:
        raise Unusable(talk.greeting["refused"])
    return talk


def _environment() -> dict[str, str]:
    """As little as it needs; it trusts whom the daemon trusts, and reads no logins of whoever started the daemon."""
    trust = ssl.get_default_verify_paths()
    passed = {name: os.environ[name] for name in _PASSED_ON if name in os.environ}
    authorities = trust.cafile or trust.capath
    return {**passed, "NETRC": os.devnull, **({"REQUESTS_CA_BUNDLE": authorities} if authorities else {})}
