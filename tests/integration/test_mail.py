"""Letters to a real mail server, encrypted by STARTTLS: what arrives, from which relay, and what never leaves."""

from __future__ import annotations

import asyncio
import socket
import ssl
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field, replace
from email import message_from_bytes, policy
from email.message import EmailMessage
from pathlib import Path
from typing import Any

import pytest
import trustme
from aiosmtpd.smtp import SMTP, AuthResult, Envelope, LoginPassword, Session
from contract.kit import CANARY, TOKEN_VARIABLE, channel, post
from contract.kits.email import email
from contract.relay import authority, certified, relay

from dispatcher.channels.departure import departing
from dispatcher.channels.email import Settings, write
from dispatcher.channels.http import http_client
from dispatcher.model.delivery import Outcome, Reason, Result
from dispatcher.model.errors import Fenced

PEOPLE = [f"p{number}@stadt.example" for number in range(250)]
BODY = "Polizeieinsatz in Leer – bitte meiden!\n.\n.Zweite Zeile.\n\nالشرطة: ابتعدوا.\nSpreadsheet " + "x" * 1200


@pytest.fixture(autouse=True)
def _secret(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(TOKEN_VARIABLE, CANARY)


@dataclass
class Server:
    """A mail server that answers RCPT and the end of a letter as it is told, by recipient and in turn."""

    url: str = ""
    rcpt: Callable[[str], str] = lambda _who: "250 OK"
    ends: list[str] = field(default_factory=list)
    envelopes: list[Envelope] = field(default_factory=list)
    logins: list[tuple[str, str]] = field(default_factory=list)

    async def handle_RCPT(  # noqa: N802 - the library's name
        self, _server: SMTP, session: Session, envelope: Envelope, address: str, _options: list[str]
    ) -> str:
        """Take or refuse one recipient; nobody is taken without a login, which the server takes encrypted only."""
        if not session.authenticated:
            return "530 5.7.0 log in first"
        answer = self.rcpt(address)
        if answer.startswith("250"):
            envelope.rcpt_tos.append(address)
        return answer

    async def handle_DATA(self, _server: SMTP, _session: Session, envelope: Envelope) -> str:  # noqa: N802
        """Take the letter, unless it is told otherwise."""
        answer = self.ends.pop(0) if self.ends else "250 2.0.0 queued"
        if answer.startswith("250"):
            self.envelopes.append(envelope)
        return answer

    def log_in(self, _server: SMTP, _session: Session, _envelope: Envelope, _mechanism: str, login: Any) -> AuthResult:
        """One user, one password."""
        assert isinstance(login, LoginPassword)
        self.logins.append((login.login.decode(), login.password.decode()))
        return AuthResult(success=login.password == CANARY.encode(), handled=False)

    @property
    def letters(self) -> list[EmailMessage]:
        """What was taken, as mail programs read it."""
        return [message_from_bytes(envelope.content, policy=policy.default) for envelope in self.envelopes]

    @property
    def reached(self) -> list[str]:
        """Everyone who was sent a letter, as often as they were."""
        return sorted(who for envelope in self.envelopes for who in envelope.rcpt_tos)


@asynccontextmanager
async def _server(
    context: ssl.SSLContext | None = None, outer: ssl.SSLContext | None = None, **told: Any
) -> AsyncIterator[Server]:
    server, loop = Server(**told), asyncio.get_running_loop()
    inner = None if outer else context or certified()
    sessions: list[SMTP] = []

    def session() -> SMTP:
        sessions.append(
            SMTP(server, tls_context=inner, require_starttls=outer is None, authenticator=server.log_in, hostname="relay",
                 auth_require_tls=outer is None, loop=loop)
        )  # fmt: skip
        return sessions[-1]

    listening = await loop.create_server(session, "127.0.0.1", 0, ssl=outer)
    server.url = f"//127.0.0.1:{listening.sockets[0].getsockname()[1]}"
    try:
        yield server
    finally:
        listening.close()
        for one in sessions:
            if one.transport is not None:
                one.transport.abort()
        await listening.wait_closed()


async def _send(*bases: str, verb: str = "send", text: str = BODY, **more: Any) -> Outcome:
    async with http_client() as http, channel("email", {**email(*bases), "ready_seconds": 5, **more}, http) as opened:
        return await getattr(opened, verb)(*([] if verb == "probe" else [post(text)]))


def _closed_port() -> str:
    with socket.socket() as bound:
        bound.bind(("127.0.0.1", 0))
        return f"//127.0.0.1:{bound.getsockname()[1]}"


async def test_a_letter_arrives_as_it_was_written() -> None:
    """Every word in every script arrives, encrypted and logged in, from us, to nobody in sight, answered by no machine."""
    async with _server() as server:
        outcome = await _send(server.url, recipients=PEOPLE[:2], bounces="bounces@polizei.example")
    [letter], [envelope] = server.letters, server.envelopes
    assert letter.get_body().get_content().replace("\r\n", "\n").strip() == BODY
    assert (letter["Subject"], letter["To"]) == ("Polizeieinsatz in Leer", "undisclosed-recipients:;")
    assert letter["From"] == "Polizei Osnabrück <leitstelle@polizei.example>"
    assert (letter["Auto-Submitted"], letter["Content-Language"]) == ("auto-generated", "de, en")
    assert letter["Importance"] == "high"
    assert outcome.result is Result.ACCEPTED
    assert outcome.provider_id == letter["Message-ID"] == f"<{post().key}@polizei.example>"
    assert (envelope.mail_from, envelope.rcpt_tos) == ("bounces@polizei.example", PEOPLE[:2])
    assert server.logins == [("leitstelle", CANARY)]
    assert not any(who.encode() in envelope.content for who in PEOPLE[:2])


async def test_every_attempt_is_the_same_letter() -> None:
    """After a doubt the very same bytes go out again, so that mailboxes can drop the copy."""
    async with _server(ends=["451 4.3.0 try again"]) as server:
        settings, said = {**email(server.url), "ready_seconds": 5}, post(BODY)
        outcomes = []
        async with http_client() as http:
            for _ in range(2):  # the second is another process, which remembers nothing
                async with channel("email", settings, http) as opened:
                    outcomes += [await opened.send(said), await opened.send(said)]
    assert [outcome.result for outcome in outcomes] == [Result.TEMPORARY, *[Result.ACCEPTED] * 3]
    assert len({envelope.content for envelope in server.envelopes}) == 1
    assert len(server.envelopes) == 2


@pytest.mark.parametrize("first", ["dead", "451 4.3.0 try again", "554 5.7.1 no", "greylisted"])
async def test_the_second_relay_takes_what_the_first_does_not(first: str) -> None:
    """A relay that is dead or refuses costs a moment, not the letter."""
    refusing = {"greylisted": {"rcpt": lambda _who: "450 4.2.0 later"}}.get(first, {"ends": [first]})
    async with _server(**refusing) as one, _server() as two:
        outcome = await _send(_closed_port() if first == "dead" else one.url, two.url)
    assert outcome.result is Result.ACCEPTED
    assert (len(one.envelopes), len(two.envelopes)) == (0, 1)


async def test_the_second_relay_waits_where_the_first_will_do() -> None:
    """As long as the first relay takes letters, the second is not asked."""
    async with _server() as one, _server() as two:
        await _send(one.url, two.url)
    assert (len(one.envelopes), two.logins) == (1, [])


async def test_a_doubt_is_not_handed_to_the_second_relay() -> None:
    """What the first relay may have taken is settled by the channel's policy, and not sent twice at once."""
    async with relay({".": b"<!doctype html>"}) as one, _server() as two:
        outcome = await _send(one.url, two.url)
    assert (outcome.result, len(one.requests), two.logins) == (Result.IN_DOUBT, 1, [])


async def test_both_relays_down_leaves_hope() -> None:
    """Where any relay may yet take it, the letter is tried again; a login that is refused everywhere is for a person."""
    async with _server() as one:
        outcome = await _send(_closed_port(), one.url, username="leitstelle", credential={"token_env": "HOME"})
        assert (outcome.result, outcome.reason) == (Result.TEMPORARY, Reason.NETWORK)
        outcome = await _send(one.url, one.url, credential={"token_env": "HOME"})
        assert (outcome.result, outcome.reason) == (Result.PERMANENT, Reason.AUTH)


async def test_a_long_list_goes_in_envelopes_of_a_hundred() -> None:
    """Everyone gets one letter, and no envelope holds more people than every relay takes."""
    async with _server() as server:
        outcome = await _send(server.url, recipients=PEOPLE)
    assert sorted(len(envelope.rcpt_tos) for envelope in server.envelopes) == [50, 100, 100]
    assert server.reached == sorted(PEOPLE)
    assert (outcome.result, outcome.detail) == (Result.ACCEPTED, "250 of 250 accepted")


async def test_single_refusals_do_not_stop_the_others() -> None:
    """Unknown people are counted and not named; people who are greylisted are sent it alone, the next time."""
    turns = iter(["450 4.2.0 later"])

    def rcpt(who: str) -> str:
        if who == PEOPLE[3]:
            return f"550 5.1.1 <{who}> unknown"
        return next(turns, "250 OK") if who == PEOPLE[7] else "250 OK"

    async with _server(rcpt=rcpt) as server, http_client() as http:
        settings = {**email(server.url), "ready_seconds": 5, "recipients": PEOPLE[:10]}
        async with channel("email", settings, http) as opened:
            first = await opened.send(post(BODY))
            assert first.result is Result.IN_DOUBT
            assert first.detail.startswith("8 of 10 accepted, 1 of 10 refused, 1 of 10 to be tried again")
            second = await opened.send(post(BODY))
    assert (second.result, second.detail) == (
        Result.ACCEPTED, "9 of 10 accepted, 1 of 10 refused: 127.0.0.1: 550 5.1.1 <…> unknown",
    )  # fmt: skip
    assert [len(envelope.rcpt_tos) for envelope in server.envelopes] == [8, 1]
    assert server.envelopes[1].rcpt_tos == [PEOPLE[7]]


async def test_the_fence_stops_a_letter_before_its_end() -> None:
    """A stop while the letter is being written leaves nothing in any mailbox, and it is known that nothing left."""

    def stop() -> None:
        raise Fenced("an end came first")

    async with _server() as server:
        with departing(stop) as departure, pytest.raises(Fenced):
            await _send(server.url)
    assert not departure.left
    assert server.logins
    assert server.envelopes == []


async def test_nothing_is_said_in_the_open() -> None:
    """A relay whose certificate nobody vouches for learns neither password nor letter."""
    stranger = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    trustme.CA().issue_cert("127.0.0.1").configure_cert(stranger)
    async with _server(stranger) as server:
        outcome = await _send(server.url)
        assert (outcome.result, outcome.reason) == (Result.PERMANENT, Reason.TLS)
        assert (await _send(server.url, verb="probe")).reason is Reason.TLS
    assert (server.logins, server.envelopes) == ([], [])


async def test_tls_from_the_first_byte() -> None:
    """A relay on port 465 is spoken to encrypted from the start."""
    async with _server(outer=certified()) as server:
        outcome = await _send(server.url, tls="implicit")
    assert outcome.result is Result.ACCEPTED
    assert server.logins == [("leitstelle", CANARY)]


async def test_a_probe_writes_no_letter() -> None:
    """One relay that lets us in is enough to be ready, and what is wrong with the other is told."""
    async with _server() as server:
        ready = await _send(_closed_port(), server.url, verb="probe")
        assert (ready.result, "127.0.0.1: " in ready.detail) == (Result.READY, True)
        dead = await _send(_closed_port(), verb="probe")
        assert (dead.result, dead.reason) == (Result.TEMPORARY, Reason.NETWORK)
        locked = await _send(server.url, verb="probe", credential={"token_env": "HOME"})
        assert (locked.result, locked.reason) == (Result.PERMANENT, Reason.AUTH)
    assert server.envelopes == []


def test_a_headline_cannot_add_headers() -> None:
    """Line ends in a headline become spaces; nobody is added to the letter by its text."""
    said = post(BODY)
    evil = replace(said, text=replace(said.text, headline="Alarm\r\nBcc: all@stadt.example\n\nx"))
    letter = message_from_bytes(write(Settings(**email("//relay.example")), evil).content, policy=policy.default)
    assert (letter["Subject"], letter["Bcc"]) == ("Alarm Bcc: all@stadt.example x", None)


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"tls": "none"}, "only for a relay on this machine"),
        ({"username": ""}, "belong together"),
        ({"credential": None}, "belong together"),
        ({"relays": ["relay.example:99999"]}, "at most 65535"),
        ({"relays": ["a.example", "b.example", "c.example"]}, "at most 2"),
        ({"relays": ["smtp://relay.example"]}, "pattern"),
        ({"recipients": ["Anna <anna@leer.example>"]}, "pattern"),
        ({"sender_name": "a\nBcc: b"}, "pattern"),
    ],
)
def test_settings_that_cannot_work_are_refused(changes: dict[str, Any], said: str) -> None:
    """No password and no letter in the open, no half a login, no address that is none."""
    with pytest.raises(ValueError, match=said):
        Settings(**{**email("//relay.example"), **changes})


def test_relays_have_the_ports_of_their_kind() -> None:
    """587 for STARTTLS, 465 for TLS, 25 on this machine, unless they are said; one relay needs no list."""
    settings = Settings(**{**email(), "relays": "[::1]"})
    assert settings.places == [("::1", 587)]
    assert settings.origin == "smtp://[::1]"
    assert settings.model_copy(update={"tls": "implicit"}).relays == ("[::1]",)
    both = Settings(**{**email(), "relays": ["localhost:2525", "127.0.0.1"], "tls": "none"})
    assert both.places == [("localhost", 2525), ("127.0.0.1", 25)]


def test_an_authority_of_ones_own_is_a_file(tmp_path: Path) -> None:
    """The tests' own authority is trusted because a file says so."""
    assert authority()[1].read_bytes().startswith(b"-----BEGIN CERTIFICATE-----")
    assert Settings(**email("//relay.example")).ca_file == authority()[1]
