"""Signed events: Ed25519 (RFC 8032) over the exact bytes; the key belongs to one source. What is wrong is never told apart."""

from __future__ import annotations

import base64
import binascii

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey

from dispatcher.model.errors import BadSignature
from dispatcher.model.source import Signature


def verify(payload: bytes, signature: str, key_id: str, spec: Signature) -> None:
    """Raise `BadSignature` unless ``payload`` carries the base64 ``signature`` of that key of its source."""
    if not signature:
        raise BadSignature("this source signs its events, this one is not signed", "signature")
    key = spec.keys.get(key_id)
    if key is None:
        raise BadSignature("no such key of this source", "key-id")
    try:
        Ed25519PublicKey.from_public_bytes(base64.b64decode(key)).verify(
            base64.b64decode(signature, validate=True), payload
        )
    except (InvalidSignature, binascii.Error, ValueError):
        raise BadSignature("the signature does not fit", "signature") from None


def sign(payload: bytes, private_key: str) -> str:
    """The base64 signature of ``payload`` by a base64 ``private_key`` of 32 bytes; raises `ValueError` on any other."""
    key = Ed25519PrivateKey.from_private_bytes(base64.b64decode(private_key, validate=True))
    return base64.b64encode(key.sign(payload)).decode()


def new_key() -> tuple[str, str]:
    """A new private key and its public one, both base64 of 32 bytes."""
    key = Ed25519PrivateKey.generate()
    pair = key.private_bytes_raw(), key.public_key().public_bytes_raw()
    return base64.b64encode(pair[0]).decode(), base64.b64encode(pair[1]).decode()
