"""A browser that opens what it is sent, written from RFC 8188, RFC 8291 and RFC 5869 with nothing of the program's own."""

from __future__ import annotations

import hashlib
import hmac
import json
from base64 import urlsafe_b64decode, urlsafe_b64encode
from dataclasses import dataclass, field
from typing import Any

from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.asymmetric.utils import encode_dss_signature
from cryptography.hazmat.primitives.ciphers import Cipher
from cryptography.hazmat.primitives.ciphers.algorithms import AES
from cryptography.hazmat.primitives.ciphers.modes import GCM
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat


def base64(data: bytes) -> str:
    """URL-safe, without padding."""
    return urlsafe_b64encode(data).decode().rstrip("=")


def unbase64(text: str) -> bytes:
    """The bytes of URL-safe base64 without padding."""
    return urlsafe_b64decode(text + "==")


def _hmac(key: bytes, data: bytes) -> bytes:
    return hmac.new(key, data, hashlib.sha256).digest()


@dataclass
class Browser:
    """A key pair and a secret, as `PushManager.subscribe` makes them."""

    key: ec.EllipticCurvePrivateKey = field(default_factory=lambda: ec.generate_private_key(ec.SECP256R1()))
    auth: bytes = bytes(range(16))

    @property
    def p256dh(self) -> bytes:
        """The public point, 65 bytes."""
        return self.key.public_key().public_bytes(Encoding.X962, PublicFormat.UncompressedPoint)

    def opened(self, sealed: bytes) -> bytes:
        """The plain text; fails where the message is for another browser, changed, or of more than one record."""
        salt, record_size, id_size = sealed[:16], int.from_bytes(sealed[16:20], "big"), sealed[20]
        sender, record = sealed[21 : 21 + id_size], sealed[21 + id_size :]
        assert len(record) <= record_size == 4096
        shared = self.key.exchange(ec.ECDH(), ec.EllipticCurvePublicKey.from_encoded_point(ec.SECP256R1(), sender))
        info = b"WebPush: info\x00" + self.p256dh + sender
        input_key = _hmac(_hmac(self.auth, shared), info + b"\x01")
        secret = _hmac(salt, input_key)
        content_key = _hmac(secret, b"Content-Encoding: aes128gcm\x00\x01")[:16]
        nonce = _hmac(secret, b"Content-Encoding: nonce\x00\x01")[:12]
        opener = Cipher(AES(content_key), GCM(nonce, record[-16:])).decryptor()
        padded = opener.update(record[:-16]) + opener.finalize()
        text, mark, rest = padded.rpartition(b"\x02")
        assert (mark, rest.strip(b"\x00")) == (b"\x02", b"")
        return text


def signed(header: str) -> tuple[dict[str, Any], dict[str, Any], str]:
    """Header and claims of a VAPID token, and the key whose signature it truly bears."""
    token, key = header.removeprefix("vapid t=").split(", k=")
    said, _, signature = token.rpartition(".")
    r, s = (int.from_bytes(half, "big") for half in (unbase64(signature)[:32], unbase64(signature)[32:]))
    public = ec.EllipticCurvePublicKey.from_encoded_point(ec.SECP256R1(), unbase64(key))
    public.verify(encode_dss_signature(r, s), said.encode(), ec.ECDSA(SHA256()))
    head, claims = (json.loads(unbase64(part)) for part in said.split("."))
    return head, claims, key
