"""What a kind brings to the contract: its settings, its provider's good answer, and where it differs from the rule."""

from __future__ import annotations

import base64
import functools
import importlib
import json
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

from cryptography.hazmat.primitives.asymmetric import rsa
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat

from dispatcher.channels.base import Channel, Kind, load_kind
from dispatcher.channels.http import Http
from dispatcher.model.alert import Post, Purpose, Text
from dispatcher.model.cap import Realm, RegionId, Severity
from dispatcher.model.channel import ChannelId
from dispatcher.model.delivery import AlertId, IncidentId, Reason, Result

CANARY = "canary0sings0where0no0secret0may0be"
TOKEN_VARIABLE, SECRET_VARIABLE, KEYS_VARIABLE = "CONTRACT_TOKEN", "CONTRACT_SECRET", "CONTRACT_KEYS"
SERVICE_VARIABLE = "CONTRACT_SERVICE_ACCOUNT"
KEYS = " ".join(f"{name}-{CANARY}" for name in ("key", "key-secret", "token", "token-secret"))
SECRET = "whsec_" + base64.b64encode(CANARY.encode()).decode()
TOKEN = {"token_env": TOKEN_VARIABLE}
CODE = "K7Q-42"

Class = tuple[Result, Reason | None]


@dataclass(frozen=True)
class Kit:
    """``settings(base)`` points the kind at a provider; ``deviations`` are documented classes by name of case.

    ``good`` and ``headers`` answer the request that posts; ``before`` answers, in order, those that come before it and
    post nothing. ``uploads`` answers, between them, those that a card takes; None where a kind is given no card's bytes.
    """

    settings: Callable[[str], dict[str, Any]]
    good: Any
    good_status: int = 200
    headers: Mapping[str, str] = field(default_factory=dict)
    before: Sequence[tuple[int, Any]] = ()  # status and JSON
    uploads: Callable[[str], Sequence[tuple[int, Any]]] | None = None  # the same, while a card is uploaded there
    calls: bool = True  # whether there is a provider at all
    names: bool = True  # whether an acceptance has an id
    speaks: str = "http"  # which table of cases it meets
    deviations: Mapping[str, Class] = field(default_factory=dict)


@functools.cache
def service_account() -> tuple[rsa.RSAPrivateKey, str]:
    """A key made for these tests, and the file that Google would give out with it."""
    key = rsa.generate_private_key(public_exponent=65_537, key_size=1_024)
    pem = key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()).decode()
    email = "dispatcher@leer-warnt.iam.gserviceaccount.example"
    said = {"type": "service_account", "private_key_id": "k1", "private_key": pem, "client_email": email}
    return key, json.dumps(said)


def names_of(kind: str) -> list[str]:
    """What the contract runs for ``kind``: itself, or ``kind/variant`` for each of its providers."""
    variants = getattr(_module(kind), "VARIANTS", None)
    return [f"{kind}/{variant}" for variant in variants] if variants else [kind]


def kit_of(name: str) -> Kit:
    """The kit of a kind or of its variant; raises `ModuleNotFoundError` where a kind came without one."""
    kind, _, variant = name.partition("/")
    kit: Kit = _module(kind).VARIANTS[variant] if variant else _module(kind).KIT
    return kit


def kind_of(name: str) -> str:
    """The kind that a name of the contract is about."""
    return name.partition("/")[0]


def _module(kind: str) -> Any:
    return importlib.import_module(f"contract.kits.{kind}")


@asynccontextmanager
async def channel(kind: str | Kind, settings: dict[str, Any], http: Http) -> AsyncIterator[Channel]:
    """A channel of ``kind``, by name or as a module."""
    module = load_kind(kind_of(kind)) if isinstance(kind, str) else kind
    async with module.connect(module.Settings(**settings), http) as connected:
        yield connected


def post(text: str = f"Polizeieinsatz in Leer\n\nBleiben Sie in Gebäuden. {CODE}", **changes: Any) -> Post:
    """A post with every field filled."""
    given = {
        "key": "0123456789abcdef" * 2, "code": CODE, "text": Text("Polizeieinsatz in Leer", text, ("de", "en")),
        "incident": IncidentId("incident-1"), "alert": AlertId("alert-1"), "channel": ChannelId("channel-1"),
        "purpose": Purpose.ALERT, "severity": Severity.EXTREME, "realm": Realm.EXERCISE,
        "created_at": datetime.now(UTC), "place": "Leer", "regions": (RegionId("leer"),),
    }  # fmt: skip
    return Post(**{**given, **changes})
