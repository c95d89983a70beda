"""A power cut at any moment of a night, from strace's log of it: what was flushed is left, what was said is said.

The log holds every write, flush, send and receipt in order. Replayed, it gives the files as a drive that lost its power
would hold them, and next to them what the broker and the receivers had been told by then.
"""

from __future__ import annotations

import json
import random
import re
from collections import defaultdict
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

SECTOR = 512
PUBLISH, PUBACK = 3, 4  # MQTT's packet types
LOGGED = (
    "-xx", "-y", "-s", "300000", "-e",
    "trace=connect,close,write,pwrite64,sendto,sendmsg,recvfrom,fsync,fdatasync,ftruncate,unlink,unlinkat",
)  # fmt: skip
_LINE = re.compile(r"(\d+) +(?:<\.\.\. (\w+) resumed>|(\w+)\()(.*)")
_FD = re.compile(r"(\d+)<([^>]*)>")
_TEXT = re.compile(r'"((?:\\x[0-9a-f]{2})*)"')
_LAST_NUMBER = re.compile(r", (\d+)(?:\) += | <unfinished)")
_PORT = re.compile(r"htons\((\d+)\)")
_KEY = re.compile(rb"(?i)\r\nwebhook-id: (\S+)\r\n")
SENDS, FLUSHES = ("write", "sendto", "sendmsg"), ("fsync", "fdatasync")


@dataclass(frozen=True, slots=True)
class Call:
    """One system call as the log shows it."""

    thread: str
    name: str
    rest: str

    @property
    def fd(self) -> str:
        """The number of the file or socket that it was made on."""
        found = _FD.match(self.rest)
        return found[1] if found else ""

    @property
    def path(self) -> Path:
        """The file that it was made on."""
        found = _FD.match(self.rest)
        return Path(_bytes(found[2]).decode() if found and found[2].startswith("\\") else "")

    @property
    def data(self) -> bytes:
        """The first text among its arguments."""
        found = _TEXT.search(self.rest)
        return _bytes(found[1]) if found else b""

    @property
    def number(self) -> int:
        """Its last argument: where a write begins, or a file's new size."""
        found = _LAST_NUMBER.search(self.rest)
        assert found, self
        return int(found[1])

    @property
    def port(self) -> int:
        """Where a connection leads."""
        found = _PORT.search(self.rest)
        return int(found[1]) if found else 0

    @property
    def succeeded(self) -> bool:
        """Whether it ended with 0."""
        return self.rest.endswith("= 0")


def calls(log: Path) -> Iterator[tuple[Call, bool]]:
    """Every call twice, in order: when it was entered, and (True) when it was left."""
    under_way: dict[str, str] = {}
    with log.open() as lines:
        for found in filter(None, map(_LINE.match, lines)):
            thread, resumed, name, rest = found.groups()
            if not resumed:
                yield Call(thread, name, rest), False
            if rest.endswith("<unfinished ...>"):
                under_way[thread] = rest
            else:
                yield Call(thread, resumed or name, under_way.pop(thread, "") + rest), True


def _bytes(escaped: str) -> bytes:
    return bytes.fromhex(escaped.replace("\\x", ""))


@dataclass
class Drive:
    """Files by name, and the writes to each that were not flushed yet; a write without data sets the file's size."""

    files: dict[str, bytearray] = field(default_factory=lambda: defaultdict(bytearray))
    cache: dict[str, list[tuple[int, bytes | None]]] = field(default_factory=lambda: defaultdict(list))

    def write(self, name: str, at: int, data: bytes | None) -> None:
        """Take a write into the cache."""
        self.cache[name].append((at, data))

    def flush(self, name: str, writes: int) -> None:
        """Make the oldest ``writes`` of a file durable."""
        for at, data in self.cache[name][:writes]:
            _apply(self.files[name], at, data)
        del self.cache[name][:writes]

    def unlink(self, name: str) -> None:
        """Remove a file."""
        self.files.pop(name, None)
        self.cache.pop(name, None)

    def cut(self, folder: Path, rng: random.Random | None) -> None:
        """Write what a power cut leaves into ``folder``; with ``rng``, some sectors of the cache as well, in any order."""
        folder.mkdir(parents=True, exist_ok=True)
        for name in {*self.files, *self.cache}:
            left = bytearray(self.files.get(name, b""))
            for at, data in _some_of(self.cache.get(name, []), rng) if rng else ():
                _apply(left, at, data)
            if not name.endswith("-shm"):  # memory, not disk
                (folder / name).write_bytes(left)


def _apply(content: bytearray, at: int, data: bytes | None) -> None:
    if data is None:
        del content[at:]
    if len(content) < at:
        content.extend(bytes(at - len(content)))
    if data is not None:
        content[at : at + len(data)] = data


def _some_of(cache: list[tuple[int, bytes | None]], rng: random.Random) -> Iterator[tuple[int, bytes | None]]:
    for at, data in cache:
        for begin in range(0, len(data or b"."), SECTOR):
            if rng.random() < 0.5:
                yield at + begin, data and data[begin : begin + SECTOR]


class Packets:
    """One direction of an MQTT connection: bytes in, whole packets out as (first byte, body)."""

    def __init__(self) -> None:
        self._bytes = b""

    def feed(self, data: bytes) -> Iterator[tuple[int, bytes]]:
        """Take bytes; the packets that are complete now."""
        self._bytes += data
        while len(self._bytes) > 1:
            length, begin = _variable(self._bytes, 1)
            if begin == 0 or len(self._bytes) < begin + length:
                return
            yield self._bytes[0], self._bytes[begin : begin + length]
            self._bytes = self._bytes[begin + length :]


def _variable(data: bytes, at: int) -> tuple[int, int]:
    """MQTT's variable byte integer at ``at``: its value and where it ends, 0 where it does not end yet."""
    value = 0
    for n in range(4):
        if at + n >= len(data):
            break
        value |= (data[at + n] & 127) << 7 * n
        if data[at + n] < 128:
            return value, at + n + 1
    return value, 0


@dataclass
class Night:
    """A night replayed from its log: the drive that holds ``folder``, and what the world had been told.

    ``port`` is the broker's. Acknowledged is an event whose PUBACK or receipt left; requested is the key of a request.
    """

    port: int
    folder: Path
    drive: Drive = field(default_factory=Drive)
    acknowledged: set[str] = field(default_factory=set)
    requested: set[str] = field(default_factory=set)
    _broker: str = ""
    _in: Packets = field(default_factory=Packets)
    _out: Packets = field(default_factory=Packets)
    _events: dict[int, str] = field(default_factory=dict)  # by packet identifier
    _flushing: dict[str, int] = field(default_factory=dict)  # writes that a thread's flush will have covered

    def promises(self, log: Path) -> Iterator[Night]:
        """This night at each moment when something had just been promised."""
        before = 0
        for call, left in calls(log):
            self._left(call) if left else self._entered(call)
            if before != (before := len(self.acknowledged) + len(self.requested)):
                yield self

    def _entered(self, call: Call) -> None:
        """What counts from when it is asked for: writes, and all that is sent."""
        name = self._file(call)
        if call.name == "connect" and call.port == self.port:
            self._broker, self._in, self._out = call.fd, Packets(), Packets()
        elif call.name == "pwrite64" and name:
            self.drive.write(name, call.number, call.data)
        elif call.name == "ftruncate" and name:
            self.drive.write(name, call.number, None)
        elif call.name in FLUSHES and name:
            self._flushing[call.thread] = len(self.drive.cache[name])
        elif call.name.startswith("unlink"):
            self.drive.unlink(Path(call.data.decode()).name)
        elif call.name in SENDS and call.fd == self._broker:
            self._sent(call.data)
        elif call.name in SENDS:
            self.requested |= {key.decode().lower() for key in _KEY.findall(call.data)}

    def _left(self, call: Call) -> None:
        """What counts only when it is done: flushes, and all that is received."""
        if call.name in FLUSHES and call.succeeded and (name := self._file(call)):
            self.drive.flush(name, self._flushing[call.thread])
        elif call.name == "recvfrom" and call.fd == self._broker:
            for first, body in self._in.feed(call.data):
                if first >> 4 == PUBLISH:
                    self._received(body)

    def _file(self, call: Call) -> str:
        """The name of the file on our drive that a call was made on; empty where it was another."""
        return call.path.name if call.path.parent == self.folder else ""

    def _received(self, body: bytes) -> None:
        topic = 2 + int.from_bytes(body[:2])
        length, begin = _variable(body, topic + 2)
        self._events[int.from_bytes(body[topic : topic + 2])] = json.loads(body[begin + length :])["id"]

    def _sent(self, data: bytes) -> None:
        for first, body in self._out.feed(data):
            if first >> 4 == PUBACK:
                self.acknowledged.add(self._events[int.from_bytes(body[:2])])
            elif first >> 4 == PUBLISH and b"/receipts/" in body[:100]:
                self.acknowledged.add(json.loads(body[body.index(b'{"') :])["id"])
