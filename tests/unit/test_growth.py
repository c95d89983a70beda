"""Work grows with the number of channels, not with its square: counted in lines of code, not in seconds."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from types import FrameType
from typing import Any

from house import Road, channel, deployment, road, speak

import dispatcher
from dispatcher.model.channel import Power
from dispatcher.model.command import Release

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
