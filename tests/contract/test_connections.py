"""Our own HTTP client and its connections: kept where that is safe, given up where it is not, and nothing sent twice."""

from __future__ import annotations

import asyncio
import inspect
import socket
import ssl
import threading
from collections.abc import AsyncIterator, Awaitable, Callable, Coroutine
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

import aiohttp
import pytest
import trustme
import uvloop
from contract.provider import reply

from dispatcher.channels._lean import Connections, Place
from dispatcher.channels._names import Names
from dispatcher.channels._wire import AnswerReader, request_bytes
from dispatcher.channels.departure import departing
from dispatcher.channels.http import ChannelError, Request, http_client
from dispatcher.model.delivery import Reason, Result
from dispatcher.model.errors import Fenced

Serve = Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]]

KEEPING = reply(200, b"{}", {"Connection": "keep-alive"})
FORGED = reply(500, b"forged", {"Connection": "keep-alive"})


@dataclass
class Server:
    """What listens at ``url`` and what each connection asked, in order; ``ended`` says how many the client has closed."""

    url: str
    asked: list[list[bytes]] = field(default_factory=list)
    ended: int = 0
    changed: asyncio.Condition = field(default_factory=asyncio.Condition)

    async def until(self, holds: Callable[[], bool]) -> None:
        """Wait until something ``holds`` here."""
        async with asyncio.timeout(10), self.changed:
            await self.changed.wait_for(holds)

    async def note(self) -> None:
        """Something has changed."""
        async with self.changed:
            self.changed.notify_all()


@asynccontextmanager
async def serving(
    *answers: bytes | Serve, tls: ssl.SSLContext | None = None, host: str = "127.0.0.1"
) -> AsyncIterator[Server]:
    """A server that gives ``answers`` to the requests in turn, whatever connection they come on, the last one for ever."""
    turns = list(answers)
    tasks: set[asyncio.Task[None]] = set()

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        tasks.add(asyncio.current_task())
        heard: list[bytes] = []
        known.asked.append(heard)
        try:
            while True:
                heard.append(await reader.readuntil(b"\r\n\r\n"))
                await known.note()
                answer = turns.pop(0) if len(turns) > 1 else turns[0]
                if isinstance(answer, bytes):
                    writer.write(answer)
                else:
                    await answer(reader, writer)
        except (asyncio.IncompleteReadError, ConnectionError):
            known.ended += 1
            await known.note()
        finally:
            writer.close()

    server = await asyncio.start_server(serve, host, 0, ssl=tls)
    shown = f"[{host}]" if ":" in host else host
    known = Server(f"{'https' if tls else 'http'}://{shown}:{server.sockets[0].getsockname()[1]}")
    try:
        yield known
    finally:
        server.close()
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)


def post(server: Server) -> Request:
    """A request without a body."""
    return Request("POST", server.url)


async def test_a_connection_carries_one_request_after_the_other() -> None:
    """What follows an answer goes over the connection that is there."""
    async with serving(KEEPING) as server, http_client() as http:
        for _ in range(3):
            assert (await http.request(post(server))).status == 200
        assert [len(requests) for requests in server.asked] == [3]


async def test_a_connection_with_tls_carries_the_next_request_as_well() -> None:
    """The handshake is made once."""
    authority, server_side = trustme.CA(), ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    authority.issue_cert("127.0.0.1").configure_cert(server_side)
    trusting = ssl.create_default_context()
    authority.configure_trust(trusting)
    async with serving(KEEPING, tls=server_side) as server, http_client(tls=trusting) as http:
        for _ in range(3):
            assert (await http.request(post(server))).status == 200
        assert [len(requests) for requests in server.asked] == [3]


async def test_a_certificate_for_another_name_is_refused() -> None:
    """It is not enough that somebody is trusted: it has to be the one who was called."""
    authority, server_side = trustme.CA(), ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    authority.issue_cert("other.test").configure_cert(server_side)
    trusting = ssl.create_default_context()
    authority.configure_trust(trusting)
    async with serving(KEEPING, tls=server_side) as server, http_client(tls=trusting) as http:
        with pytest.raises(ChannelError) as raised:
            await http.request(post(server))
    assert (raised.value.reason, raised.value.left, raised.value.useless) == (Reason.TLS, False, True)


async def test_requests_at_once_have_connections_of_their_own() -> None:
    """Nobody waits for another's answer."""
    met = asyncio.Barrier(5)

    async def together(_reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await met.wait()
        writer.write(KEEPING)

    async with serving(together) as server, http_client() as http:
        await asyncio.gather(*(http.request(post(server)) for _ in range(5)))
        assert [len(requests) for requests in server.asked] == [1] * 5


async def test_a_provider_that_hung_up_in_between_costs_no_doubt() -> None:
    """A kept connection that was closed meanwhile is not written to, even where the loop has not heard of it yet."""
    closing = asyncio.Event()

    async def then_close(_reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(KEEPING)
        await closing.wait()
        writer.close()
        await writer.wait_closed()
        raise ConnectionError

    async with serving(then_close, KEEPING) as server, http_client() as http:
        await http.request(post(server))
        closing.set()
        await server.until(lambda: server.ended == 1)
        assert (await http.request(post(server))).status == 200
        assert [len(requests) for requests in server.asked] == [1, 1]


async def test_a_provider_that_hangs_up_on_the_request_leaves_a_doubt() -> None:
    """Once the head is written to a kept connection nobody knows whether it was taken, and it is not sent again."""

    async def hang_up(_reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.close()
        raise ConnectionError

    async with serving(KEEPING, hang_up, KEEPING) as server, http_client() as http:
        await http.request(post(server))
        with departing() as departure, pytest.raises(ChannelError) as raised:
            await http.request(post(server))
        assert departure.left
        assert raised.value.outcome.result is Result.IN_DOUBT
        assert [len(requests) for requests in server.asked] == [2]


async def test_what_stands_behind_an_answer_is_never_the_next_one() -> None:
    """A second answer, sent with the first, is not taken for that of the next request."""
    async with serving(KEEPING + FORGED, KEEPING) as server, http_client() as http:
        for _ in range(2):
            assert (await http.request(post(server))).body == b"{}"
        assert [len(requests) for requests in server.asked] == [1, 1]


async def test_what_comes_after_an_answer_is_never_the_next_one() -> None:
    """A second answer that comes while nobody has asked ends its connection."""
    answered = asyncio.Event()

    async def forge(_reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(KEEPING)
        await answered.wait()
        writer.write(FORGED)

    async with serving(forge, KEEPING) as server, http_client() as http:
        await http.request(post(server))
        answered.set()
        await server.until(lambda: server.ended == 1)
        assert (await http.request(post(server))).body == b"{}"
        assert [len(requests) for requests in server.asked] == [1, 1]


def test_what_has_come_unread_is_never_the_next_one() -> None:
    """A second answer that lies in the socket while the loop was busy elsewhere ends its connection as well."""

    def forge(listening: socket.socket) -> None:
        with listening.accept()[0] as first:
            first.recv(65_536)
            first.sendall(KEEPING)
            answered.wait()
            first.sendall(FORGED)
            forged.set()
            with listening.accept()[0] as second:
                second.recv(65_536)
                second.sendall(KEEPING)

    async def ask() -> None:
        async with http_client() as http:
            request = Request("POST", f"http://127.0.0.1:{listening.getsockname()[1]}")
            await http.request(request)
            answered.set()
            forged.wait()  # on the loop's own thread: it reads nothing meanwhile
            assert (await http.request(request)).body == b"{}"

    answered, forged = threading.Event(), threading.Event()
    with socket.create_server(("127.0.0.1", 0)) as listening:
        listening.settimeout(10)
        forging = threading.Thread(target=forge, args=(listening,))
        forging.start()
        asyncio.run(ask())
        forging.join()


async def test_who_gives_up_takes_the_connection_along() -> None:
    """An answer that nobody waits for any more does not become somebody else's."""

    async def never(_reader: asyncio.StreamReader, _writer: asyncio.StreamWriter) -> None:
        return

    async with serving(KEEPING, never, KEEPING) as server, http_client() as http:
        await http.request(post(server))
        waiting = asyncio.create_task(http.request(post(server)))
        await server.until(lambda: len(server.asked[0]) == 2)
        waiting.cancel()
        await server.until(lambda: server.ended == 1)
        assert (await http.request(post(server))).status == 200
        assert [len(requests) for requests in server.asked] == [2, 1]


async def test_a_fence_leaves_the_connection_as_it_was() -> None:
    """What was stopped before its first byte has not touched the connection, which takes the next request."""

    def fenced() -> None:
        raise Fenced("an end came first")

    async with serving(KEEPING) as server, http_client() as http:
        await http.request(post(server))
        with departing(fenced), pytest.raises(Fenced):
            await http.request(post(server))
        await http.request(post(server))
        assert [len(requests) for requests in server.asked] == [2]


async def test_an_answer_that_comes_before_the_request_has_left_is_the_connections_last() -> None:
    """A refusal may come while the body is still leaving; it counts, and the rest of the body goes nowhere."""

    async def refuse(_reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(reply(413, b"", {"Connection": "keep-alive"}))
        await asyncio.Event().wait()

    async with serving(refuse, KEEPING) as server, http_client() as http:
        assert (await http.request(Request("POST", server.url, body=b"x" * 32 * 1024 * 1024))).status == 413
        assert (await http.request(post(server))).status == 200
        assert len(server.asked) == 2


class Two(aiohttp.abc.AbstractResolver):
    """A name with two addresses, of which one does not answer."""

    async def resolve(self, host: str, port: int = 0, family: socket.AddressFamily = socket.AF_INET) -> list:
        """The bad one first."""
        return [
            {"hostname": host, "host": address, "port": port, "family": socket.AF_INET, "proto": 0, "flags": 0}
            for address in ("127.0.0.2", "127.0.0.1")
        ]

    async def close(self) -> None:
        """Nothing is open."""


async def test_another_address_is_tried() -> None:
    """A name with two addresses is reached where one of them answers."""
    async with serving(KEEPING) as server, http_client(resolver=Two()) as http:
        url = server.url.replace("127.0.0.1", "two.test")
        assert (await http.request(Request("POST", url))).status == 200


async def test_an_address_of_the_new_kind_is_called() -> None:
    """An IPv6 address stands in brackets, in the URL and in the request."""
    async with serving(KEEPING, host="::1") as server, http_client() as http:
        assert (await http.request(post(server))).status == 200
        assert f"Host: {server.url.removeprefix('http://')}\r\n".encode() in server.asked[0][0]


async def test_a_connection_does_not_wait_for_ever() -> None:
    """What nobody uses is closed from here, before whatever lies in between forgets it."""
    async with serving(KEEPING) as server:
        names = Names()
        connections = Connections(names, ssl.create_default_context(), total=5, connect=5, rest=0)
        place = Place("http", "127.0.0.1", int(server.url.rpartition(":")[2]))
        await connections.exchange(place, request_bytes("GET", "a.test", "/", {}, b""), AnswerReader("GET"))
        await server.until(lambda: server.ended == 1)
        connections.close()
        await names.close()


async def test_nothing_is_open_afterwards() -> None:
    """With the client its connections end."""
    async with serving(KEEPING) as server:
        async with http_client() as http:
            await http.request(post(server))
        await server.until(lambda: server.ended == 1)


SCENARIOS = [
    made for made in list(globals().values()) if inspect.iscoroutinefunction(made) and made.__name__.startswith("test_")
]


@pytest.mark.parametrize("scenario", SCENARIOS, ids=lambda made: made.__name__)
def test_the_daemons_own_loop_does_the_same(scenario: Callable[[], Coroutine[Any, Any, None]]) -> None:
    """All of this holds on uvloop, on which the daemon runs where it can, and on asyncio's own loop."""
    uvloop.run(scenario())
