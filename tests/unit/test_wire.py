"""HTTP/1.1 as bytes: what leaves is one request, and what comes back is one answer or none."""

from __future__ import annotations

import itertools
from dataclasses import dataclass

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dispatcher.channels._wire import (
    MAX_ANSWER,
    MAX_FIELDS,
    MAX_HEAD,
    MAX_INTERIM,
    AnswerReader,
    AnswerTooLong,
    BadAnswer,
    request_bytes,
)

OK = b"HTTP/1.1 200 OK\r\n"
LENGTH, CHUNKED = b"Content-Length: 4\r\n", b"Transfer-Encoding: chunked\r\n"


@dataclass(frozen=True)
class Read:
    """What was made of an answer; status 0 where it was none."""

    status: int = 0
    headers: tuple[tuple[str, str], ...] = ()
    body: bytes = b""
    keeps: bool = False


def read(pieces: list[bytes], method: str = "POST") -> Read:
    """Feed ``pieces`` and then the end, as a connection does: not beyond the answer, and what is left over spoils it."""
    reader, rest = AnswerReader(method), [piece for piece in pieces if piece]
    try:
        while rest and not reader.complete:
            reader.feed(rest.pop(0))
        if not reader.complete:
            reader.feed(b"")
    except BadAnswer:
        assert not reader.complete
        assert not reader.keeps
        return Read()
    assert reader.complete
    return Read(reader.status, tuple(reader.headers.items()), reader.body, reader.keeps and not rest)


def cut(data: bytes, places: list[int]) -> list[bytes]:
    """``data`` in pieces."""
    at = sorted({place % (len(data) + 1) for place in places} | {0, len(data)})
    return [data[start:end] for start, end in itertools.pairwise(at)]


def test_a_request_is_written_whole() -> None:
    """Line, headers, length and body: what is given stands as given and replaces what would be said else."""
    sent = request_bytes("POST", "a.test:8080", "/x?y=%20", {"accept": "text/plain", "X-Key": "ä"}, "ö".encode())
    head, _, body = sent.decode().partition("\r\n\r\n")
    line, *fields = head.split("\r\n")
    assert (line, body) == ("POST /x?y=%20 HTTP/1.1", "ö")
    assert {"Host: a.test:8080", "accept: text/plain", "X-Key: ä", "Content-Length: 2"} <= set(fields)
    assert "Accept-Encoding: identity" in fields
    assert sum(field.lower().startswith("accept:") for field in fields) == 1


@pytest.mark.parametrize(("method", "length"), [("GET", b""), ("POST", b"Content-Length: 0\r\n")])
def test_no_body_is_said_where_one_is_expected(method: str, length: bytes) -> None:
    """A POST says that its body is empty, a GET says nothing."""
    head = request_bytes(method, "a.test", "/", {}, b"")
    assert (b"Content-Length" in head) is bool(length)
    assert length in head


@pytest.mark.parametrize(
    "name", ["Content-Length", "transfer-encoding", "Host", "Connection", "Expect", "X: Y", "X Y", ""]
)
def test_how_a_request_is_framed_is_not_for_a_channel_to_say(name: str) -> None:
    """A header that would change where the request ends, and what is no header's name, is refused."""
    with pytest.raises(ValueError, match="header"):
        request_bytes("POST", "a.test", "/", {name: "5"}, b"")


@given(
    method=st.sampled_from(["POST", "PO ST", "GET\r\n"]) | st.text(max_size=5),
    target=st.just("/") | st.text(max_size=9).map("/".__add__) | st.text(max_size=9),
    headers=st.dictionaries(
        st.sampled_from(["X-Key", "x\r\nY"]) | st.text(max_size=9), st.text(max_size=20), max_size=3
    ),
)
def test_nothing_given_becomes_another_line(method: str, target: str, headers: dict[str, str]) -> None:
    """Whatever stands in method, target and headers, what leaves has the lines that were meant, or nothing leaves."""
    try:
        sent = request_bytes(method, "a.test", target, headers, b"body")
    except ValueError:
        return
    head, end, body = sent.partition(b"\r\n\r\n")
    lines = head.replace(b"\r\n", b"\n").replace(b"\r", b"\n").replace(b"\0", b"\n").split(b"\n")
    assert (end, body) == (b"\r\n\r\n", b"body")
    assert lines[0].split(b" ") == [method.encode(), target.encode(), b"HTTP/1.1"]
    defaults = {"user-agent", "accept", "accept-encoding"} - {name.lower() for name in headers}
    assert len(lines) == 1 + 1 + len(defaults) + len(headers) + 1


@pytest.mark.parametrize("mark", ["\r\nX: 1", "\n", "\r", "\0", "\ud800"])
@pytest.mark.parametrize("where", [0, 1, 2])
def test_nothing_given_can_end_its_line(where: int, mark: str) -> None:
    """A secret or an address with a line end inside is refused, and not repeated in the error."""
    host, target, value = ("/secret" + mark * (place == where) for place in range(3))
    with pytest.raises(ValueError, match=r"^((?!secret).)*$"):
        request_bytes("POST", host, target, {"X-Key": value}, b"")


KEPT = {
    "a length": OK + LENGTH + b"\r\nbody",
    "chunks": OK + CHUNKED + b"\r\n2\r\nbo\r\n2;name=value\r\ndy\r\n0\r\n\r\n",
    "chunks in capitals and trailers": OK + CHUNKED.upper() + b"\r\n00004  \r\nbody\r\n0\r\nX-Sum: 1\r\n\r\n",
    "a promise first": b"HTTP/1.1 103 Early\r\nLink: x\r\n\r\nHTTP/1.1 100 Go\r\n\r\n" + OK + LENGTH + b"\r\nbody",
    "no word for the status": b"HTTP/1.1 200\r\n" + LENGTH + b"Connection: Keep-Alive\r\n\r\nbody",
}


@pytest.mark.parametrize("data", KEPT.values(), ids=KEPT)
def test_a_usual_answer_leaves_the_connection_for_another(data: bytes) -> None:
    """What HTTP allows and providers do is read, and the connection may be used again."""
    got = read([data])
    assert (got.status, got.body, got.keeps) == (200, b"body", True)


UNUSUAL = {
    "something behind it": OK + LENGTH + b"\r\nbodyHTTP/1.1 200 OK\r\n\r\n",
    "ended by the connection": OK + b"\r\nbody",
    "HTTP/1.0": b"HTTP/1.0 200 OK\r\nConnection: keep-alive\r\n" + LENGTH + b"\r\nbody",
    "told to close": OK + LENGTH + b"Connection: Close\r\n\r\nbody",
    "told both": OK + LENGTH + b"Connection: keep-alive\r\nConnection: close\r\n\r\nbody",
    "lines that end in LF alone": OK.replace(b"\r", b"") + LENGTH + b"\nbody",
    "a promise in lines of LF": b"HTTP/1.1 100 Go\n\n" + OK + LENGTH + b"\r\nbody",
}


@pytest.mark.parametrize("data", UNUSUAL.values(), ids=UNUSUAL)
def test_a_clear_but_unusual_answer_is_the_connections_last(data: bytes) -> None:
    """An answer that is clear counts, and nothing of its connection is taken for the next one."""
    got = read([data])
    assert (got.status, got.body, got.keeps) == (200, b"body", False)


UNCLEAR = {
    "nothing": b"",
    "another protocol": b"SSH-2.0-OpenSSH_9.6\r\n\r\n",
    "another version": b"HTTP/2 200 OK\r\n" + LENGTH + b"\r\nbody",
    "a protocol we did not ask for": b"HTTP/1.1 101 Switching\r\n\r\n" + OK + LENGTH + b"\r\nbody",
    "a status of two digits": b"HTTP/1.1 20 OK\r\n" + LENGTH + b"\r\nbody",
    "an empty line first": b"\r\n" + OK + LENGTH + b"\r\nbody",
    "half a head": OK + LENGTH,
    "half a body": OK + LENGTH + b"\r\nbo",
    "half a chunk": OK + CHUNKED + b"\r\n4\r\nbo",
    "chunks without an end": OK + CHUNKED + b"\r\n4\r\nbody\r\n0\r\n",
    "two lengths": OK + LENGTH + b"Content-Length: 2\r\n\r\nbody",
    "one length twice": OK + LENGTH + LENGTH + b"\r\nbody",
    "a length and chunks": OK + LENGTH + CHUNKED + b"\r\n4\r\nbody\r\n0\r\n\r\n",
    "chunks twice": OK + CHUNKED + CHUNKED + b"\r\n4\r\nbody\r\n0\r\n\r\n",
    "another coding": OK + b"Transfer-Encoding: gzip, chunked\r\n\r\n4\r\nbody\r\n0\r\n\r\n",
    "a length with a sign": OK + b"Content-Length: +4\r\n\r\nbody",
    "a length below nothing": OK + b"Content-Length: -4\r\n\r\nbody",
    "a length in other digits": OK + "Content-Length: ٤\r\n\r\nbody".encode(),
    "an endless length": OK + b"Content-Length: " + b"9" * 5_000 + b"\r\n\r\nbody",
    "a chunk's length with a sign": OK + CHUNKED + b"\r\n+4\r\nbody\r\n0\r\n\r\n",
    "a chunk's length in Python": OK + CHUNKED + b"\r\n0x4\r\nbody\r\n0\r\n\r\n",
    "a chunk longer than it says": OK + CHUNKED + b"\r\n3\r\nbody\r\n0\r\n\r\n",
    "a chunk's line that ends in LF": OK + CHUNKED + b"\r\n4\nbody\r\n0\r\n\r\n",
    "a chunk's line without an end": OK + CHUNKED + b"\r\n4;" + b"x" * 2_000 + b"\r\nbody\r\n0\r\n\r\n",
    "a folded header": OK + b"X: 1\r\n Content-Length: 4\r\n\r\nbody",
    "a space before the colon": OK + b"Content-Length : 4\r\n\r\nbody",
    "a header without a colon": OK + LENGTH + b"Server\r\n\r\nbody",
    "a lone CR": OK + b"X: 1\rContent-Length: 4\r\n\r\nbody",
    "a NUL": OK + LENGTH + b"X: \0\r\n\r\nbody",
    "an endless head": OK + b"X: " + b"x" * MAX_HEAD + b"\r\n\r\n",
    "endless headers": OK + LENGTH + b"X: 1\r\n" * MAX_FIELDS + b"\r\nbody",
    "endless trailers": OK + CHUNKED + b"\r\n0\r\n" + b"X: 1\r\n" * MAX_FIELDS + b"\r\n",
    "endless promises": b"HTTP/1.1 100 Go\r\n\r\n" * (MAX_INTERIM + 1) + OK + LENGTH + b"\r\nbody",
}  # fmt: skip


@pytest.mark.parametrize("data", UNCLEAR.values(), ids=UNCLEAR)
def test_an_unclear_answer_is_none(data: bytes) -> None:
    """What could be understood in two ways, or not to its end, is an error."""
    assert read([data]) == Read()


@pytest.mark.parametrize(
    ("method", "start"),
    [("HEAD", OK + LENGTH), ("POST", b"HTTP/1.1 204 None\r\n"), ("GET", b"HTTP/1.1 304 Same\r\n" + LENGTH)],
)
def test_an_answer_without_a_body_ends_with_its_head(method: str, start: bytes) -> None:
    """Where HTTP says that no body follows, none is waited for, and what follows after all spoils the connection."""
    assert read([start + b"\r\n"], method).keeps
    assert not read([start + b"\r\nbody"], method).keeps


def test_what_is_said_twice_is_a_list() -> None:
    """A header that comes again is joined to the first, under its name in lower case."""
    assert read([OK + b"Via: a\r\nVIA:  b \r\n" + LENGTH + b"\r\nbody"]).headers[0] == ("via", "a, b")


@pytest.mark.parametrize(
    "data",
    [
        OK + f"Content-Length: {MAX_ANSWER + 1}\r\n\r\n".encode(),
        OK + CHUNKED + f"\r\n{MAX_ANSWER + 1:x}\r\n".encode(),
        OK + CHUNKED + b"\r\n2\r\nxx\r\n" + f"{MAX_ANSWER - 1:x}\r\n".encode(),
        OK + b"\r\n" + b"x" * (MAX_ANSWER + 1),
    ],
    ids=["length", "chunk", "chunks", "connection"],
)
def test_too_much_is_refused_before_it_is_here(data: bytes) -> None:
    """One byte over the cap is an error of its own, however the length is told, without waiting for the rest."""
    with pytest.raises(AnswerTooLong):
        AnswerReader("GET").feed(data)


@pytest.mark.parametrize(
    "name",
    ["an endless head", "endless headers", "a chunk's line without an end", "endless trailers", "endless promises"],
)
def test_what_has_no_end_is_not_waited_for(name: str) -> None:
    """A head, a line or a row of them that grows without an end is given up before the connection ends or the deadline comes."""
    reader = AnswerReader("GET")

    def drip() -> None:
        for byte in UNCLEAR[name].rstrip() + b"x" * 2_000:
            reader.feed(bytes([byte]))

    with pytest.raises(BadAnswer):
        drip()


PLACES = st.lists(st.integers(0, 1_000), max_size=8)


@given(data=st.sampled_from([*KEPT.values(), *UNUSUAL.values(), *UNCLEAR.values()]), places=PLACES)
def test_how_an_answer_is_cut_changes_nothing(data: bytes, places: list[int]) -> None:
    """Bytes come in pieces of any size, and mean the same."""
    assert read(cut(data, places)) == read([data])


def test_byte_by_byte_changes_nothing() -> None:
    """The smallest pieces mean the same as the whole."""
    for data in [*KEPT.values(), *UNUSUAL.values()]:
        assert read([bytes([byte]) for byte in data]) == read([data])


MUTATION = st.tuples(
    st.integers(0, 1_000), st.integers(0, 4),
    st.sampled_from([b"", b"\r", b"\n", b"\r\n", b"\r\n\r\n", b":", b" ", b"\0", b"0", b"ffffffff", LENGTH, CHUNKED, OK])
    | st.binary(max_size=6),
)  # fmt: skip


@given(
    data=st.sampled_from([*KEPT.values(), *UNUSUAL.values(), *UNCLEAR.values()]) | st.binary(max_size=200),
    mutations=st.lists(MUTATION, max_size=6),
    places=PLACES,
    method=st.sampled_from(["POST", "HEAD"]),
)
def test_whatever_comes_is_an_answer_or_none(
    data: bytes, mutations: list[tuple[int, int, bytes]], places: list[int], method: str
) -> None:
    """Damaged in any way and cut in any way, it ends as a complete answer or as `BadAnswer`, and always as the same."""
    for place, gone, put in mutations:
        at = place % (len(data) + 1)
        data = data[:at] + put + data[at + gone :]
    assert read(cut(data, places), method) == read([data], method)


@given(
    status=st.integers(200, 599).filter(lambda code: code not in (204, 304)),
    headers=st.dictionaries(st.from_regex(r"x-[a-z]{1,8}", fullmatch=True), st.from_regex(r"([!-~]([ -~]*[!-~])?)?", fullmatch=True), max_size=5),
    chunks=st.lists(st.binary(min_size=1, max_size=50), max_size=5),
    chunked=st.booleans(),
    places=PLACES,
)  # fmt: skip
def test_every_answer_is_read_as_it_was_written(
    status: int, headers: dict[str, str], chunks: list[bytes], chunked: bool, places: list[int]
) -> None:  # fmt: skip
    """Status, headers and body come through unchanged, told by a length or in chunks."""
    body = b"".join(chunks)
    framing = {"transfer-encoding": "chunked"} if chunked else {"content-length": str(len(body))}
    head = "".join(f"{name}: {value}\r\n" for name, value in (headers | framing).items())
    told = b"".join(b"%x\r\n%b\r\n" % (len(chunk), chunk) for chunk in [*chunks, b""]) if chunked else body
    got = read(cut(f"HTTP/1.1 {status} Said\r\n{head}\r\n".encode() + told, places))
    assert got == Read(status, tuple((headers | framing).items()), body, keeps=True)
