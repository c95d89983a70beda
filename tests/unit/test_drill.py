"""A drill out of the live files: everything is on the wall, no live secret is read, every text is marked at both ends."""

from __future__ import annotations

import json
import sys
import tempfile
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from unit.speaking import SMALL

from dispatcher.channels.base import load_kind
from dispatcher.model.alert import Purpose
from dispatcher.model.cap import Realm, Severity
from dispatcher.model.delivery import IncidentId
from dispatcher.model.incident import IncidentHistory
from dispatcher.plan.compose import Speech, compose
from dispatcher.plan.phrases import EXERCISE
from dispatcher.settings import load

WALL = "http://127.0.0.1:4711"
LIVE = "live-secret"

_OPENED: list[str] = []


def _note(event: str, arguments: tuple[Any, ...]) -> None:
    if event == "open" and LIVE in str(arguments[0]):
        _OPENED.append(str(arguments[0]))


sys.addaudithook(_note)

SECRET = st.sampled_from([{"credential": {"token_file": f"{LIVE}-1"}}, {"credential": {"token_env": "LIVE_SECRET"}}])
HOST = st.sampled_from(["https://live.example", "https://other.example/base"])
ENTRY = st.one_of(
    st.builds(lambda s, h: {"kind": "facebook_page", "page_id": "1", "base_url": h, **s}, SECRET, HOST),
    st.builds(lambda s, h: {"kind": "mastodon", "base_url": h, **s}, SECRET, HOST),
    st.builds(lambda s, h: {"kind": "ntfy", "url": f"{h}/topic", **s}, SECRET, HOST),
    st.builds(lambda h: {"kind": "webhook", "url": f"{h}/hook", "secret_file": f"{LIVE}-2"}, HOST),
    st.builds(lambda s, h: {"kind": "whatsapp_channel", "via": "waha", "chat_id": "12036300000000001@newsletter",
                            "base_url": h, **s}, SECRET, HOST),
    st.just({"kind": "whatsapp_channel"}),
    st.builds(lambda size: {"kind": "by_hand", "limit": size}, st.integers(600, 5_000)),
)  # fmt: skip
BROKER = st.sampled_from([None, {"url": "mqtts://broker.live.example", "username": "x", "password_file": f"{LIVE}-3"}])


@settings(max_examples=40)
@given(
    entries=st.lists(ENTRY, min_size=1, max_size=6),
    broker=BROKER,
    purpose=st.sampled_from([p for p in Purpose if p.spoken]),
)
def test_a_drill_can_reach_nobody(entries: list[dict[str, Any]], broker: Any, purpose: Purpose) -> None:
    """Whatever the live files name, the drill calls only the wall, opens no live secret, and marks every text twice."""
    _OPENED.clear()
    with tempfile.TemporaryDirectory() as made:
        folder = Path(made)
        (folder / "secrets").mkdir()
        (folder / "playbooks").mkdir()
        (folder / "playbooks" / "fire.yaml").write_text(SMALL)
        config = {
            "realm": "live", "sender": {"name": "Stadt Leer"}, "playbooks": "playbooks",
            "channels": {f"c{number}": entry for number, entry in enumerate(entries)}, **({"broker": broker} if broker else {}),
        }  # fmt: skip
        (folder / "dispatcher.yaml").write_text(json.dumps(config))
        loaded = load(folder / "dispatcher.yaml", wall=WALL, drill=folder / "secrets")
        secrets = {setting.token() for _, setting in loaded.channels.values()}

    bases = {setting.base for _, setting in loaded.channels.values()}
    assert all(base == "" or base.startswith(f"{WALL}/") or base == WALL for base in bases)
    assert (_OPENED, loaded.broker, loaded.deployment.realm) == ([], None, Realm.EXERCISE)
    assert all(secret == "" or secret.startswith("whsec_") for secret in secrets)
    speech = Speech(
        purpose=purpose, playbook=loaded.deployment.playbooks[0], regions=(loaded.deployment.regions[0].id,),
        severity=Severity.EXTREME, place="Bahnhof", facts={}, back=True,
    )  # fmt: skip
    now = datetime(2026, 11, 20, tzinfo=UTC)
    words = compose(
        speech, loaded.deployment, IncidentHistory(id=IncidentId("i")), now, incident=IncidentId("i"), event_key="k"
    )
    for texts in words.alert.texts.values() if words.alert else ():
        for text in (texts.first, texts.follow_up, texts.repetition):
            marks = (EXERCISE, "ÜBUNG", "DRILL")
            assert text.body.startswith(marks)
            assert text.body.endswith(marks)


@pytest.mark.parametrize("kind", ["facebook_page", "mastodon", "ntfy", "webhook", "whatsapp_channel"])
def test_every_kind_that_calls_knows_its_wall(kind: str) -> None:
    """A kind that calls a provider says which of its fields point at the wall."""
    fields = load_kind(kind).drill("c1", "/made/up")
    assert any(str(value).startswith("wall://") for value in fields.values())
    assert "/made/up" in json.dumps(fields)
