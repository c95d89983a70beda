"""What systemd is told of us where it started us: ready, stopping, and that the loop still runs.

The protocol is sd_notify(3): lines ``NAME=value`` as one datagram to the socket that ``NOTIFY_SOCKET`` names, where a
leading ``@`` stands for the NUL byte of an abstract socket. Whatever goes wrong with it is logged and stops nothing.
"""

from __future__ import annotations

import asyncio
import os
import socket
from collections.abc import Mapping

from dispatcher.telemetry import logger

log = logger("supervisor")


class Supervisor:
    """systemd as seen from here; without it, nothing is said to nobody."""

    def __init__(self, environment: Mapping[str, str] = os.environ) -> None:
        """``environment`` as systemd sets it: where to tell it, and how often it wants to hear that we are alive."""
        address = environment.get("NOTIFY_SOCKET", "")
        self._address = "\0" + address[1:] if address.startswith("@") else address
        patience, process = environment.get("WATCHDOG_USEC", ""), environment.get("WATCHDOG_PID", str(os.getpid()))
        meant = patience.isdigit() and process == str(os.getpid())
        self._patience = int(patience) / 1_000_000 if meant else 0.0

    def tell(self, *lines: str) -> None:
        """Send ``lines`` without ever waiting for the reader."""
        if not self._address:
            return
        try:
            with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM | socket.SOCK_NONBLOCK) as way:
                way.sendto("\n".join(lines).encode(), self._address)
        except OSError as error:
            log.warning("systemd_not_told", lines=lines, error=str(error))

    async def watchdog(self) -> None:
        """Ping from the loop, at half of what systemd waits for (sd_watchdog_enabled(3)), until cancelled."""
        while self._patience:
            self.tell("WATCHDOG=1")
            await asyncio.sleep(self._patience / 2)
