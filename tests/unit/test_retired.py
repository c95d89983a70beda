"""A channel that is left behind: nothing new is told on it, what it carries is ended, and its readers are told once."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
from house import CHANNELS, LEER, PERMANENT, channel, deployment, in_turn, road, speak
from typer.testing import CliRunner
from unit.speaking import SENDER, SMALL

from dispatcher.cli import app
from dispatcher.model.alert import Purpose
from dispatcher.model.cap import Realm
from dispatcher.model.channel import ChannelId, ChannelProfile, ChannelState
from dispatcher.model.command import Farewell, Resend
from dispatcher.model.deployment import Deployment
from dispatcher.model.errors import Conflict, NotFound
from dispatcher.plan.library import load_library
from dispatcher.settings import load

ROOT = Path(__file__).parents[2]
X = channel(
    "x", state=ChannelState.RETIRED, successor="website", languages=("en", "de"),
    farewell=(("de", "Wir gehen."), ("en", "We are leaving.")),
)  # fmt: skip
BYE = Farewell(person="anna", channel=ChannelId("x"))


def left(profile: ChannelProfile = X) -> Deployment:
    """The usual deployment, which has left one channel."""
    return deployment(past_channels={profile.id: profile})


async def test_nothing_new_is_told_on_it(tmp_path: Path) -> None:
    """An incident goes to the channels that speak, and to none that is retired."""
    async with road(tmp_path, left()) as found:
        await found.receive()
        await found.quiet()
        assert set(await found.states()) == LEER
        assert found.said("x") == []


async def test_what_it_carries_is_ended_and_corrected(tmp_path: Path) -> None:
    """A false alarm goes where a channel spoke before it was retired, and its post is corrected; an update does not."""
    async with road(tmp_path, deployment(channels=(*CHANNELS, replace(X, state=ChannelState.ACTIVE)))) as found:
        await found.receive()
        await found.quiet()
    async with road(tmp_path, left()) as found:
        await found.pipeline.command(speak(Purpose.UPDATE, key="k1"))
        await found.pipeline.command(speak(Purpose.FALSE_ALARM, key="k2"))
        await found.quiet()
        assert found.said("x") == [(Purpose.FALSE_ALARM, "i1")]
        assert [edit.channel for edit in await found.edits(channel="x")] == ["x"]


async def test_an_end_that_failed_there_is_sent_again(tmp_path: Path) -> None:
    """A person may resend an end on a retired channel, and nothing else."""
    active = deployment(channels=(*CHANNELS, replace(X, state=ChannelState.ACTIVE)))
    async with road(tmp_path, active) as found:
        await found.receive(incident="i2", id="2")
        await found.quiet()
    async with road(tmp_path, active, x=in_turn(PERMANENT)) as found:
        await found.receive()
        await found.quiet()
    async with road(tmp_path, left(), x=in_turn(PERMANENT)) as found:
        (alert,) = await found.deliveries(channel="x")
        with pytest.raises(Conflict, match="x is not configured any more"):
            await found.pipeline.command(Resend(person="anna", delivery=alert.id))
        await found.pipeline.command(speak(Purpose.FALSE_ALARM, incident="i2"))
        await found.quiet()
        end = (await found.deliveries(channel="x", incident="i2"))[-1]
        assert end.state == "failed"
        await found.pipeline.command(Resend(person="anna", delivery=end.id))
        await found.quiet()
        assert (await found.deliveries(channel="x", incident="i2"))[-1].state == "accepted"


async def test_a_farewell_is_said_once(tmp_path: Path) -> None:
    """It goes out on that channel alone, signed, in the channel's order of languages; asked for again it is refused."""
    async with road(tmp_path, left()) as found:
        alert = await found.pipeline.command(BYE)
        await found.quiet()
        with pytest.raises(Conflict, match=f"x took its leave before: alert {alert}"):
            await found.pipeline.command(replace(BYE, person="ben"))
    async with road(tmp_path, left()) as again:
        with pytest.raises(Conflict, match="took its leave before"):
            await again.pipeline.command(BYE)
        assert again.said("x") == []
    [post] = found.fakes[ChannelId("x")].posts
    assert post.text.body == f"We are leaving.\n\n***\n\nWir gehen.\n\nPolizei Ostfriesland · {post.code}"
    assert (post.purpose, found.said("website")) == (Purpose.FAREWELL, [])


async def test_a_farewell_names_who_asked_for_it(tmp_path: Path) -> None:
    """The person stands with the alert, and a farewell that failed is theirs to send again."""
    async with road(tmp_path, left(), x=in_turn(PERMANENT)) as found:
        alert = await found.pipeline.command(BYE)
        await found.quiet()
        (record,) = await found.alerts(alert)
        assert (record.alert.requested_by, record.released_by) == ("anna", ("anna",))
        (failed,) = await found.all_deliveries(incident=alert)
        await found.pipeline.command(Resend(person="anna", delivery=failed.id))
        await found.quiet()
        assert (await found.all_deliveries(incident=alert))[0].state == "accepted"


@pytest.mark.parametrize(
    ("profile", "said"),
    [
        (replace(X, farewell=()), "has nothing to say"),
        (replace(X, farewell=(("de", "x" * 2_001),)), "takes 2000 characters"),
    ],
)
async def test_a_farewell_that_cannot_be_said_is_refused(profile: ChannelProfile, said: str, tmp_path: Path) -> None:
    """Nothing to say, or too much of it: the person hears why, and nothing is written."""
    async with road(tmp_path, left(profile)) as found:
        with pytest.raises(Conflict, match=said):
            await found.pipeline.command(BYE)
        with pytest.raises(Conflict, match="website is active"):
            await found.pipeline.command(replace(BYE, channel=ChannelId("website")))
        with pytest.raises(NotFound, match="no channel y"):
            await found.pipeline.command(replace(BYE, channel=ChannelId("y")))
        assert await found.kinds() == []


@pytest.mark.parametrize(
    ("rule", "field"),
    [
        ("only: [website, x]", "channels.only.1"),
        ("fallback: {x: [website]}", "channels.fallback.x"),
        ("fallback: {website: [x]}", "channels.fallback.website"),
    ],
)
def test_a_playbook_that_names_it_is_refused(rule: str, field: str) -> None:
    """Place, successor and remedy are told; a playbook that names nobody loads, and is not tried on the channel."""
    tiny = replace(X, limit=replace(X.limit, size=30))
    text = SMALL.replace("texts:", f"channels: {{{rule}}}\ntexts:", 1)
    files = {"fire.yaml": text, "flood.yaml": SMALL.replace("playbook: fire", "playbook: flood")}
    names = {"x", "website"}
    books, problems = load_library(files, [channel("website"), tiny], SENDER, Realm.LIVE, channel_names=names)
    assert [book.id for book in books] == ["flood"]
    [problem] = problems
    assert (problem.file, problem.line, problem.field) == ("fire.yaml", 9, field)
    assert problem.message == "channel x is retired, its successor is website"
    assert problem.remedy == "name website instead"


MAIN = """\
realm: live
sender: {name: Stadt Leer}
channels:
  website: {kind: by_hand}
  board: {kind: by_hand, limit: 500, state: retired, successor: website, farewell: {de: Wir gehen.}}
  duty-team: {kind: by_hand, audience: staff}
people:
  anna: {role: supervisor, channels: [duty-team]}
escalation: [anna]
"""


@pytest.mark.parametrize(
    ("old", "new", "said"),
    [
        ("successor: website", "successor: board", "channels.board.successor: 'board' is no active channel"),
        ("successor: website", "successor: wesite", "name one that speaks: website, duty-team"),
        ("limit: 500", "limit: 40", "channels.board.farewell: needs 45 characters, the channel takes 40"),
        ("duty-team]}", "board]}", "people.anna.channels: no channel 'board'"),
    ],
)
def test_what_is_wrong_with_a_parting_is_told(old: str, new: str, said: str, tmp_path: Path) -> None:
    """A successor that does not speak and a farewell too long are errors, and the channel stays for what it has to end."""
    path = tmp_path / "dispatcher.yaml"
    path.write_text(MAIN)
    assert load(path).problems == ()
    path.write_text(MAIN.replace(old, new))
    loaded = load(path)
    assert said in " ".join(map(str, loaded.problems))
    assert [one.id for one in loaded.deployment.retired()] == ["board"]
    assert set(loaded.channels) == {"website", "board", "duty-team"}


def test_the_model_has_left_x() -> None:
    """The model configuration keeps X for its farewell, which fits there, and `check` counts it apart."""
    deployment = load(ROOT / "config/dispatcher.yaml").deployment
    [gone] = deployment.retired()
    assert (gone.id, gone.successor, dict(gone.farewell).keys()) == ("x", "mastodon", {"de"})
    told = CliRunner().invoke(app, ["check", str(ROOT / "config/dispatcher.yaml")])
    assert "channels 14 and 1 retired" in told.output


async def test_a_reload_retires_and_takes_back(tmp_path: Path) -> None:
    """What a reload retires tells nothing new and takes its leave; what the next one makes active again speaks."""
    speaking = deployment(channels=(*CHANNELS, replace(X, state=ChannelState.ACTIVE)))
    async with road(tmp_path, speaking) as found:
        setup = found.pipeline.setup
        setup.replace(left(), found.fakes)
        await found.receive()
        await found.pipeline.command(BYE)
        await found.quiet()
        assert [purpose for purpose, _ in found.said("x")] == [Purpose.FAREWELL]
        setup.replace(speaking, found.fakes)
        await found.receive(id="2", incident="i2")
        await found.quiet()
        assert found.said("x")[-1] == (Purpose.ALERT, "i2")
        assert setup.deployment.retired() == ()
