"""Web Push: messages sealed so that one browser alone can read them (RFC 8291 over RFC 8188), signed by the sender (RFC 8292).

Endpoints come from strangers, so they lead nowhere but to push services that are named: see `origin_of`.
"""

from __future__ import annotations

import json
import os
import re
from base64 import urlsafe_b64decode, urlsafe_b64encode
from collections.abc import Collection, Mapping
from typing import Any

from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.asymmetric.utils import decode_dss_signature
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDF
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat, load_pem_private_key

from dispatcher.channels._subscribers import Subscription

ROOM = 3_993  # bytes of plain text; the 4,096 that every push service takes hold 86 of header and 17 of padding and tag
LONGEST_ENDPOINT = 1_000
_CURVE = ec.SECP256R1()
_HOUR = 3_600
# Nothing in it that two readers of addresses could understand differently: no user, no other port, no host but plain ASCII.
_ENDPOINT = re.compile(r"https://([a-z0-9.-]{1,253})(?::443)?/[!-~]*")


class Vapid:
    """Who sends, as push services want to know it: a key, and an address where they reach a person."""

    def __init__(self, key: ec.EllipticCurvePrivateKey, contact: str) -> None:
        """``contact`` is a mailto: or https: address."""
        self._key, self._contact = key, contact
        self.public = _base64(_point(key))
        self._known: dict[str, tuple[int, str]] = {}

    @classmethod
    def read(cls, secret: str, contact: str) -> Vapid:
        """With the P-256 key in ``secret``, PEM; raises `ValueError` where it is none."""
        try:
            key = load_pem_private_key(secret.encode(), password=None)
        except (ValueError, TypeError):
            raise ValueError("the credential is no private key in PEM") from None
        if not isinstance(key, ec.EllipticCurvePrivateKey) or key.curve.name != _CURVE.name:
            raise ValueError("the credential is no key on the curve P-256")
        return cls(key, contact)

    @classmethod
    def made_of(cls, secret: str, contact: str) -> Vapid:
        """With a key made of any text, for exercises: nobody has subscribed under it."""
        number = int.from_bytes(_derived(secret.encode(), b"", b"exercise", 31)) + 1  # below the curve's order
        return cls(ec.derive_private_key(number, _CURVE), contact)

    def authorization(self, origin: str, now: int) -> str:
        """The header's value for messages to ``origin``; ``now`` is in Unix seconds. Good for 12 hours, kept for one."""
        made_at, value = self._known.get(origin, (0, ""))
        if not 0 <= now - made_at < _HOUR:
            value = f"vapid t={self._token(origin, now)}, k={self.public}"
            self._known[origin] = now, value
        return value

    def _token(self, origin: str, now: int) -> str:
        claims = {"aud": origin, "exp": now + 12 * _HOUR, "sub": self._contact}
        signed = ".".join(_base64(_json(part)) for part in ({"typ": "JWT", "alg": "ES256"}, claims))
        r, s = decode_dss_signature(self._key.sign(signed.encode(), ec.ECDSA(SHA256())))
        return f"{signed}.{_base64(r.to_bytes(32) + s.to_bytes(32))}"


def origin_of(endpoint: str, services: Collection[str]) -> str:
    """The origin of an endpoint at one of ``services`` (host names, ``*.`` before one for all below it), else nothing."""
    found = _ENDPOINT.fullmatch(endpoint) if len(endpoint) <= LONGEST_ENDPOINT else None
    host = found[1] if found else ""
    known = any(host == service or (service[:2] == "*." and host.endswith(service[1:])) for service in services)
    return f"https://{host}" if host and known else ""


def subscription(endpoint: str, p256dh: str, auth: str) -> Subscription:
    """What a browser handed over, its keys in URL-safe base64; raises `ValueError` where they are none."""
    read = Subscription(endpoint, decoded(p256dh), decoded(auth))
    if len(read.auth) != 16 or len(read.p256dh) != 65:
        raise ValueError("no keys of a subscription")
    ec.EllipticCurvePublicKey.from_encoded_point(_CURVE, read.p256dh)
    return read


def seal(
    text: bytes, to: Subscription, *, key: ec.EllipticCurvePrivateKey | None = None, salt: bytes | None = None
) -> bytes:
    """``text``, at most `ROOM` bytes, as one record that ``to`` can open. ``key`` and ``salt`` are new ones each time."""
    key, salt = key or ec.generate_private_key(_CURVE), salt or os.urandom(16)
    ours, theirs = _point(key), ec.EllipticCurvePublicKey.from_encoded_point(_CURVE, to.p256dh)
    material = _derived(key.exchange(ec.ECDH(), theirs), to.auth, b"WebPush: info\0" + to.p256dh + ours, 32)
    content_key = _derived(material, salt, b"Content-Encoding: aes128gcm\0", 16)
    nonce = _derived(material, salt, b"Content-Encoding: nonce\0", 12)
    header = salt + (4_096).to_bytes(4) + len(ours).to_bytes(1) + ours
    return header + AESGCM(content_key).encrypt(nonce, text + b"\x02", None)


def decoded(text: str) -> bytes:
    """URL-safe base64 with or without padding; raises `ValueError`."""
    return urlsafe_b64decode(text + "=" * (-len(text) % 4))


def _derived(material: bytes, salt: bytes, info: bytes, length: int) -> bytes:
    return HKDF(SHA256(), length, salt, info).derive(material)


def _point(key: ec.EllipticCurvePrivateKey) -> bytes:
    return key.public_key().public_bytes(Encoding.X962, PublicFormat.UncompressedPoint)


def _json(data: Mapping[str, Any]) -> bytes:
    return json.dumps(data, separators=(",", ":")).encode()


def _base64(data: bytes) -> str:
    """URL-safe and without padding."""
    return urlsafe_b64encode(data).rstrip(b"=").decode()
