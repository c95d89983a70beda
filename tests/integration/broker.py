"""A real Mosquitto for tests: the configuration we ship, on a free loopback port, with a directory that outlives a kill."""

from __future__ import annotations

import asyncio
import os
import re
import signal
import subprocess
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import aiomqtt

REFERENCE = Path(__file__).parents[2] / "config" / "mosquitto.conf"


class Mosquitto:
    """One broker and its store: ``async with`` starts it and ends it, `kill` and `start` are for the tests between.

    It runs ``config/mosquitto.conf`` with three lines changed (port, store, password file) and one added for root.
    """

    username = "dispatcher"
    password = "only-for-tests"

    def __init__(self, executable: str, passwd: str, directory: Path, port: int, extra: str = "") -> None:
        self.port = port
        self._executable = executable
        self._config = directory / "mosquitto.conf"
        self._log = directory / "mosquitto.log"  # a file: whoever ceases to read a pipe stops the broker
        self._process: asyncio.subprocess.Process | None = None
        directory.mkdir()
        passwords = directory / "passwd"
        subprocess.run([passwd, "-c", "-b", passwords, self.username, self.password], check=True)
        self._config.write_text(_localised(REFERENCE.read_text(), port, directory, passwords) + extra)

    @property
    def url(self) -> str:
        """Where it listens, without credentials."""
        return f"mqtt://127.0.0.1:{self.port}"

    def client(self, **options: Any) -> aiomqtt.Client:
        """A client of this broker, allowed in; ``options`` go to aiomqtt."""
        usual = {"username": self.username, "password": self.password, "protocol": aiomqtt.ProtocolVersion.V5}
        return aiomqtt.Client("127.0.0.1", self.port, **(usual | options))

    async def start(self) -> None:
        """Start it on what its store holds; ready on return. Raises RuntimeError with its log when it ends at once."""
        with self._log.open("ab") as log:
            self._process = await asyncio.create_subprocess_exec(self._executable, "-c", self._config, stderr=log)
        while not await self._listens():
            if self._process.returncode is not None:
                raise RuntimeError(self._log.read_text(errors="replace"))
            await asyncio.sleep(0.01)

    async def kill(self) -> None:
        """End it as a power cut would: no chance to save."""
        await self._end(signal.SIGKILL)

    def freeze(self) -> None:
        """Let it do nothing more, its connections open."""
        assert self._process is not None
        self._process.send_signal(signal.SIGSTOP)

    def thaw(self) -> None:
        """Let it go on."""
        assert self._process is not None
        self._process.send_signal(signal.SIGCONT)

    async def stop(self) -> None:
        """End it in good order."""
        await self._end(signal.SIGTERM)

    async def __aenter__(self) -> Self:
        await self.start()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        await self.stop()

    async def _end(self, how: signal.Signals) -> None:
        if self._process and self._process.returncode is None:
            self._process.send_signal(how)
            await self._process.wait()

    async def _listens(self) -> bool:
        try:
            _, writer = await asyncio.open_connection("127.0.0.1", self.port)
        except OSError:
            return False
        writer.close()
        await writer.wait_closed()
        return True


def _localised(config: str, port: int, directory: Path, passwords: Path) -> str:
    for name, value in {
        "listener": f"{port} 127.0.0.1",
        "persistence_location": f"{directory}/",
        "password_file": str(passwords),
    }.items():
        config, count = re.subn(rf"(?m)^{name} .*$", f"{name} {value}", config)
        assert count == 1, f"config/mosquitto.conf has {count} lines of {name}"
    # Started by root, it would become the user `mosquitto`, who cannot read a test's directory.
    return config + ("user root\n" if os.geteuid() == 0 else "")
