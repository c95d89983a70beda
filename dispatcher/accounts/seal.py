"""What owners entrust to us, encrypted with a key that lies outside the journal: a copy of the journal alone opens nothing.

AES-256-GCM, bound to the account it belongs to; the key is the SHA-256 of the group's secret.
"""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Mapping

from dispatcher.model.channel import ChannelId

_NONCE = 12  # bytes
SHORTEST_KEY = 32  # characters


class Seal:
    """Seals and opens with one secret."""

    def __init__(self, secret: str) -> None:
        """Raises `ValueError` where the secret is too short to be one."""
        from cryptography.hazmat.primitives.ciphers.aead import AESGCM  # noqa: PLC0415 - slow, and few have accounts

        if len(secret) < SHORTEST_KEY:
            raise ValueError(f"a key for accounts has at least {SHORTEST_KEY} characters: openssl rand -base64 48")
        self._cipher = AESGCM(hashlib.sha256(secret.encode()).digest())

    def close(self, answers: Mapping[str, str], account: ChannelId) -> bytes:
        """``answers`` as nobody can read them without the key."""
        nonce = os.urandom(_NONCE)
        return nonce + self._cipher.encrypt(nonce, json.dumps(dict(answers)).encode(), account.encode())

    def open(self, sealed: bytes, account: ChannelId) -> dict[str, str]:
        """What was sealed for ``account``; raises `ValueError` where this key does not open it."""
        from cryptography.exceptions import InvalidTag  # noqa: PLC0415 - slow, and few have accounts

        try:
            plain = self._cipher.decrypt(sealed[:_NONCE], sealed[_NONCE:], account.encode())
        except InvalidTag:
            raise ValueError("what its owner gave us cannot be opened with this key") from None
        opened: dict[str, str] = json.loads(plain)
        return opened
