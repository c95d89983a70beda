"""A real Synapse for tests: a Matrix homeserver on a free loopback port that knows no other, in a directory of its own."""

from __future__ import annotations

import base64
import hashlib
import hmac
import json
import secrets
import subprocess
import time
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Any, Self
from urllib.error import HTTPError
from urllib.parse import quote
from urllib.request import ProxyHandler, Request, build_opener

SERVER = "leer.example"
_SECRET = secrets.token_hex(16)
_API = "/_matrix/client/v3"
_STRAIGHT = build_opener(ProxyHandler({}))  # whatever the environment says of proxies
_STARTS_WITHIN = 120  # seconds; it takes three where nothing else runs


@dataclass(frozen=True)
class Account:
    """Who somebody is on the server, and the token that proves it."""

    user_id: str
    token: str


class Synapse:
    """One homeserver and its store: ``with`` starts and ends it, `kill` and `start` are for the tests between.

    Its limits are those it comes with; whom it registers is known to it alone.
    """

    def __init__(self, executable: str, directory: Path, port: int) -> None:
        self.url = f"http://127.0.0.1:{port}"
        self._command = [executable, "--config-path", str(directory / "homeserver.yaml")]
        self._log = directory / "synapse.log"
        self._directory = directory
        self._process: subprocess.Popen[bytes] | None = None
        seed = base64.b64encode(secrets.token_bytes(32)).decode().rstrip("=")
        (directory / "signing.key").write_text(f"ed25519 a_1 {seed}\n")
        (directory / "homeserver.yaml").write_text(json.dumps(_settings(directory, port)))  # JSON is YAML as well

    def start(self) -> None:
        """Start it on what its store holds; ready on return. Raises RuntimeError with its log when it ends or is late."""
        with self._log.open("ab") as log:
            self._process = subprocess.Popen(self._command, cwd=self._directory, stdout=log, stderr=log)
        late = time.monotonic() + _STARTS_WITHIN
        while not self._answers():
            if self._process.poll() is not None or time.monotonic() > late:
                raise RuntimeError(self._log.read_text(errors="replace"))
            time.sleep(0.05)

    def kill(self) -> None:
        """End it as a power cut would."""
        if self._process is not None:
            self._process.kill()
            self._process.wait()

    def __enter__(self) -> Self:
        try:
            self.start()
            self.admin = self.register("verwaltung", admin=True)
            self.lift_limit(self.admin)
        except BaseException:
            self.kill()
            raise
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.kill()

    def ask(self, method: str, path: str, body: Any = None, account: Account | None = None) -> Any:
        """The JSON of an answer of success; raises `HTTPError` for any other. ``account`` None is the administrator."""
        who = account or self.admin
        headers = {"Content-Type": "application/json", "Authorization": f"Bearer {who.token}"}
        return self._call(Request(self.url + path, method=method, data=_bytes(body), headers=headers))

    def register(self, name: str, *, admin: bool = False) -> Account:
        """A new account, by the secret that the server shares with whoever administers it."""
        url = f"{self.url}/_synapse/admin/v1/register"
        nonce, password = self._call(Request(url))["nonce"], secrets.token_hex(8)
        said = "\0".join([nonce, name, password, "admin" if admin else "notadmin"])
        mac = hmac.new(_SECRET.encode(), said.encode(), hashlib.sha1).hexdigest()
        form = {"nonce": nonce, "username": name, "password": password, "admin": admin, "mac": mac}
        known = self._call(Request(url, data=_bytes(form), headers={"Content-Type": "application/json"}))
        return Account(known["user_id"], known["access_token"])

    def lift_limit(self, account: Account) -> None:
        """Let ``account`` post as fast as it likes, as an administrator may."""
        path = f"/_synapse/admin/v1/users/{quote(account.user_id)}/override_ratelimit"
        self.ask("POST", path, {"messages_per_second": 0, "burst_count": 0})

    def room(self, version: str, *members: Account, maker: Account | None = None, needed: int = 0) -> str:
        """The id of a new room with ``members`` in it, where posting needs the power level ``needed``."""
        levels = {"events_default": needed, "invite": 0}
        form = {
            "room_version": version, "invite": [member.user_id for member in members],
            "power_level_content_override": levels,
        }  # fmt: skip
        room: str = self.ask("POST", f"{_API}/createRoom", form, maker)["room_id"]
        for member in members:
            self.ask("POST", f"{room_path(room)}/join", {}, member)
        return room

    def events(self, room: str) -> list[dict[str, Any]]:
        """The room's messages and changes of them, oldest first, as its maker sees them."""
        chunk = self.ask("GET", f"{room_path(room)}/messages?dir=f&limit=100")["chunk"]
        return [event for event in chunk if event["type"] == "m.room.message"]

    def _answers(self) -> bool:
        try:
            self._call(Request(f"{self.url}/_matrix/client/versions"))
        except OSError:
            return False
        return True

    def _call(self, request: Request) -> Any:
        try:
            with _STRAIGHT.open(request, timeout=30) as answer:
                return json.load(answer)
        except HTTPError as error:
            error.close()
            raise


def room_path(room: str) -> str:
    """Where the API speaks of ``room``."""
    return f"{_API}/rooms/{quote(room, safe='')}"


def _bytes(body: Any) -> bytes | None:
    return None if body is None else json.dumps(body).encode()


def _settings(directory: Path, port: int) -> dict[str, Any]:
    return {
        "server_name": SERVER, "report_stats": False, "presence": {"enabled": False}, "bcrypt_rounds": 4,
        "listeners": [
            {"port": port, "type": "http", "bind_addresses": ["127.0.0.1"], "resources": [{"names": ["client"]}]}
        ],
        "database": {"name": "sqlite3", "args": {"database": str(directory / "synapse.db")}},
        "media_store_path": str(directory / "media"), "signing_key_path": str(directory / "signing.key"),
        # It asks no other server for anything.
        "trusted_key_servers": [], "federation_domain_whitelist": [],
        "registration_shared_secret": _SECRET, "macaroon_secret_key": _SECRET, "form_secret": _SECRET,
    }  # fmt: skip
