"""The wall's siren: what it shows, and how it misbehaves."""

from __future__ import annotations

import socket
from collections.abc import AsyncIterator
from typing import Any

import pytest
import pytest_asyncio
from contract.kit import channel, post
from contract.kits.mqtt import mqtt

from dispatcher.channels.base import Channel
from dispatcher.channels.http import http_client
from dispatcher.model.delivery import Outcome, Reason, Result
from dispatcher.wall.app import Wall, running_wall
from dispatcher.wall.faults import Fault
from dispatcher.wall.siren import broker_at

IN_DOUBT, TEMPORARY, PERMANENT = Result.IN_DOUBT, Result.TEMPORARY, Result.PERMANENT
TOPIC = "sirens/leer/orders"


@pytest_asyncio.fixture
async def wall() -> AsyncIterator[Wall]:
    """A running wall."""
    async with running_wall() as running:
        yield running


@pytest_asyncio.fixture
async def ordering(wall: Wall) -> AsyncIterator[Channel]:
    """A channel whose siren is the wall's."""
    settings = mqtt(broker_at(wall.url).removeprefix("mqtt:"), "mqtt")
    async with http_client() as http, channel("mqtt", settings, http) as opened:
        yield opened


@pytest.mark.parametrize(
    ("fault", "result", "reason", "shown"),
    [
        ({"kind": "status", "status": 503}, TEMPORARY, Reason.RATE_LIMITED, 0),
        ({"kind": "status", "status": 403}, PERMANENT, Reason.AUTH, 0),
        ({"kind": "status", "status": 400}, PERMANENT, Reason.REJECTED, 0),
        ({"kind": "html"}, IN_DOUBT, Reason.TIMEOUT, 0),
        ({"kind": "hang"}, IN_DOUBT, Reason.TIMEOUT, 0),
        ({"kind": "reset_before"}, IN_DOUBT, Reason.NETWORK, 0),
        ({"kind": "reset_after"}, IN_DOUBT, Reason.NETWORK, 1),
        ({"kind": "half"}, IN_DOUBT, Reason.NETWORK, 1),
        ({"kind": "drip"}, IN_DOUBT, Reason.TIMEOUT, 1),
        ({"kind": "oversized"}, IN_DOUBT, Reason.NETWORK, 1),
        ({"kind": "slow", "delay": 0.01}, Result.ACCEPTED, None, 1),
    ],
)
async def test_every_fault_has_its_like_in_orders(
    wall: Wall, ordering: Channel, fault: dict[str, Any], result: Result, reason: Reason | None, shown: int
) -> None:
    """What a web service can do wrong a siren can do as well, and the wall knows whether it howled, which it does once."""
    wall.faults.set(TOPIC, Fault(**fault))
    outcome = await ordering.send(post())
    assert isinstance(outcome, Outcome)
    assert (outcome.result, outcome.reason, len(wall.board)) == (result, reason, shown)
    wall.faults.clear(TOPIC)
    assert (await ordering.send(post())).result is Result.ACCEPTED
    assert [(one.account, one.service, one.repeats) for one in wall.board] == [(TOPIC, "mqtt", shown)]


async def test_orders_are_taken_two_ports_higher() -> None:
    """Whoever knows the wall's address knows where its broker is; a port that is taken is said."""
    assert broker_at("http://127.0.0.1:8081") == "mqtt://127.0.0.1:8083"
    while True:
        with socket.create_server(("127.0.0.1", 0)) as taken:
            port = taken.getsockname()[1] - 2
            try:
                for lower in (port, port + 1):
                    socket.create_server(("127.0.0.1", lower)).close()
            except OSError:
                continue
            with pytest.raises(OSError, match="for orders over MQTT, is taken"):
                async with running_wall(port=port):
                    pass
        return
