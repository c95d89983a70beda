"""Incident events: a strict reader of bytes, lenient about fields, that never fails in any other way than it says."""

from __future__ import annotations

import gc
import json
import time
from datetime import UTC
from typing import Any

import pytest
from house import NOW, event, payload
from hypothesis import example, given
from hypothesis import strategies as st

from dispatcher.model.cap import Certainty, MsgType, Severity, Status, Urgency
from dispatcher.model.channel import ChannelId
from dispatcher.model.delivery import IncidentId
from dispatcher.model.errors import Unreadable
from dispatcher.model.incident import (
    MAX_BYTES,
    MAX_DEPTH,
    IncidentEvent,
    IncidentHistory,
    LaneHistory,
    clean,
    parse_event,
    read_json,
)

JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=12),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=8), inner, max_size=4),
    max_leaves=12,
)
FIELDS = json.loads(payload()) | {
    "severity": "severe", "urgency": "past", "certainty": "likely", "expires": NOW.isoformat(), "sequence": 3,
    "facts": {"gate": "Nord"}, "reason": "all_clear", "playbooks": ["amok"], "source": "control-room",
}  # fmt: skip

HUNDREDS = [f"r{number}" for number in range(1_000)]
CHANGED = {"msg_type": "update", "status": "test", "area": {"regions": ["emden"]}}


def parse(data: bytes) -> IncidentEvent:
    """The event in ``data``, as it came from the control room."""
    return parse_event(data, source="control-room", received_at=NOW)


def read(data: bytes) -> IncidentEvent | Unreadable:
    """The event in ``data``, or why it cannot be read."""
    try:
        return parse(data)
    except Unreadable as error:
        return error


def refusal(data: bytes) -> Unreadable:
    """Why ``data`` cannot be read."""
    refused = read(data)
    assert isinstance(refused, Unreadable)
    return refused


@pytest.mark.parametrize(
    ("data", "why"),
    [
        (b"", "not JSON"),
        (b"{", "not JSON"),
        (b"\xff{}", "not UTF-8 at byte 0"),
        (b"[]", "not a JSON object"),
        (b"3", "not a JSON object"),
        (b'{"v": 1, "v": 1}', "v: the key stands twice"),
        (b'{"v": 1, "facts": {"a": 1, "b": 2, "a": 3}}', "a: the key stands twice"),
        (b'{"v": NaN}', "NaN is no JSON number"),
        (b'{"v": -Infinity}', "-Infinity is no JSON number"),
        (b'{"v": 1e999}', "'1e999' is no JSON number"),
        (b'{"v": "\\ud800"}', "a lone surrogate"),
        (b'{"\\udfff": 1}', "a lone surrogate"),
        (b"\xed\xa0\x80", "not UTF-8"),
        (b'{"v": ' + b"9" * 5_000 + b"}", "not JSON"),
        (b"[" * 100_000, "nested deeper than 32 levels"),
        (b'{"a":' * 50_000, "nested deeper than 32 levels"),
        (b" " * (MAX_BYTES + 1), "at most 262144 are read"),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_bytes_with_no_single_meaning_are_refused(data: bytes, why: str) -> None:
    """What is too big, too deep, not UTF-8, not one JSON object or could be read in two ways is refused, with why."""
    assert why in str(refusal(data))


def test_the_limits_themselves_are_read() -> None:
    """Exactly the allowed size and depth are read; brackets inside texts do not count as depth."""
    assert read_json(b" " * (MAX_BYTES - 2) + b"{}") == {}
    deepest = b'{"a":' * MAX_DEPTH + b"1" + b"}" * MAX_DEPTH
    assert read_json(deepest)
    with pytest.raises(Unreadable, match="deeper"):
        read_json(b'{"a":' + deepest + b"}")
    quoted = json.dumps({"a": '["\\' * 100}).encode()
    assert read_json(quoted) == {"a": '["\\' * 100}
    assert read_json(b'{"a": [' + b"[1]," * 100 + b"1]}")


def full_of(size: int, piece: str, end: str = "") -> bytes:
    """An object of about ``size`` bytes full of ``piece``; ``#`` counts up, and in ``end`` is the last number."""
    count = (size - 20) // len(piece.replace("#", "00000"))
    pieces = [piece.replace("#", f"{number:05}") for number in range(count)]
    return "".join(["{", *pieces, end.replace("#", f"{count - 1:05}")]).encode()


def cost_of_refusing(data: bytes) -> float:
    """The least of three goes, in seconds of processor time, without the memory of other tests being tidied up."""
    costs = []
    gc.disable()
    try:
        for _ in range(3):
            started = time.process_time()
            refusal(data)
            costs.append(time.process_time() - started)
    finally:
        gc.enable()
    return min(costs)


@pytest.mark.parametrize(
    "pieces",
    [('"#":1,', '"#":2}'), ('"',), ("\\",), ('"\\"',), ('"\\',), ('"[": {} ,',)],
    ids=["keys", "quotes", "backslashes", "escaped quotes", "open strings", "brackets in strings"],
)
def test_no_payload_takes_long(pieces: tuple[str, ...]) -> None:
    """However it is made to be hard to read, what eight times as long a payload costs is near to eight times as much."""
    assert cost_of_refusing(full_of(MAX_BYTES, *pieces)) < 24 * cost_of_refusing(full_of(MAX_BYTES // 8, *pieces))


@pytest.mark.parametrize(
    ("field", "changes"),
    [
        ("v", {"v": None}),
        ("v", {"v": 2}),
        ("v", {"v": "1"}),
        ("id", {"id": None}),
        ("id", {"id": " \u200b "}),
        ("id", {"id": "x" * 201}),
        ("id", {"id": True}),
        ("kind", {"kind": ["amok"]}),
        ("incident", {"incident": {}}),
        ("status", {"status": None}),
        ("status", {"status": "draft"}),
        ("msg_type", {"msg_type": "ack"}),
        ("source", {"source": "someone-else"}),
        ("place", {"place": None, "area": None}),
        ("place", {"place": "x" * 81, "area": None}),
    ],
)
def test_what_an_alarm_cannot_do_without_is_named(field: str, changes: dict[str, Any]) -> None:
    """Without version, id, kind, status, incident and where it is, or with a false source, the culprit is named."""
    error = refusal(payload(**changes))
    assert error.field == field
    assert str(error) == f"{field}: {error.message}"


def test_everything_said_is_taken() -> None:
    """Every field of a complete event arrives, with nothing to warn of."""
    found = parse(json.dumps(FIELDS).encode())
    assert found.warnings == ()
    assert (found.id, found.source, found.incident, found.kind) == ("1", "control-room", "i1", "amok")
    assert (found.msg_type, found.status, found.place) == (MsgType.ALERT, Status.ACTUAL, "Schule am Deich")
    assert (found.severity, found.urgency, found.certainty) == (Severity.SEVERE, Urgency.PAST, Certainty.LIKELY)
    assert (found.sent, found.expires, found.sequence, found.area.regions) == (NOW, NOW, 3, ("leer",))
    assert (found.facts, found.reason, found.playbooks, found.unknown) == ({"gate": "Nord"}, "all_clear", ("amok",), {})


@pytest.mark.parametrize(
    ("changes", "name", "value"),
    [
        ({"severity": "terrible"}, "severity", None),
        ({"urgency": 3}, "urgency", None),
        ({"certainty": []}, "certainty", None),
        ({"sent": "yesterday"}, "sent", NOW),
        ({"sent": "2026-11-20T09:00:00"}, "sent", NOW),  # no offset
        ({"sent": None}, "sent", NOW),
        ({"expires": 1_800_000_000}, "expires", None),
        ({"expires": "0001-01-01T00:00:00+14:00"}, "expires", None),  # before time began, in UTC
        ({"expires": "9999-12-31T23:59:00-12:00"}, "expires", None),  # after it ended
        ({"sequence": "3"}, "sequence", None),
        ({"sequence": True}, "sequence", None),
        ({"facts": ["gate"]}, "facts", {}),
        ({"facts": {"a": "x" * 2_001, "b": 1}}, "facts.a", {"b": 1}),
        ({"facts": {"a": {"b": 1}}}, "facts.a", {}),
        ({"facts": {"a": [1] * 51}}, "facts.a", {}),
        ({"facts": {"a": [[1]]}}, "facts.a", {}),
        ({"facts": {"a": None}}, "facts.a", {}),
        ({"facts": {"a": 10**18, "b": 10**18 - 1}}, "facts.a", {"b": 10**18 - 1}),
        ({"facts": {"a": -(10**400)}}, "facts.a", {}),
        ({"facts": {"a": [10**18]}}, "facts.a", {}),
        ({"playbooks": "amok"}, "playbooks", ()),
        ({"playbooks": [1]}, "playbooks", ()),
        ({"reason": "x" * 201}, "reason", ""),
        ({"place": "x" * 81}, "place", ""),
        ({"id": 17}, "id", "17"),
    ],
)
def test_what_is_odd_is_warned_about_and_never_refused(changes: dict[str, Any], name: str, value: Any) -> None:
    """A field that cannot be taken is left out, with a warning that names it and no other; the alarm goes on."""
    found = event(**changes)
    assert {warning.partition(":")[0] for warning in found.warnings} == {name}
    assert getattr(found, name.partition(".")[0]) == value


def test_unknown_fields_are_kept() -> None:
    """A field this version does not know is kept as it came, with a warning."""
    found = event(colour="red", extra={"deep": [1]})
    assert found.unknown == {"colour": "red", "extra": {"deep": [1]}}
    assert found.warnings == ("colour: unknown field, kept", "extra: unknown field, kept")


def test_times_keep_their_instant() -> None:
    """A time in any offset is the same instant afterwards, told in UTC."""
    found = event(sent="2026-11-20T10:40:00+01:00")
    assert found.sent == NOW
    assert found.sent.tzinfo is UTC


@pytest.mark.parametrize(
    ("area", "regions", "shape"),
    [
        ({"regions": ["leer", " 03402 "]}, ("leer", "03402"), {}),
        ({"regions": ["x"] * 60}, ("x",), {}),
        ({"regions": HUNDREDS}, tuple(HUNDREDS), {}),
        ({"regions": [*HUNDREDS, "leer"]}, (), {"regions": [*HUNDREDS, "leer"]}),
        ({"regions": []}, (), {"regions": []}),
        ({"regions": [1]}, (), {"regions": [1]}),
        ({"point": [7.4, 53.2]}, (), {"point": [7.4, 53.2]}),
        ("Leer", (), {"unreadable": "Leer"}),
        ({}, (), {"unreadable": {}}),
    ],
)
def test_an_area_is_never_lost(area: Any, regions: tuple[str, ...], shape: dict[str, Any]) -> None:
    """Whatever is no list of regions stays a shape that has to be asked about; it never turns into no area."""
    found = event(area=area).area
    assert found
    assert (found.regions, found.shape) == (regions, shape)


@given(st.permutations(list(FIELDS.items())), st.sampled_from([None, 1, "\t"]))
def test_the_digest_is_the_content(items: list[tuple[str, Any]], indent: int | str | None) -> None:
    """The same content has the same digest in whatever order and with whatever white space it is written."""
    written = json.dumps(dict(items), indent=indent, ensure_ascii=indent is None).encode()
    assert parse(written).digest == parse(json.dumps(FIELDS).encode()).digest


@pytest.mark.parametrize("name", [name for name in FIELDS if name not in {"v", "source"}])
def test_the_digest_sees_every_field(name: str) -> None:
    """A change of any field is other content, even where the event means the same."""
    changed = parse(json.dumps(FIELDS | {name: CHANGED.get(name, "other")}).encode())
    assert changed.digest != parse(json.dumps(FIELDS).encode()).digest


@given(st.binary(max_size=200) | JSON.map(lambda value: json.dumps(value).encode()))
@example(b'{"v": 1, "id": "1", "kind": "k", "incident": "i", "status": "actual", "area": {"regions": [""]}}')
def test_any_bytes_are_read_or_refused(data: bytes) -> None:
    """Whatever arrives is an event or `Unreadable`; no bytes make the reader fail in another way."""
    found = read(data)
    assert str(found) if isinstance(found, Unreadable) else found.id


@given(st.dictionaries(st.sampled_from([*FIELDS, "other"]), JSON, max_size=6))
def test_any_values_are_read_or_refused(changes: dict[str, Any]) -> None:
    """Whatever stands in the fields, the event is read or refused, and what is read is of the right type."""
    found = read(json.dumps(FIELDS | changes).encode())
    if isinstance(found, IncidentEvent):
        assert found.sent.tzinfo is not None
        assert isinstance(found.severity, Severity | None)
        assert all(isinstance(region, str) for region in found.area.regions)
        assert len(found.place) <= 80


def test_invisible_characters_are_taken_out() -> None:
    """Controls, direction marks and zero-width signs leave single spaces; a longer text is none."""
    assert clean(" a\u202eb\u200b\u200bc\n\td\x00 ") == "a b c d"
    assert clean("abc", 3) == "abc"
    assert clean("abcd", 3) == ""


def test_carriers_are_all_that_may_have_spoken() -> None:
    """A channel counts as a carrier if it carried anything, certainly or possibly, and not if it only waited."""
    lanes = {
        ChannelId("sure"): LaneHistory(carried=True),
        ChannelId("maybe"): LaneHistory(may_have_carried=True),
        ChannelId("waits"): LaneHistory(),
    }
    assert IncidentHistory(id=IncidentId("i1"), lanes=lanes).carriers == {"sure", "maybe"}
