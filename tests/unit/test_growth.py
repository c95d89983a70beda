"""Work grows with the number of channels, not with its square: counted in lines of code, not in seconds."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from types import FrameType
from typing import Any

from house import Road, alert, channel, delivery, deployment, road, speak

import dispatcher
from dispatcher.launch import Outgoing
from dispatcher.model.cap import RegionId
from dispatcher.model.channel import Power
from dispatcher.model.command import Release
from dispatcher.model.delivery import DeliveryState
from dispatcher.model.playbook import ChannelRule
from dispatcher.plan.standby import standbys
from dispatcher.recovery import PAGE

OURS = str(Path(dispatcher.__file__).parent)
FEW, MANY = 150, 450  # three times as many; three times nine where it is the square that grows


@dataclass
class Lines:
    """How many of our own lines ran, those of comprehensions counted each time round."""

    count: int = 0

    def __call__(self, frame: FrameType, event: str, _: Any) -> Lines | None:
        """Count, and go on only with what is ours."""
        if not frame.f_code.co_filename.startswith(OURS):
            return None
        self.count += 1
        return self


@contextmanager
def counted() -> Iterator[Lines]:
    """The lines that run meanwhile, on this thread."""
    before, lines = sys.gettrace(), Lines()
    sys.settrace(lines)
    try:
        yield lines
    finally:
        sys.settrace(before)


async def an_alert(found: Road) -> None:
    """It goes to all."""
    await found.receive()


async def an_update(found: Road) -> None:
    """A machine's, to all who had the alert."""
    await found.receive(id="2", msg_type="update")


async def a_correction(found: Road) -> None:
    """A person's, after which every post is changed."""
    await found.pipeline.command(speak())


async def an_end(found: Road) -> None:
    """Prepared for a source that took another incident back, and released by a person."""
    await found.receive(id="3", incident="i2")
    await found.quiet()
    await found.receive(id="4", incident="i2", msg_type="cancel")
    end = (await found.alerts("i2"))[-1]
    await found.pipeline.command(Release(person="anna", alert=end.alert.id, digest=end.digest))


WORDS = (an_alert, an_update, a_correction, an_end)


async def lines_of(folder: Path, channels: int) -> dict[str, int]:
    """Lines for each of an incident's words to so many channels, from event to last outcome."""
    folder.mkdir()
    where = deployment(channels=tuple(channel(f"w-{n}", powers=frozenset({Power.EDIT})) for n in range(channels)))
    found = {}
    async with road(folder, where) as town:
        for word in WORDS:
            with counted() as lines:
                await word(town)
                await town.quiet()
            found[word.__name__] = lines.count
    assert [len(fake.edits) for fake in town.fakes.values()] == [2] * channels  # both earlier posts of each
    return found


async def test_work_grows_with_the_channels(tmp_path: Path) -> None:
    """Three times as many channels are about three times as much work, for every word of an incident."""
    few, many = await lines_of(tmp_path / "few", FEW), await lines_of(tmp_path / "many", MANY)
    times = {word: round(many[word] / lines, 1) for word, lines in few.items()}
    assert all(times[word.__name__] < 3.3 for word in WORDS), times


def lines_of_standbys(regions: int) -> int:
    """Lines until it is known who stands by for whom, where each of so many regions has one who speaks and one behind."""
    pairs = [[channel(f"{kind}-{n}", f"r{n}") for n in range(regions)] for kind in ("web", "sms")]
    where = deployment(channels=(*pairs[0], *pairs[1]))
    rule, area = ChannelRule(fallback={"web": ("sms",)}), frozenset(RegionId(f"r{n}") for n in range(regions))
    with counted() as lines:
        found = standbys(rule, pairs[0], area, where)
    assert found == {behind.id: (first.id,) for first, behind in zip(*pairs, strict=True)}
    return lines.count


def test_standbys_grow_with_the_channels() -> None:
    """Who stands by for whom is looked up: nobody asks every channel about every other."""
    assert lines_of_standbys(MANY) < 3.3 * lines_of_standbys(FEW)


async def test_what_is_late_is_ended_in_pages(tmp_path: Path) -> None:
    """However much has run late at once, the journal is free for others in between."""
    late = [Outgoing(delivery(DeliveryState.QUEUED, channel=f"w-{n}"), alert()) for n in range(3 * PAGE)]
    async with road(tmp_path, working=False) as town:
        pages = list[object]()
        town.recovery.steps.called = pages.append
        await town.recovery.expire(late)
    assert len(pages) == 3
