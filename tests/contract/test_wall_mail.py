"""The wall's mail server: what it shows, and how it misbehaves."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import AsyncIterator
from typing import Any

import pytest
import pytest_asyncio
from contract.kit import CANARY, channel, post
from contract.kits.email import email

from dispatcher.channels.base import Channel
from dispatcher.channels.http import http_client
from dispatcher.model.delivery import Outcome, Reason, Result
from dispatcher.wall.app import Wall, running_wall
from dispatcher.wall.faults import Fault
from dispatcher.wall.mail import mail_at

IN_DOUBT, TEMPORARY, PERMANENT = Result.IN_DOUBT, Result.TEMPORARY, Result.PERMANENT


@pytest_asyncio.fixture
async def wall() -> AsyncIterator[Wall]:
    """A running wall."""
    async with running_wall() as running:
        yield running


@pytest_asyncio.fixture
async def mailing(wall: Wall) -> AsyncIterator[Channel]:
    """A list whose relay is the wall."""
    async with (
        http_client() as http,
        channel("email", email(f"//{mail_at(wall.url)}", tls="none", recipients=["a@x.example"]), http) as opened,
    ):
        yield opened


@pytest.mark.parametrize(
    ("fault", "result", "reason", "shown"),
    [
        ({"kind": "status", "status": 503}, TEMPORARY, Reason.SERVER_ERROR, 0),
        ({"kind": "status", "status": 400}, PERMANENT, Reason.REJECTED, 0),
        ({"kind": "html"}, IN_DOUBT, Reason.NETWORK, 0),
        ({"kind": "hang"}, IN_DOUBT, Reason.TIMEOUT, 0),
        ({"kind": "reset_before"}, IN_DOUBT, Reason.NETWORK, 0),
        ({"kind": "reset_after"}, IN_DOUBT, Reason.NETWORK, 1),
        ({"kind": "half"}, IN_DOUBT, Reason.NETWORK, 1),
        ({"kind": "drip"}, IN_DOUBT, Reason.TIMEOUT, 1),
        ({"kind": "oversized"}, IN_DOUBT, Reason.NETWORK, 1),
        ({"kind": "slow", "delay": 0.01}, Result.ACCEPTED, None, 1),
    ],
)
async def test_every_fault_has_its_like_in_mail(
    wall: Wall, mailing: Channel, fault: dict[str, Any], result: Result, reason: Reason | None, shown: int
) -> None:
    """What a web service can do wrong a mail server can do as well, and the wall knows whether the letter arrived."""
    wall.faults.set(CANARY, Fault(**fault))
    outcome = await mailing.send(post())
    assert isinstance(outcome, Outcome)
    assert (outcome.result, outcome.reason, len(wall.board)) == (result, reason, shown)
    wall.faults.clear(CANARY)
    assert (await mailing.send(post())).result is Result.ACCEPTED
    assert len(wall.board) == 1


async def _talk(wall: Wall, *lines: str) -> list[str]:
    """What the server answers to each line, its greeting first."""
    host, _, port = mail_at(wall.url).partition(":")
    reader, writer = await asyncio.open_connection(host, int(port))
    answers = [(await reader.readline()).decode()]
    for line in lines:
        writer.write(line.encode() + b"\r\n")
        answers.append((await reader.readline()).decode())
    writer.close()
    return [answer[:3] for answer in answers]


async def test_commands_have_their_order(wall: Wall) -> None:
    """A letter needs a sender and a recipient, a login needs a password, and what is unknown is said to be."""
    said = ["RCPT TO:<a@x.example>", "DATA", "AUTH PLAIN", "AUTH PLAIN AGEAYg==", "AUTH PLAIN AGEA", "VRFY a", "QUIT"]
    assert await _talk(wall, *said) == ["220", "503", "503", "501", "235", "535", "502", "221"]
    assert await _talk(wall, "MAIL FROM:<a@x.example>", "RCPT TO:<b@x.example>", "NOOP") == ["220", "250", "250", "250"]
    assert len(wall.board) == 0


async def test_mail_is_taken_one_port_higher() -> None:
    """Whoever knows the wall's address knows where its mail goes; a port that is taken is said."""
    assert mail_at("http://127.0.0.1:8081") == "127.0.0.1:8082"
    while True:
        with socket.create_server(("127.0.0.1", 0)) as taken:
            port = taken.getsockname()[1] - 1
            try:
                socket.create_server(("127.0.0.1", port)).close()
            except OSError:
                continue
            with pytest.raises(OSError, match="for mail, is taken"):
                async with running_wall(port=port):
                    pass
        return
