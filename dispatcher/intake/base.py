"""What comes in: an `Inbound`, whatever carried it, and the `Receipt` that goes back once it is on disk."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime

# Where a signature and its key's id travel beside a payload.
SIGNATURE_PROPERTIES = ("signature", "key-id")  # of an MQTT 5 PUBLISH
SIGNATURE_HEADERS = ("Dispatcher-Signature", "Dispatcher-Key-Id")


@dataclass(frozen=True, slots=True)
class Receipt:
    """The end-to-end promise: what the journal made of a payload, and under which number.

    ``state``: journaled, duplicate (seen before, nothing changed), conflict (same id, other content), unreadable or
    refused. ``error`` says what is wrong where something is.
    """

    source: str
    id: str
    sha256: str
    state: str
    journal: int
    error: str = ""

    def to_json(self) -> bytes:
        """As it is published."""
        names = ("source", "id", "sha256", "state", "journal", "error")
        return json.dumps({name: getattr(self, name) for name in names}, ensure_ascii=False).encode()


@dataclass(frozen=True, slots=True, kw_only=True)
class Inbound:
    """Bytes from outside. ``ack`` lets the source forget them; ``reply`` hands it the receipt. Both after the commit.

    ``person`` is set only by who has checked that a person is asking; ``as_of`` is the time that texts are told at where
    the person has seen them before. ``signature`` (base64) and ``key_id`` travel outside the payload.
    """

    source: str
    payload: bytes
    received_at: datetime
    retained: bool = False
    person: str = ""
    as_of: datetime | None = None
    signature: str = ""
    key_id: str = ""
    ack: Callable[[], None] = lambda: None
    reply: Callable[[Receipt], None] = lambda _: None

    @property
    def sha256(self) -> str:
        """Digest of the payload's bytes, as receipts name it."""
        return hashlib.sha256(self.payload).hexdigest()
