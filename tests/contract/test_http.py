"""The one way out over HTTP: its fence, its caps, its names for what goes wrong."""

from __future__ import annotations

import asyncio
import ssl
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime

import pytest
import trustme
from contract.kit import CANARY
from contract.provider import provider, reply, says, sends
from hypothesis import given
from hypothesis import strategies as st

from dispatcher.channels.departure import departing, leave
from dispatcher.channels.http import (
    MAX_ANSWER,
    ChannelError,
    HttpClient,
    Request,
    http_client,
    read_retry_after,
)
from dispatcher.model.delivery import Reason, Result
from dispatcher.model.errors import Fenced

NOW = datetime(2026, 11, 20, 12, tzinfo=UTC)
DAY = timedelta(days=1)


@pytest.fixture(params=HttpClient)
def client(request: pytest.FixtureRequest) -> HttpClient:
    """Whoever may stand behind the port."""
    return request.param


def _raise_fenced() -> None:
    raise Fenced("an end came first")


async def test_a_fence_stops_the_first_byte(client: HttpClient) -> None:
    """What the fence catches never left: the provider was connected to and saw no request."""
    async with provider(says(200, {})) as heard, http_client(client) as http:
        with departing(_raise_fenced) as departure, pytest.raises(Fenced):
            await http.request(Request("POST", heard.url, body=b"text"))
        assert not departure.left
        await asyncio.sleep(0.02)
        assert heard.requests == []


async def test_a_fence_stops_the_second_request_too(client: HttpClient) -> None:
    """A verb of two requests is stopped between them, and it is known that the first one left."""
    fences = iter([lambda: None, _raise_fenced])

    def check() -> None:
        next(fences)()

    async with provider(says(200, {})) as heard, http_client(client) as http:
        with departing(check) as departure:
            await http.request(Request("GET", heard.url))
            with pytest.raises(Fenced):
                await http.request(Request("GET", heard.url))
        assert departure.left
        assert len(heard.requests) == 1


def test_an_inner_watch_asks_the_outer_one() -> None:
    """A watch without a check of its own obeys the fence around it and tells it of the departure."""
    with departing() as outer:
        with departing() as inner:
            leave()
        assert inner.left
        assert outer.left
    with departing(_raise_fenced), departing() as inner, pytest.raises(Fenced):
        leave()
    assert not inner.left


async def test_tasks_keep_their_departures_apart() -> None:
    """Two attempts at once do not mark each other as gone."""

    async def attempt(*, leaves: bool) -> bool:
        with departing() as departure:
            await asyncio.sleep(0)
            if leaves:
                leave()
            await asyncio.sleep(0)
            return departure.left

    assert await asyncio.gather(attempt(leaves=True), attempt(leaves=False)) == [True, False]


async def test_the_largest_answer_is_read_and_one_byte_more_is_not(client: HttpClient) -> None:
    """An answer of exactly the cap arrives whole; beyond it the request is in doubt, not in memory."""
    async with http_client(client) as http:
        async with provider(sends(reply(200, b"x" * MAX_ANSWER))) as heard:
            assert len((await http.request(Request("GET", heard.url))).body) == MAX_ANSWER
        async with provider(sends(reply(200, b"x" * (MAX_ANSWER + 1)))) as heard:
            with pytest.raises(ChannelError) as raised:
                await http.request(Request("GET", heard.url))
    assert raised.value.outcome.result is Result.IN_DOUBT


async def test_a_trusted_certificate_is_accepted(client: HttpClient) -> None:
    """The refusal of strangers' certificates is about trust, not about TLS."""
    authority, server = trustme.CA(), ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    authority.issue_cert("127.0.0.1").configure_cert(server)
    trusting = ssl.create_default_context()
    authority.configure_trust(trusting)
    async with provider(says(200, {}), server) as heard, http_client(client, tls=trusting) as http:
        assert (await http.request(Request("GET", heard.url))).status == 200


@pytest.mark.parametrize(
    ("url", "headers"),
    [
        ("no address", {}),
        ("ftp://127.0.0.1/", {}),
        ("http://127.0.0.1:99999/", {}),
        ("http://127.0.0.1:1/", {"X-Api-Key": f"{CANARY}\r\nX: 1"}),
    ],
)
async def test_nonsense_is_useless_and_says_nothing_secret(
    client: HttpClient, url: str, headers: dict[str, str]
) -> None:
    """What can never be called is permanent, never left, and its error does not repeat what it was given."""
    async with http_client(client) as http:
        with pytest.raises(ChannelError) as raised:
            await http.request(Request("POST", url, headers, b"{}"))
    assert (raised.value.outcome.result, raised.value.outcome.reason) == (Result.PERMANENT, Reason.INTERNAL)
    assert CANARY not in f"{raised.value!r}"


@given(st.integers(min_value=0))
def test_seconds_are_read_up_to_a_day(seconds: int) -> None:
    """Any number of seconds is taken as it is, or as a day."""
    assert read_retry_after(str(seconds), NOW) == min(timedelta(seconds=min(seconds, 86_400)), DAY)


@given(
    st.datetimes(min_value=datetime(1000, 1, 1), timezones=st.just(UTC))  # noqa: DTZ001 - hypothesis wants it naive
)
def test_dates_are_read_between_now_and_a_day(moment: datetime) -> None:
    """Any HTTP date is a wait that is neither negative nor longer than a day."""
    wait = read_retry_after(format_datetime(moment, usegmt=True), NOW)
    assert wait == min(max(moment.replace(microsecond=0) - NOW, timedelta(0)), DAY)


@pytest.mark.parametrize(
    "date",
    [
        "Sun, 06 Nov 1994 08:49:37 GMT", "Sunday, 06-Nov-94 08:49:37 GMT", "Sun Nov  6 08:49:37 1994",
        "Sun, 06 Nov 1994 08:49:37 -0000",
    ],
)  # fmt: skip
def test_a_date_is_read_in_each_of_its_forms(date: str) -> None:
    """All three forms that a recipient has to accept (RFC 9110, 5.6.7) are one moment, and so is UTC without a zone."""
    assert read_retry_after(date, datetime(1994, 11, 6, 8, 49, 7, tzinfo=UTC)) == timedelta(seconds=30)


@given(st.text())
def test_garbage_never_raises(text: str) -> None:
    """Whatever stands in the header, it is a wait within reason or none."""
    wait = read_retry_after(text, NOW)
    assert wait is None or timedelta(0) <= wait <= DAY
