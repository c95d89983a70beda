"""Push over Firebase: who we are, what leaves, what Google's errors mean."""

from __future__ import annotations

import asyncio
import json
from base64 import urlsafe_b64decode
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from datetime import timedelta
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs

import jsonschema
import pytest
from contract.descriptions import fcm_schema
from contract.kit import CODE, channel, post, service_account
from contract.kits.fcm import GRANTED, KIT, fcm
from contract.provider import Behave, Provider, in_turn, provider, reply, says
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.asymmetric.padding import PKCS1v15
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat

from dispatcher.channels._google import Account
from dispatcher.channels.base import Channel
from dispatcher.channels.fcm import Settings, traits
from dispatcher.channels.http import http_client
from dispatcher.model.channel import Power
from dispatcher.model.delivery import Outcome, Reason, Result
from dispatcher.telemetry import redact

PERMANENT, TEMPORARY, IN_DOUBT, ACCEPTED = Result.PERMANENT, Result.TEMPORARY, Result.IN_DOUBT, Result.ACCEPTED
GRANT, TAKEN = says(200, GRANTED), says(200, KIT.good)
DENIED = says(401, {"error": {"code": 401, "status": "UNAUTHENTICATED", "message": "invalid credentials"}})


@asynccontextmanager
async def speaking(behave: Behave, **more: Any) -> AsyncIterator[tuple[Channel, Provider]]:
    """A channel whose Google behaves so."""
    async with AsyncExitStack() as stack:
        heard = await stack.enter_async_context(provider(behave))
        http = await stack.enter_async_context(http_client(total=5))
        yield await stack.enter_async_context(channel("fcm", fcm(heard.url, **more), http)), heard


async def ask(*behaves: Behave, verb: str = "send") -> tuple[Outcome, Provider]:
    """What comes of one verb."""
    async with speaking(in_turn(*behaves)) as (opened, heard):
        return await getattr(opened, verb)(*([] if verb == "probe" else [post()])), heard


def decoded(part: str) -> Any:
    """A part of a signed claim, as bytes."""
    return urlsafe_b64decode(part + "=" * (-len(part) % 4))


async def test_the_claim_is_signed_by_the_account() -> None:
    """Google gets a claim of the account to send messages, for an hour, whose signature its public key confirms."""
    _, heard = await ask(GRANT, TAKEN)
    form = parse_qs(heard.requests[0].partition(b"\r\n\r\n")[2].decode())
    assert form["grant_type"] == ["urn:ietf:params:oauth:grant-type:jwt-bearer"]
    head, claims, signature = form["assertion"][0].split(".")
    assert json.loads(decoded(head)) == {"alg": "RS256", "typ": "JWT", "kid": "k1"}
    said = json.loads(decoded(claims))
    assert (said["iss"], said["aud"]) == ("dispatcher@leer-warnt.iam.gserviceaccount.example", f"{heard.url}/token")
    assert said["scope"] == "https://www.googleapis.com/auth/firebase.messaging"
    assert said["exp"] - said["iat"] == 3_600
    public = service_account()[0].public_key()
    public.verify(decoded(signature), f"{head}.{claims}".encode(), PKCS1v15(), SHA256())
    with pytest.raises(InvalidSignature):
        public.verify(decoded(signature), f"{head}.{claims}x".encode(), PKCS1v15(), SHA256())


def test_a_signature_is_what_it_was_yesterday() -> None:
    """The same account, claim and second give the same text: RS256 has no chance in it."""
    account = Account.read(service_account()[1])
    assert account.assertion("s", "a", 1_790_000_000) == account.assertion("s", "a", 1_790_000_000)
    assert account.assertion("s", "a", 1_790_000_000) != account.assertion("s", "a", 1_790_000_001)


async def test_a_token_is_kept() -> None:
    """One token serves many messages; it is sent as RFC 6750 has it."""
    async with speaking(in_turn(GRANT, TAKEN, TAKEN, TAKEN)) as (opened, heard):
        assert [(await opened.send(post(key=f"{n:032}"))).result for n in range(3)] == [ACCEPTED] * 3
        assert len(heard.requests) == 4
        assert f"Authorization: Bearer {GRANTED['access_token']}" in heard.head()


async def test_a_token_that_is_nearly_over_is_not_used() -> None:
    """A token with less than five minutes left serves one message, and the next one gets another; the old one is let go."""
    short = [says(200, {"access_token": f"ya29.short-{n}", "expires_in": 299}) for n in range(2)]
    async with speaking(in_turn(short[0], TAKEN, short[1], TAKEN)) as (opened, heard):
        assert [(await opened.send(post(key=f"{n:032}"))).result for n in range(2)] == [ACCEPTED] * 2
        assert "Bearer ya29.short-1" in heard.head()
        assert redact("ya29.short-0 ya29.short-1") == "ya29.short-0 ***"


async def test_a_token_that_was_revoked_is_replaced_once() -> None:
    """Where the kept token is refused nothing was sent, so a new one is asked for, and the message goes out."""
    other = says(200, {**GRANTED, "access_token": "ya29.other"})
    async with speaking(in_turn(GRANT, TAKEN, DENIED, other, TAKEN)) as (opened, heard):
        assert [(await opened.send(post(key=f"{n:032}"))).result for n in range(2)] == [ACCEPTED] * 2
        assert "Bearer ya29.other" in heard.head()
    outcome, heard = await ask(GRANT, DENIED)
    assert (outcome.result, outcome.reason, len(heard.requests)) == (PERMANENT, Reason.AUTH, 2)


async def test_many_at_once_ask_for_one_token() -> None:
    """Messages that start together share the token of the first who asks."""

    async def behave(request: bytes, writer: asyncio.StreamWriter) -> None:
        """Google."""
        said = GRANTED if request.startswith(b"POST /token ") else KIT.good
        writer.write(reply(200, json.dumps(said).encode()))
        await writer.drain()

    async with speaking(behave) as (opened, heard):
        outcomes = await asyncio.gather(*(opened.send(post(key=f"{n:032}")) for n in range(10)))
        assert {outcome.result for outcome in outcomes} == {ACCEPTED}
        assert sum(request.startswith(b"POST /token ") for request in heard.requests) == 1


@pytest.mark.parametrize(
    ("status", "said", "result", "reason"),
    [
        (400, {"error": "invalid_grant", "error_description": "Invalid JWT Signature."}, PERMANENT, Reason.AUTH),
        (401, {"error": "invalid_client"}, PERMANENT, Reason.AUTH),
        (429, {"error": "rate_limit_exceeded"}, TEMPORARY, Reason.RATE_LIMITED),
        (500, {}, TEMPORARY, Reason.SERVER_ERROR),
        (200, {"access_token": "", "expires_in": 3_599}, TEMPORARY, Reason.IN_DOUBT),
        (200, {"access_token": "x", "expires_in": "soon"}, TEMPORARY, Reason.IN_DOUBT),
    ],
)
async def test_without_a_token_nothing_is_sent(status: int, said: Any, result: Result, reason: Reason) -> None:
    """Whatever keeps Google from granting a token is no doubt about the message: it has not been sent."""
    outcome, heard = await ask(says(status, said))
    assert (outcome.result, outcome.reason, len(heard.requests)) == (result, reason, 1)


def fcm_error(status: int, code: str, message: str = "said", detail: bool = True) -> Behave:  # noqa: FBT002
    """An error as FCM writes it, its own code in the details."""
    details = [{"@type": "type.googleapis.com/google.rpc.BadRequest"}, {"errorCode": code}] if detail else "none"
    error = {"code": status, "message": message, "status": "NOT_FOUND" if detail else code, "details": details}
    return says(status, {"error": error})


@pytest.mark.parametrize(
    ("status", "code", "result", "reason"),
    [
        (400, "INVALID_ARGUMENT", PERMANENT, Reason.REJECTED),
        (401, "THIRD_PARTY_AUTH_ERROR", PERMANENT, Reason.AUTH),
        (403, "SENDER_ID_MISMATCH", PERMANENT, Reason.AUTH),
        (403, "PERMISSION_DENIED", PERMANENT, Reason.AUTH),
        (404, "UNREGISTERED", PERMANENT, Reason.REJECTED),
        (429, "QUOTA_EXCEEDED", TEMPORARY, Reason.RATE_LIMITED),
        (500, "INTERNAL", IN_DOUBT, Reason.SERVER_ERROR),
        (503, "UNAVAILABLE", TEMPORARY, Reason.SERVER_ERROR),
    ],
)
@pytest.mark.parametrize("detail", [True, False])
async def test_each_error_has_its_class(
    status: int, code: str, result: Result, reason: Reason, *, detail: bool
) -> None:
    """Every code of FCM's list lands in its class and is told, whether the details name it or only the status."""
    outcome, _ = await ask(GRANT, fcm_error(status, code, detail=detail))
    assert (outcome.result, outcome.reason) == (result, reason)
    assert outcome.detail.endswith(f"{code}: said")


async def test_a_message_that_is_too_big_is_said_to_be() -> None:
    """What another try cannot mend has a reason of its own."""
    outcome, _ = await ask(GRANT, fcm_error(400, "INVALID_ARGUMENT", "Android message is too big"))
    assert (outcome.result, outcome.reason) == (PERMANENT, Reason.TOO_LONG)


@pytest.mark.parametrize(("headers", "wait"), [({}, 60), ({"Retry-After": "7"}, 7)])
async def test_a_used_up_quota_is_left_alone(headers: dict[str, str], wait: int) -> None:
    """As long as Google says, or for a minute."""
    outcome, _ = await ask(GRANT, says(429, {"error": {"status": "RESOURCE_EXHAUSTED"}}, headers))
    assert outcome.retry_after == timedelta(seconds=wait)


@pytest.mark.parametrize("verb", ["send", "probe"])
async def test_what_leaves_is_as_published(verb: str) -> None:
    """A message and a probe have only fields that the published description knows, with the types that it gives them."""
    outcome, heard = await ask(GRANT, TAKEN, verb=verb)
    assert outcome.result in (ACCEPTED, Result.READY)
    jsonschema.validate(heard.body(), fcm_schema("SendMessageRequest"))
    with pytest.raises(jsonschema.ValidationError):
        jsonschema.validate({"message": {"topics": "leer"}}, fcm_schema("SendMessageRequest"))


async def test_a_message_says_who_it_is_for_and_how_long() -> None:
    """Topic, headline once, urgency, lifetime, and a tag by which phones replace a repeat; probes are only checked."""
    async with speaking(in_turn(GRANT, TAKEN, TAKEN), android_channel="warnungen", valid_minutes=20) as (opened, heard):
        outcome = await opened.send(post())
        message = heard.body()["message"]
        await opened.probe()
        assert heard.body()["validateOnly"] is True
    sent = post()
    assert outcome.provider_id == sent.key
    assert message["topic"] == "leer"
    assert message["notification"] == {"title": "Polizeieinsatz in Leer", "body": f"Bleiben Sie in Gebäuden. {CODE}"}
    android = {"priority": "HIGH", "ttl": "1200s", "notification": {"tag": sent.key, "channelId": "warnungen"}}
    assert message["android"] == android
    assert message["apns"]["headers"]["apns-collapse-id"] == sent.key
    assert message["data"] == {
        "id": sent.key, "code": CODE, "type": "alert", "severity": "extreme", "realm": "exercise",
    }  # fmt: skip


async def test_the_longest_text_fits_with_everything_in_it() -> None:
    """A message to a topic has 2,048 bytes: the longest text, in letters of two bytes, leaves room for all the rest."""
    limit = traits(Settings(**fcm("https://a.example"))).limit
    text = "ß" * (limit.size // 2)
    assert limit.fits(text)
    async with speaking(in_turn(GRANT, TAKEN), topic="t" * 60, android_channel="c" * 60) as (opened, heard):
        await opened.send(post(text))
        assert len(json.dumps(heard.body()["message"], ensure_ascii=False).encode()) <= 2_048


async def test_a_token_of_another_program_is_read_each_time(tmp_path: Path) -> None:
    """With ``login: token`` whatever stands in the file is used, and where it is gone nothing is sent."""
    file = tmp_path / "token"
    file.write_text("ya29.first\n")
    more = {"login": "token", "credential": {"token_file": file}}
    async with speaking(in_turn(TAKEN, TAKEN), **more) as (opened, heard):
        await opened.send(post())
        file.write_text("ya29.second\n")
        await opened.send(post())
        assert ["Bearer ya29.first" in heard.head(0), "Bearer ya29.second" in heard.head(1)] == [True, True]
        file.unlink()
        outcome = await opened.send(post())
        assert (outcome.result, outcome.reason, len(heard.requests)) == (PERMANENT, Reason.AUTH, 2)


def elliptic() -> str:
    """A key file whose key is of the wrong kind."""
    key = ec.generate_private_key(ec.SECP256R1())
    pem = key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()).decode()
    return json.dumps({"private_key": pem, "client_email": "a@b.example"})


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("whsec_c2VjcmV0", "no key file"),
        ("[]", "no key file"),
        ('{"private_key": 7, "client_email": "a@b.example"}', "no key file"),
        ('{"private_key": "-----BEGIN PRIVATE KEY-----", "client_email": "a@b.example"}', "no key file"),
        ('{"client_email": "a@b.example"}', "no key file"),
        (elliptic(), "no RSA key"),
    ],
    ids=["no JSON", "a list", "a number", "half a key", "no key", "another key"],
)
def test_a_key_file_that_is_none_is_refused_without_repeating_it(text: str, said: str) -> None:
    """A wrong credential fails at connect, and the error shows nothing of it."""
    with pytest.raises(ValueError, match=said) as raised:
        Account.read(text)
    assert text not in str(raised.value)
    assert raised.value.__cause__ is None


def test_what_it_can_is_declared() -> None:
    """A key, for phones replace what has the same tag, and a probe; nothing can be changed or looked up."""
    assert traits(Settings(**fcm("https://a.example"))).powers == {Power.KEY, Power.PROBE}


@pytest.mark.parametrize(("field", "value"), [("topic", "/topics/leer"), ("project", "Leer warnt"), ("login", "adc")])
def test_settings_that_cannot_work_are_refused(field: str, value: str) -> None:
    """A topic with its old prefix, a project's title in the place of its id and an unknown login are found at load."""
    with pytest.raises(ValueError, match=field):
        Settings(**fcm("https://a.example", **{field: value}))
