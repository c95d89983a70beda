"""Run one case over one kind and check what must hold, whatever the provider did."""

from __future__ import annotations

import socket
import ssl
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import timedelta
from itertools import pairwise

import aiohttp
import trustme
from contract.cases import Case
from contract.kit import CANARY, SECRET, Kit, channel, post
from contract.provider import Provider, at_last, provider, says
from contract.relay import relay
from contract.sirens import broker

from dispatcher.channels.base import Kind, Unsupported
from dispatcher.channels.departure import departing
from dispatcher.channels.http import HttpClient, http_client
from dispatcher.model.delivery import Outcome, Result


@dataclass(frozen=True)
class Seen:
    """What one send came to, on both sides."""

    outcome: Outcome | Unsupported | None
    error: Exception | None
    left: bool
    requests: int


class NoNames(aiohttp.abc.AbstractResolver):
    """A resolver whose name server is gone."""

    async def resolve(self, host: str, port: int = 0, family: socket.AddressFamily = socket.AF_INET) -> list:
        """Fail as a resolver fails."""
        raise OSError(f"no answer for {host}")

    async def close(self) -> None:
        """Nothing is open."""


async def run(
    kind: str | Kind, kit: Kit, case: Case, step: int | None = None, client: HttpClient = HttpClient.LEAN
) -> Seen:
    """Send one post by ``kind`` while the provider does what ``case`` says: in its posting request, or at a ``step`` before."""
    resolver = NoNames() if case.world == "dns" else None
    async with scene_of(kit, case, step) as scene, http_client(client, total=case.total, resolver=resolver) as http:
        url = "http://provider.invalid" if case.world == "dns" else scene.url
        async with channel(kind, kit.settings(url), http) as opened:
            outcome, error = None, None
            with departing() as departure:
                try:
                    outcome = await opened.send(post())
                except Exception as raised:  # noqa: BLE001 - whatever is raised is a finding
                    error = raised
            return Seen(outcome, error, departure.left, _asked(scene))


def _asked(scene: Provider) -> int:
    """How many requests came, one that aiohttp asked once more counted once.

    It does so where the connection was cut, with what HTTP lets be repeated: reads, and writes to a place of their own.
    """
    heads = [request.partition(b"\r\n")[0] for request in scene.requests]
    again = sum(head == before and head.startswith((b"GET ", b"PUT ")) for before, head in pairwise(heads))
    return len(heads) - again


@asynccontextmanager
async def scene_of(kit: Kit, case: Case, step: int | None) -> AsyncIterator[Provider]:
    """What stands at the other end: good in the requests before ``step``, the last one where it is None, then as ``case`` says."""
    if case.world == "refused":
        with socket.socket() as bound:  # bound but not listening: refused for sure, and nobody else's
            bound.bind(("127.0.0.1", 0))
            yield Provider(f"http://127.0.0.1:{bound.getsockname()[1]}")
        return
    tls = untrusted() if case.world == "tls" else None
    if kit.speaks == "smtp":
        listening = relay(case.behave(kit), tls)
    elif kit.speaks == "mqtt":
        listening = broker(case.behave(kit), tls)
    else:
        before = [says(*answer) for answer in kit.before[:step]]
        listening = provider(at_last(before, case.behave(kit)), tls)
    async with listening as scene:
        yield scene


def untrusted() -> ssl.SSLContext:
    """A server's context whose certificate nobody trusts."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    trustme.CA().issue_cert("127.0.0.1").configure_cert(context)
    return context


def lands_in_its_class(kit: Kit, case: Case, seen: Seen) -> None:
    """The outcome is the documented one, and nothing was raised."""
    assert seen.error is None, f"raised {type(seen.error).__name__}"
    assert isinstance(seen.outcome, Outcome)
    assert (seen.outcome.result, seen.outcome.reason) == kit.deviations.get(case.name, case.expected)


def never_accepts_a_refusal(_kit: Kit, case: Case, seen: Seen) -> None:
    """Only a complete answer in 2xx can be an acceptance."""
    if not 200 <= case.status < 300 and isinstance(seen.outcome, Outcome):
        assert seen.outcome.result not in (Result.ACCEPTED, Result.VISIBLE, Result.READY)


def names_what_it_accepted(kit: Kit, _case: Case, seen: Seen) -> None:
    """An acceptance carries the id that later verbs need, and none is made up where the provider gives none."""
    if isinstance(seen.outcome, Outcome) and seen.outcome.result is Result.ACCEPTED:
        assert bool(seen.outcome.provider_id) is kit.names


def leaves_once_or_not_at_all(kit: Kit, case: Case, seen: Seen) -> None:
    """The departure is noted as it was, and one send posts once: no redirect is followed, nothing is repeated."""
    assert seen.left is case.leaves
    assert seen.requests == (len(kit.before) + 1 if case.leaves else 0)


def posts_nothing_before_its_time(case: Case, step: int, seen: Seen) -> None:
    """What goes wrong before the posting request leaves no doubt: nothing was posted, and no request came after."""
    assert seen.error is None, f"raised {type(seen.error).__name__}"
    assert isinstance(seen.outcome, Outcome)
    assert seen.outcome.result in (Result.TEMPORARY, Result.PERMANENT)
    assert seen.requests == (step + 1 if case.leaves else 0)


def waits_as_told(_kit: Kit, case: Case, seen: Seen) -> None:
    """A provider's wait is passed on within reason."""
    if case.wait is not None and isinstance(seen.outcome, Outcome):
        least, most = (timedelta(seconds=seconds) for seconds in case.wait)
        assert seen.outcome.retry_after is not None
        assert least <= seen.outcome.retry_after <= most


def keeps_the_secret(_kit: Kit, _case: Case, seen: Seen) -> None:
    """Neither outcome nor exception holds the secret or the address."""
    told = f"{seen.outcome!r} {seen.error!r}"
    assert CANARY not in told
    assert SECRET not in told
    assert "http://127.0.0.1" not in told


CHECKS = (
    lands_in_its_class, never_accepts_a_refusal, names_what_it_accepted, leaves_once_or_not_at_all, waits_as_told,
    keeps_the_secret,
)  # fmt: skip
