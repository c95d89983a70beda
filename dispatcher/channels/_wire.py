"""HTTP/1.1 as bytes (RFC 9112), as far as one request and its answer need it: strict and bounded, without a socket.

What could be understood in two ways is not understood. What is clear but unusual is read, and its connection not used
for another request, so that whatever stands behind an answer is never taken for the next one.
"""

from __future__ import annotations

import re
from collections.abc import Generator, Mapping
from functools import lru_cache

from dispatcher import __version__

MAX_ANSWER = 1024 * 1024  # bytes of a body
MAX_HEAD = 64 * 1024  # and of all that stands before it
MAX_FIELDS = 128
MAX_LINE = 1024  # of a chunk's head, or a trailer
MAX_INTERIM = 8  # answers that say only that there will be one

_NAME = re.compile(r"[!#$%&'*+.^_`|~0-9A-Za-z-]+")
_TARGET = re.compile(r"/[!-~]*")
_OURS = frozenset({"host", "content-length", "connection", "transfer-encoding", "te", "trailer", "expect", "upgrade"})
_DEFAULTS = {"User-Agent": f"dispatcher/{__version__}", "Accept": "*/*", "Accept-Encoding": "identity"}

_END = re.compile(rb"\r?\n\r?\n")
_STATUS = re.compile(r"HTTP/1\.([0-9]) ([1-9][0-9]{2})(?: .*)?")
_CONTROL = re.compile(r"[\x00-\x08\x0b-\x1f\x7f]")
_LENGTH = re.compile(r"[0-9]{1,15}")
_CHUNK = re.compile(rb"([0-9A-Fa-f]{1,15})[ \t]*(?:;.*)?")


class BadAnswer(ConnectionError):
    """What came is no answer, or less than one."""


class AnswerTooLong(BadAnswer):
    """Its body is more than `MAX_ANSWER`."""


def request_bytes(method: str, host: str, target: str, headers: Mapping[str, str], body: bytes) -> bytes:
    """A whole request; raises `ValueError`, which repeats nothing, where a part of it would be read as more than it is."""
    lines = [f"{method} {target} HTTP/1.1", f"Host: {host}", *_defaults(tuple(headers))]
    lines += [f"{name}: {value}" for name, value in headers.items()]
    if body or method not in ("GET", "HEAD"):
        lines.append(f"Content-Length: {len(body)}")
    head = "\r\n".join(lines)
    ends = len(lines) - 1
    if head.count("\r") != ends or head.count("\n") != ends or "\0" in head:
        raise ValueError("a header's value with a line end")
    if not (_NAME.fullmatch(method) and _TARGET.fullmatch(target)):
        raise ValueError("not a request line")
    return head.encode() + b"\r\n\r\n" + body


@lru_cache(maxsize=512)  # the kinds say the same names again and again
def _defaults(names: tuple[str, ...]) -> tuple[str, ...]:
    """The lines that a request with these headers needs besides; raises `ValueError` where they are not its sender's to say."""
    said = {_lower(name) for name in names}
    if None in said or not said.isdisjoint(_OURS):
        raise ValueError("not a header that may be given")
    return tuple(f"{name}: {value}" for name, value in _DEFAULTS.items() if name.lower() not in said)


@lru_cache(maxsize=512)
def _lower(name: str) -> str | None:
    """A header's name in lower case, None where it is none."""
    return name.lower() if _NAME.fullmatch(name) else None


class AnswerReader:
    """Reads the answer to one request as it comes, in pieces of any size, until ``complete``."""

    def __init__(self, method: str) -> None:
        """``method`` is the request's: an answer to HEAD has no body."""
        self.status = 0
        self.headers: dict[str, str] = {}  # names in lower case; what is said twice stands as one list
        self.body = b""
        self.complete = False
        self._keeps = False
        self._data, self._ended = bytearray(), False
        self._reading = self._read(method)
        next(self._reading)

    @property
    def keeps(self) -> bool:
        """Whether the connection may carry another request: all was as usual and nothing stands behind the answer."""
        return self.complete and self._keeps and not self._data

    def feed(self, data: bytes) -> None:
        """Take what came, nothing for the end, as ``recv`` says it. Raises `BadAnswer`, and is never ``complete`` then."""
        self._data += data
        self._ended = not data
        next(self._reading, None)

    def _read(self, method: str) -> Generator[None, None, None]:
        yield
        usual = yield from self._head()
        for _ in range(MAX_INTERIM):
            if self.status >= 200:
                break
            usual &= yield from self._head()
        else:
            raise BadAnswer("only promises of an answer")
        framed = yield from self._body(method)
        self.complete, self._keeps = True, usual and framed

    def _head(self) -> Generator[None, None, bool]:
        """Read one head; whether everything in it is as usual."""
        searched = 0
        while (end := _END.search(self._data, searched, MAX_HEAD)) is None:
            searched = max(0, len(self._data) - 3)
            yield from self._more(MAX_HEAD - 1)
        data = yield from self._exactly(end.end())
        version, self.status, self.headers = _parsed(data.replace(b"\r\n", b"\n").decode(errors="replace")[:-2])
        if version != "1" or data.count(b"\n") != data.count(b"\r\n"):
            return False
        return self.headers.get("connection", "keep-alive").lower() == "keep-alive"

    def _body(self, method: str) -> Generator[None, None, bool]:
        """Read what follows the head; whether its end is told by anything but the connection's."""
        coding, length = self.headers.get("transfer-encoding"), self.headers.get("content-length")
        if method == "HEAD" or self.status in (204, 304):
            return True
        if coding is None and length is None:
            self.body = yield from self._rest()
            return False
        if coding is None and length is not None and _LENGTH.fullmatch(length):
            self.body = yield from self._exactly(_within(int(length)))
        elif coding is not None and length is None and coding.lower() == "chunked":
            self.body = yield from self._chunks()
        else:
            raise BadAnswer("a body of unclear length")
        return True

    def _chunks(self) -> Generator[None, None, bytes]:
        body = bytearray()
        while size := _size((yield from self._line())):
            _within(len(body) + size)
            body += yield from self._exactly(size)
            if (yield from self._exactly(2)) != b"\r\n":
                raise BadAnswer("a chunk longer than it says")
        for _ in range(MAX_FIELDS):
            if not (yield from self._line()):
                return bytes(body)
        raise BadAnswer("too many trailers")

    def _line(self) -> Generator[None, None, bytes]:
        while (end := self._data.find(b"\r\n", 0, MAX_LINE)) < 0:
            yield from self._more(MAX_LINE - 1)
        return (yield from self._exactly(end + 2))[:-2]

    def _exactly(self, size: int) -> Generator[None, None, bytes]:
        while len(self._data) < size:
            yield from self._more(size)
        taken = bytes(self._data[:size])
        del self._data[:size]
        return taken

    def _rest(self) -> Generator[None, None, bytes]:
        while not self._ended:
            _within(len(self._data))
            yield
        return (yield from self._exactly(_within(len(self._data))))

    def _more(self, most: int) -> Generator[None, None, None]:
        """Wait for more than is here; raises `BadAnswer` where no more comes or ``most`` bytes were not enough."""
        if self._ended:
            raise BadAnswer("less than an answer")
        if len(self._data) > most:
            raise BadAnswer("a head or a line without an end")
        yield


def _parsed(head: str) -> tuple[str, int, dict[str, str]]:
    """Minor version, status and headers of a head whose lines end in LF; raises `BadAnswer`."""
    first, *fields = head.split("\n")
    status = _STATUS.fullmatch(first)
    if status is None or status[2] == "101" or _CONTROL.search(head) or len(fields) > MAX_FIELDS:
        raise BadAnswer("no answer in HTTP/1.1")
    headers: dict[str, str] = {}
    for field in fields:
        written, colon, value = field.partition(":")
        name, value = _lower(written), value.strip(" \t")
        if name is None or not colon:
            raise BadAnswer("no header where one should be")
        headers[name] = f"{headers[name]}, {value}" if name in headers else value
    return status[1], int(status[2]), headers


def _size(line: bytes) -> int:
    """The length of a chunk; 0 ends the body."""
    found = _CHUNK.fullmatch(line)
    if found is None:
        raise BadAnswer("a chunk without a length")
    return _within(int(found[1], 16))


def _within(length: int) -> int:
    if length > MAX_ANSWER:
        raise AnswerTooLong(f"answer over {MAX_ANSWER} bytes")
    return length
