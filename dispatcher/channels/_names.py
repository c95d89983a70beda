"""Names become addresses without the thread pool that everything else shares, and a dead name server stops nobody.

Look-ups go to c-ares, so that none waits behind another. Where a name server fails, says no or does not answer, the
address that it gave last is used, for up to a day; names of channels are asked for all the time, so that there is one.
"""

from __future__ import annotations

import asyncio
import ipaddress
import socket
import time
from collections.abc import Callable, Iterable
from typing import Final

import aiohappyeyeballs
from aiohttp import AsyncResolver
from aiohttp.abc import AbstractResolver, ResolveResult

from dispatcher.telemetry import LOOK_UPS, logger

log = logger("names")

KNOWN_SECONDS: Final = 0.5  # how long a name server is waited for where a last good address is at hand
UNKNOWN_SECONDS: Final = 4.0
KEEP_SECONDS: Final = 24 * 3600.0
ASK_AGAIN_SECONDS: Final = 600.0
FRESH_SECONDS: Final = 30.0  # an address that changes is found again within that time, whatever its name server allows


class NoSuchName(OSError):
    """A name without an address, now and as far as is remembered."""


class Names(AbstractResolver):
    """aiohttp's resolver over another one, with a memory."""

    def __init__(
        self, resolver: AbstractResolver | None = None, monotonic: Callable[[], float] = time.monotonic
    ) -> None:
        """``resolver`` does the asking, c-ares with the machine's own name servers where none is given."""
        self._resolver = resolver or AsyncResolver(timeout=1.0, tries=3)
        self._monotonic = monotonic
        self._good: dict[tuple[str, int], tuple[float, list[ResolveResult]]] = {}
        self._unsure: set[str] = set()
        self._asked: dict[tuple[str, int], tuple[float, asyncio.Task[list[ResolveResult]]]] = {}

    async def resolve(
        self, host: str, port: int = 0, family: socket.AddressFamily = socket.AF_UNSPEC
    ) -> list[ResolveResult]:
        """Addresses of ``host``, fresh or the last good ones; raises `NoSuchName` where there are none."""
        name = host.rstrip(".")
        last = self._last_good(name, family)
        try:
            async with asyncio.timeout(KNOWN_SECONDS if last else UNKNOWN_SECONDS):
                found = await self._resolver.resolve(host, port, family)
        except OSError as error:  # of which TimeoutError is one
            self._note_failure(name, error, saved=bool(last))
            if not last:
                raise NoSuchName(None, "name not resolved") from error
            return [{**address, "port": port} for address in last]
        self._good[name, family] = self._monotonic(), found
        self._unsure.discard(name)
        LOOK_UPS.labels("fresh").inc()
        return found

    async def recent(self, host: str, port: int) -> list[ResolveResult]:
        """The same, asked at most every half minute and once for all who ask meanwhile; an address is its own."""
        if family := _family(host):
            return [_address(host, port, family)]
        at, asking = self._asked.get((host, port), (0.0, None))
        if asking is None or self._monotonic() - at >= FRESH_SECONDS or _failed(asking):
            asking = asyncio.create_task(self.resolve(host, port))
            self._asked[host, port] = self._monotonic(), asking
        return await asyncio.shield(asking)

    async def keep(self, hosts: Callable[[], Iterable[str]]) -> None:
        """Ask for all ``hosts()`` every ten minutes, until cancelled: what was never asked for has no last good address."""
        while True:
            for host in sorted(set(hosts())):
                try:
                    await self.resolve(host)
                except OSError:
                    continue
            await asyncio.sleep(ASK_AGAIN_SECONDS)

    async def close(self) -> None:
        """Give up what is still being asked."""
        for _, asking in self._asked.values():
            asking.cancel()
        await self._resolver.close()

    def _last_good(self, name: str, family: int) -> list[ResolveResult]:
        at, addresses = self._good.get((name, family), (0.0, []))
        return addresses if self._monotonic() - at < KEEP_SECONDS else []

    def _note_failure(self, name: str, error: OSError, *, saved: bool) -> None:
        LOOK_UPS.labels("last_good" if saved else "failed").inc()
        if name not in self._unsure:
            self._unsure.add(name)
            log.warning("name_not_resolved", host=name, why=str(error) or type(error).__name__, last_good=saved)


async def connected(addresses: list[ResolveResult]) -> socket.socket:
    """A TCP connection to the first of ``addresses`` that answers (RFC 8305); raises `OSError`, and has no deadline."""
    ways = [(one["family"], socket.SOCK_STREAM, one["proto"], "", (one["host"], one["port"])) for one in addresses]
    return await aiohappyeyeballs.start_connection(ways, happy_eyeballs_delay=0.25)


def _family(host: str) -> socket.AddressFamily | None:
    """The family of an address, None for a name."""
    try:
        return socket.AF_INET if ipaddress.ip_address(host).version == 4 else socket.AF_INET6
    except ValueError:
        return None


def _address(host: str, port: int, family: socket.AddressFamily) -> ResolveResult:
    return ResolveResult(
        hostname=host, host=host, port=port, family=family, proto=socket.IPPROTO_TCP, flags=socket.AI_NUMERICHOST
    )


def _failed(asking: asyncio.Task[list[ResolveResult]]) -> bool:
    return asking.done() and (asking.cancelled() or asking.exception() is not None)
