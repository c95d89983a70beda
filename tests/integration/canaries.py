"""Secrets that are easy to find again, providers that repeat them, and channels before those providers."""

from __future__ import annotations

import asyncio
import json
import re
from base64 import b64encode, urlsafe_b64encode
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import quote

from contract.bridge_cases import BRIDGE_CASES
from contract.cases import CASES, DENIED, NOT_TAKEN, REJECTED, Case
from contract.kit import CANARY, Kit, kind_of, kit_of, service_account
from contract.mqtt_cases import MQTT_CASES
from contract.provider import Behave, reply
from contract.relay import Say
from contract.sirens import ACK, unit
from contract.smtp_cases import SMTP_CASES

from dispatcher.channels.base import load_kind
from dispatcher.model.cap import Realm, RegionId
from dispatcher.model.channel import ChannelId, ChannelProfile

# Random-looking, and between them what is written differently in JSON, in URLs and where people's numbers are left out.
MARKS = ("zK4vQ9xWm2p", "Hd7TqLs3YbN", "gR5uXc8JfEw", "Va6ZnPk1MtD")
AWKWARD = '{}"{}\\{}/+&=%4915112345678@{}'.format(*MARKS)
_PATIENCE = 5  # seconds; many speak at once here
_BORING = re.compile(r"(?im)^(host|user-agent|accept|accept-encoding|connection|content-\w+): .*\r?\n")


def secret_of(name: str) -> str:
    """The credential of a kind, or of one of its providers: a distinctive text in the form that it has there."""
    own = f"{name}.{AWKWARD}"
    forms = {
        "webhook": "whsec_" + b64encode(own.encode()).decode(),
        "teams": f"workflows/{MARKS[0]}/triggers/manual/paths/invoke?api-version=2016-06-01&sig={quote(AWKWARD, safe='')}",
        "fcm": service_account()[1],
        "x": " ".join(f"{part}.{AWKWARD}" for part in ("key", "key-secret", "token", "token-secret")),
    }  # fmt: skip
    return forms.get(name, own)


def traces() -> list[bytes]:
    """Whatever tells that any part of any of these secrets is there: plain, quoted or escaped, and in Base64.

    Quoting and escaping leave the marks as they are. In Base64 a mark looks one of three ways, by where it begins.
    """
    key = json.loads(service_account()[1])["private_key"].split("\n")[2:-2]
    marks = [*MARKS, CANARY]
    return [text.encode() for text in (*marks, *key, *(form for mark in marks for form in _in_base64(mark)))]


def _in_base64(mark: str) -> Iterator[str]:
    for before in range(3):
        whole = (b"\0" * before + mark.encode())[: (before + len(mark)) // 3 * 3]
        inner = slice(4 if before else 0, None)
        yield b64encode(whole).decode()[inner]
        yield urlsafe_b64encode(whole).decode()[inner]


def _repeats(
    status: int, shape: Callable[[str], Any], headers: dict[str, str] | None = None
) -> Callable[[Kit], Behave]:
    """Answer with all that was sent, what is of no interest left out, wherever a kind may look for a reason."""

    async def behave(request: bytes, writer: asyncio.StreamWriter) -> None:
        head, _, body = request.partition(b"\r\n\r\n")
        line, _, fields = head.decode(errors="replace").partition("\r\n")
        told = _BORING.sub("", f"{fields}\r\n"), body[:300].decode(errors="replace"), line
        said = " ".join(" ".join(told).split())
        more = {name: said if value == "said" else value for name, value in (headers or {}).items()}
        writer.write(reply(status, json.dumps(shape(said)).encode(), more))
        await writer.drain()

    return lambda _kit: behave


def _named(said: str) -> dict[str, Any]:
    """Every name under which a provider is known to give a reason, with the reason as a text."""
    names = "error message detail title description error_description errcode code status reason"
    return dict.fromkeys(names.split(), said)


def _nested(said: str) -> dict[str, Any]:
    """The same below ``error``, in a list of errors, and in what is said of single recipients."""
    one = {**_named(said), "type": said, "error_user_msg": said, "messageId": said}
    lists = {name: [one] for name in ("errors", "messages", "responses", "details")}
    return {
        **_named(said),
        "ok": False,
        "success": said,
        "error": one,
        "requestError": {"serviceException": one},
        **lists,
    }


_SHAPES: dict[str, Callable[[str], Any]] = {"words": _named, "errors": _nested, "text": lambda said: said}
REPEATING = [
    Case(f"{status} repeats all as {name}", REJECTED, _repeats(status, shape), status=status)
    for status in (200, 400, 401, 404, 429, 500)
    for name, shape in _SHAPES.items()
] + [
    Case("302 to elsewhere with all", REJECTED, _repeats(302, _named, {"Location": "https://elsewhere.invalid/?said"})),
    Case("429 with all as its wait", REJECTED, _repeats(429, _named, {"Retry-After": "said", "X-Error": "said"})),
]  # fmt: skip


def _mail_repeats(point: str, code: str) -> Case:
    secret = secret_of("email")
    plain = b64encode(f"\0leitstelle\0{secret}".encode()).decode()

    async def say(said: bytes, writer: asyncio.StreamWriter) -> None:
        alone = b64encode(secret.encode()).decode()
        writer.write(f"{code} 5.0.0 {secret} {plain} {alone} ".encode() + said.split()[0][:80] + b"\r\n")

    script: dict[str, bytes | Say] = {point: say}
    return Case(f"{point}: {code} repeats the login", NOT_TAKEN, lambda _kit: script)


_REFUSING = Case(
    "ack: refused, and the password", DENIED,
    lambda _kit: {ACK: lambda key: unit(key, state="refused", detail=secret_of("mqtt"), unit=secret_of("mqtt"))},
)  # fmt: skip
TABLES: dict[str, list[Case]] = {
    "http": [*CASES, *REPEATING],
    "smtp": [*SMTP_CASES, *(_mail_repeats(point, code) for point in ("AUTH", "MAIL", "RCPT", ".") for code in ("451", "550"))],
    "mqtt": [*(case for case in MQTT_CASES if case.name != "ack: refused, and a secret"), _REFUSING],  # its own one
    "bridge": [*BRIDGE_CASES[::9], *REPEATING[::5]],  # each starts a process, and of all answers only the status is read
}  # fmt: skip


@dataclass(frozen=True, slots=True)
class Meeting:
    """One kind before a provider that does one thing, in the request before which ``step`` others went well."""

    name: str
    case: Case
    step: int

    @property
    def channel(self) -> ChannelId:
        """The id of the channel that meets it."""
        number = TABLES[self.kit.speaks].index(self.case)
        return ChannelId(f"{self.name.replace('/', '-')}-{self.step}-{number}")

    @property
    def kit(self) -> Kit:
        """What its kind brings."""
        return kit_of(self.name)

    def settings(self, base: str, secrets: Path) -> Any:
        """Its kind's, with the credential in a file."""
        file = secrets / self.name.replace("/", "-")
        if not file.exists():
            file.write_text(secret_of(self.name))
        fields = {name: value for name, value in self.kit.settings(base).items() if name != "secret_env"}
        patient = {name: _PATIENCE for name in ("ready_seconds", "answer_seconds") if name in fields}
        return load_kind(kind_of(self.name)).Settings(**{**fields, **patient, "credential": {"token_file": file}})

    def profile(self, settings: Any, region: RegionId) -> ChannelProfile:
        """A channel of its own origin and its own credential, so that none waits for another."""
        kind = kind_of(self.name)
        traits = load_kind(kind).traits(settings)
        return ChannelProfile(
            id=self.channel, kind=kind, title=self.channel, limit=traits.limit, powers=traits.powers,
            in_doubt=traits.in_doubt, origin=settings.origin, credential=self.channel, realm=Realm.EXERCISE,
            regions=frozenset({region}),
        )  # fmt: skip


def meetings(names: Sequence[str]) -> list[Meeting]:
    """Every kind with everything that its provider can do; in requests before the last one, what repeats what was sent."""
    last = [Meeting(name, case, len(kit_of(name).before)) for name in names for case in TABLES[kit_of(name).speaks]]
    before = ((name, step) for name in names for step in range(len(kit_of(name).before)))
    return [*last, *(Meeting(name, case, step) for name, step in before for case in REPEATING)]
