"""A push service under ``/push`` with one browser: the example of RFC 8291, appendix A, which opens what it is sent."""

from __future__ import annotations

import json
from base64 import urlsafe_b64decode
from collections.abc import Sequence

from aiohttp import web
from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDF
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from dispatcher.wall.board import Service
from dispatcher.wall.doubles.base import Double

_LARGEST = 4_096
_TOPIC = 32
_CURVE = ec.SECP256R1()
# Published in the RFC, so they protect nothing.
_KEY = ec.derive_private_key(int.from_bytes(urlsafe_b64decode("q1dXpw3UpT5VOmu_cf_v6ih07Aems3njxI-JWgLcM94=")), _CURVE)
_AUTH = urlsafe_b64decode("BTBZMqHH6r4Tts7J_aSIgg==")


class WebPush(Double):
    """Believes every signature. A message with the tag of one that is shown replaces it, as browsers do."""

    def routes(self) -> Sequence[web.RouteDef]:
        """Take a message."""
        return [web.post("/push/{browser}", self.post)]

    async def post(self, request: web.Request) -> web.StreamResponse:
        """201 with the message's address, for what the browser can open."""
        browser, sealed, headers = request.match_info["browser"], await request.read(), request.headers
        # One key, one account: an exercise has one browser for all channels, told apart by who signs.
        account = headers.get("Authorization", "").rpartition("k=")[2]

        def take() -> web.Response:
            """Show it."""
            if not headers.get("Authorization", "").startswith("vapid t="):
                return web.Response(status=401)
            if not headers.get("TTL", "").isdigit() or len(headers.get("Topic", "")) > _TOPIC:
                return web.Response(status=400)
            if len(sealed) > _LARGEST:
                return web.Response(status=413)
            try:
                message = json.loads(_opened(sealed))
            except (ValueError, InvalidTag):
                return web.Response(status=400)
            self._show(account or browser, message)
            return web.Response(status=201, headers={"Location": f"/push/{browser}/{message['tag']}"})

        return await self.serve(request, account or browser, take)

    def _show(self, account: str, message: dict[str, str]) -> None:
        text, tag = f"{message['title']}\n{message['body']}", message["tag"]
        if known := self.board.by_key(account, tag):
            self.board.edit(self.board.repeat(known), text)
        else:
            self.board.add(Service.WEB_PUSH, account, tag, text, key=tag)


def _opened(sealed: bytes) -> bytes:
    """The text of a message of one record; raises `ValueError` or `InvalidTag` where it is not for this browser."""
    salt, size = sealed[:16], sealed[20]
    sender, record = sealed[21 : 21 + size], sealed[21 + size :]
    shared = _KEY.exchange(ec.ECDH(), ec.EllipticCurvePublicKey.from_encoded_point(_CURVE, sender))
    ours = _KEY.public_key().public_bytes(Encoding.X962, PublicFormat.UncompressedPoint)
    material = HKDF(SHA256(), 32, _AUTH, b"WebPush: info\0" + ours + sender).derive(shared)
    key = HKDF(SHA256(), 16, salt, b"Content-Encoding: aes128gcm\0").derive(material)
    nonce = HKDF(SHA256(), 12, salt, b"Content-Encoding: nonce\0").derive(material)
    return AESGCM(key).decrypt(nonce, record, None).rstrip(b"\0").removesuffix(b"\x02")
