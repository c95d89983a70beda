"""Systems that speak their own JSON: what is made of their words, and what is refused."""

from __future__ import annotations

import contextlib
import json
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError
from unit.house import NOW, deployment, payload, playbook, road

from dispatcher.documents import read_yaml
from dispatcher.intake.base import Inbound
from dispatcher.intake.foreign import pointed
from dispatcher.intake.reader import read, read_as
from dispatcher.intake.signature import new_key, sign
from dispatcher.intake.topics import Topics, fits
from dispatcher.model.cap import MsgType, Severity, Status
from dispatcher.model.errors import BadSignature, Unreadable
from dispatcher.model.source import Signature, Source
from dispatcher.settings.reporters import load_reporters

EXAMPLES = Path(__file__).parents[2] / "examples" / "sources"
FILE = EXAMPLES / "sources.yaml"
LOADED = load_reporters([read_yaml(FILE.read_text(), str(FILE))], signing=True)
MAPS = [source for source in LOADED.sources.values() if source]


def example(name: str, source: str, **changes: Any) -> tuple[bytes, Source]:
    """An example message, changed at its top, and the source it comes from."""
    found = LOADED.sources[source]
    assert found is not None
    return json.dumps({**json.loads((EXAMPLES / name).read_text()), **changes}).encode(), found


def test_the_examples_load() -> None:
    """The shipped examples of maps have no problem."""
    assert (LOADED.problems, len(MAPS)) == ([], 3)


def test_a_flat_message_is_read() -> None:
    """German names, a table of states and a time without a zone become the fields of an event."""
    event = read_as(*example("flat.json", "leitstelle-leer"), "leitstelle-leer", NOW)
    assert (event.id, event.incident, event.kind, event.sequence) == ("4711", "2026-11-0815", "amok", 17)
    assert (event.msg_type, event.status, event.severity) == (MsgType.ALERT, Status.EXERCISE, Severity.EXTREME)
    assert (event.place, event.area.regions) == ("Berufsbildende Schulen", ("03457",))
    assert event.sent == datetime(2026, 11, 21, 8, 40, 12, tzinfo=UTC)


def test_a_nested_message_is_read() -> None:
    """Pointers lead into the depth, lists of districts and facts included."""
    event = read_as(*example("nested.json", "landesleitstelle"), "landesleitstelle", NOW)
    assert (event.kind, event.severity, event.area.regions) == ("bomb_threat", Severity.SEVERE, ("03404", "03459"))
    assert event.facts == {"meeting_point": "Ludwig-Windthorst-Straße"}


def test_a_geojson_feature_is_read() -> None:
    """A Feature's properties say what and where; its own geometry is not guessed at."""
    event = read_as(*example("feature.json", "lagekarte"), "lagekarte", NOW)
    assert (event.id, event.incident, event.area.regions, event.area.shape) == ("geo-5521", "V-3301", ("03404",), {})


def test_a_word_that_no_table_knows_is_said() -> None:
    """An unknown state takes the default with a note; an unknown kind is refused, with the word that was found."""
    event = read_as(*example("flat.json", "leitstelle-leer", Zustand="SEHR NEU"), "x", NOW)
    assert (event.msg_type, event.warnings[0]) == (MsgType.UPDATE, "msg_type: 'SEHR NEU' is not in the table")
    with pytest.raises(Unreadable, match=r"kind: 'KATZE' is not in the table"):
        read_as(*example("flat.json", "leitstelle-leer", Stichwort="KATZE"), "x", NOW)
    with pytest.raises(Unreadable, match="id: nothing at /MeldungId"):
        read_as(*example("flat.json", "leitstelle-leer", MeldungId=None), "x", NOW)


def test_the_same_message_is_the_same_event() -> None:
    """A foreign message's digest is that of its own content, whatever the map makes of it."""
    first, second = (read_as(*example("flat.json", "leitstelle-leer", Melder=who), "x", NOW) for who in ("a", "b"))
    assert (first.id, first.digest == second.digest) == (second.id, False)


def test_a_message_without_an_id_has_its_digest() -> None:
    """Where the map says so, the message's own digest is its id: the same bytes are the same event."""
    rules = {
        "id": {"digest": True},
        "incident": "/n",
        "kind": {"value": "amok"},
        "status": {"value": "actual"},
        "place": "/p",
    }
    source = Source.model_validate({"map": rules})
    first, again, other = (read_as(json.dumps({"n": 1, "p": p}).encode(), source, "x", NOW).id for p in "aab")
    assert (first == again, first == other, len(first)) == (True, False, 32)


@pytest.mark.parametrize(
    ("pointer", "found"),
    [("/a/b~1c/1", 7), ("/a/~0", "tilde"), ("", {"a": {"b/c": [6, 7], "~": "tilde"}})],
)
def test_pointers_are_those_of_the_rfc(pointer: str, found: Any) -> None:
    """Slashes and tildes in names are escaped as RFC 6901 says, lists are counted from 0."""
    assert pointed({"a": {"b/c": [6, 7], "~": "tilde"}}, pointer) == found


@given(st.binary(max_size=200) | st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=8), lambda inner: st.lists(inner, max_size=3)
    | st.dictionaries(st.sampled_from(["header", "incident", "properties", "id", "MeldungId", "ref", "type"]), inner, max_size=4),
    max_leaves=12,
).map(lambda data: json.dumps(data).encode()), st.sampled_from(MAPS))  # fmt: skip
def test_whatever_comes_is_an_event_or_unreadable(raw: bytes, source: Source) -> None:
    """Any bytes from any mapped source become an event or are refused as unreadable, and nothing else happens."""
    with contextlib.suppress(Unreadable):
        assert read_as(raw, source, "x", NOW).id


@pytest.mark.parametrize(
    ("entry", "message"),
    [
        ({"map": {"id": "/a"}}, "nothing for incident, kind, status"),
        ({"map": {"nonsense": "/a"}}, "no field of an event"),
        ({"map": {"id": "a"}}, "no JSON pointer"),
        ({"map": {"id": {"pointer": "/a", "value": 1}}}, "one of them"),
        ({"topic": "a/#/b"}, "no MQTT topic filter"),
        ({"signature": {"keys": {"k": "AAAA"}}}, "no Ed25519 public key"),
    ],
)
def test_a_wrong_entry_is_named(entry: dict[str, Any], message: str) -> None:
    """What cannot work in a source's entry is refused with the place and the reason."""
    with pytest.raises(ValidationError, match=message):
        Source.model_validate(entry)


@pytest.mark.parametrize(
    ("topic_filter", "topic", "matches"),
    [
        ("a/b", "a/b", True), ("a/b", "a/b/c", False), ("a/+", "a/b", True), ("a/+", "a", False), ("a/#", "a/b/c", True),
        ("a/#", "a", True), ("+/b", "$SYS/b", False), ("#", "$SYS/b", False), ("a/+/c", "a/b/c", True),
    ],
)  # fmt: skip
def test_topics_match_as_mqtt_says(topic_filter: str, topic: str, matches: bool) -> None:
    """Single and multi level wildcards match as in the standard, and never topics that begin with a dollar sign."""
    assert fits(topic_filter, topic) is matches


def test_who_is_heard_where() -> None:
    """The standard topic names its source; a source with a topic of its own is heard there and nowhere else."""
    topics = Topics("control-room/live", LOADED.sources)
    assert topics.heard("control-room/live/els/incidents") == ("els", False)
    assert topics.heard("control-room/live/els/heartbeat") == ("els", True)
    assert topics.heard("einsatzleit/leer/meldung") == ("leitstelle-leer", False)
    assert topics.heard("einsatzleit/leer/puls") == ("leitstelle-leer", True)
    assert topics.heard("control-room/live/leitstelle-leer/incidents") == ("", False)
    assert set(topics.filters) >= {"control-room/live/+/incidents", "einsatzleit/leer/meldung"}


PRIVATE, PUBLIC = new_key()
SIGNING = {"els": Source(signature=Signature(keys={"k1": PUBLIC}))}


def signed(raw: bytes, *, signature: str | None = None, key_id: str = "k1", source: str = "els") -> Inbound:
    """An event with its signature, or another one."""
    found = sign(raw, PRIVATE) if signature is None else signature
    return Inbound(source=source, payload=raw, received_at=NOW, signature=found, key_id=key_id)


def test_a_signed_event_is_read() -> None:
    """The exact bytes, signed by a key of the source, sent just now: taken."""
    assert read(signed(payload()), SIGNING, NOW).source == "els"


@pytest.mark.parametrize(
    "inbound",
    [
        signed(payload(), signature=""),
        signed(payload(), key_id="k2"),
        signed(payload(), signature=sign(payload() + b" ", PRIVATE)),
        signed(payload(), signature=sign(payload(), new_key()[0])),
        signed(payload(), signature="no base64!"),
        signed(payload(sent=(NOW - timedelta(minutes=6)).isoformat())),
        signed(payload(sent=(NOW + timedelta(minutes=6)).isoformat())),
        signed(payload(sent=None)),
    ],
    ids=["unsigned", "unknown key", "other bytes", "other key", "no base64", "old", "early", "no time"],
)
def test_what_is_not_signed_well_is_refused(inbound: Inbound) -> None:
    """No signature, another's, one over other bytes, or an old message: refused, whoever sends it."""
    with pytest.raises(BadSignature):
        read(inbound, SIGNING, NOW)


async def test_a_bad_signature_is_kept_and_paged(tmp_path: Path) -> None:
    """A refused event is a dead letter, acknowledged, and staff hear that a signature did not fit."""
    where = deployment(playbook(), sources={"control-room": SIGNING["els"]})
    async with road(tmp_path, where) as found:
        receipt = await found.receive()
        await found.quiet()
        assert (receipt.state, found.acknowledged, await found.pages()) == ("unreadable", ["1"], ["signature"])
        assert found.said("website") == []


async def test_a_misconfigured_source_is_not_believed(tmp_path: Path) -> None:
    """Where a source's entry is broken its events are kept and paged: nobody guesses what it meant."""
    async with road(tmp_path, deployment(playbook(), sources={"control-room": None})) as found:
        receipt = await found.receive()
        assert (receipt.state, "misconfigured" in receipt.error) == ("unreadable", True)
