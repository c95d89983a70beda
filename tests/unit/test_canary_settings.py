"""What the files may say about canaries, probes and the ends of credentials: a test never reaches the public by mistake."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from dispatcher.model.channel import ChannelId
from dispatcher.settings import Loaded, load

PAGE = {"kind": "facebook_page", "page_id": "1", "credential": {"token_env": "HOME"}}
SMS = {
    "kind": "sms", "via": "seven", "sender": "Leer", "credential": {"token_env": "HOME"}, "recipients_file": "all.txt",
}  # fmt: skip
OTHER = {"token_env": "PATH"}
NAME = ChannelId("channel")


def loaded(folder: Path, entry: dict[str, Any], realm: str = "live", drill: Path | None = None) -> Loaded:
    """A set with that one channel."""
    path = folder / "dispatcher.yaml"
    path.write_text(json.dumps({"realm": realm, "sender": {"name": "Stadt Leer"}, "channels": {NAME: entry}}))
    return load(path, drill=drill)


def test_a_canary_says_its_whole_address_anew(tmp_path: Path) -> None:
    """What is not said stays the channel's, but nothing of the public address does."""
    found = loaded(tmp_path, {**PAGE, "version": "v27.0", "canary": {"page_id": "2"}})
    kind, settings = found.canaries[NAME]
    assert (kind, found.problems) == ("facebook_page", ())
    assert (settings.page_id, settings.version) == ("2", "v27.0")  # type: ignore[attr-defined]
    _, settings = loaded(tmp_path, {**SMS, "canary": {"recipients": ["+4917000000001"]}}).canaries[NAME]
    assert (settings.recipients, settings.recipients_file) == (("+4917000000001",), None)  # type: ignore[attr-defined]


@pytest.mark.parametrize(
    ("entry", "said"),
    [
        ({**PAGE, "canary": {}}, "leads to no private target (name another: page_id)"),
        ({**PAGE, "canary": {"credential": OTHER}}, "leads to no private target"),
        ({**PAGE, "canary": {"page_id": "1", "credential": OTHER}}, "is where the public reads"),
        ({**PAGE, "canary": {"page_id": "2", "title": "Probe"}}, "canary.title: is no setting of this kind"),
        ({**PAGE, "canary": {"page_id": "x"}}, "page_id"),
        ({**SMS, "canary": {"sender": "Probe"}}, "leads to no private target"),
        ({"kind": "by_hand", "canary": {"limit": 500}}, "leads to no private target (leave the canary out)"),
    ],
)
def test_a_canary_that_could_be_public_is_left_out(tmp_path: Path, entry: dict[str, Any], said: str) -> None:
    """Whatever leads to no other place is named by file and line, and the channel itself speaks."""
    found = loaded(tmp_path, entry)
    assert (list(found.canaries), list(found.channels)) == ([], [NAME])
    assert said in str(found.problems[0])


def test_a_drill_has_no_canary_and_no_app(tmp_path: Path) -> None:
    """An exercise out of the live files neither posts to the live private target nor reads the app's secret."""
    (tmp_path / "secrets").mkdir()
    app = {"id": "1", "token_env": "HOME"}
    found = loaded(tmp_path, {**PAGE, "app": app, "canary": {"page_id": "2"}}, drill=tmp_path / "secrets")
    assert (found.canaries, found.problems) == ({}, ())
    assert found.channels[NAME][1].app is None  # type: ignore[attr-defined]


def test_the_wall_is_a_private_target_in_an_exercise(tmp_path: Path) -> None:
    """There a canary may lead to the wall as its channel does."""
    entry = {"kind": "ntfy", "realm": "exercise", "url": "wall://ntfy/duty", "canary": {"url": "wall://ntfy/probe"}}
    _, settings = loaded(tmp_path, entry, "exercise").canaries[NAME]
    assert settings.url == "http://127.0.0.1:8081/ntfy/probe"  # type: ignore[attr-defined]


def test_people_say_how_often_and_how_long(tmp_path: Path) -> None:
    """The last day of a credential counts to its end; probes come every three minutes where nothing else is said."""
    profile = loaded(tmp_path, PAGE).deployment.channels[NAME]
    assert (profile.probe_every, profile.valid_until) == (timedelta(minutes=3), None)
    ending = {**PAGE, "probe_every": "15m", "credential": {"token_env": "HOME", "valid_until": "2026-12-01"}}
    profile = loaded(tmp_path, ending).deployment.channels[NAME]
    assert profile.probe_every == timedelta(minutes=15)
    assert profile.valid_until == datetime(2026, 12, 1, 23, 59, 59, tzinfo=UTC)
    assert "probe_every" in str(loaded(tmp_path, {**PAGE, "probe_every": "10s"}).problems[0])
