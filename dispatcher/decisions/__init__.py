"""What people decide, carried out: the road calls it with the locks of the incidents concerned held."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Self

from dispatcher.decisions.assigning import Assigning
from dispatcher.decisions.means import Means
from dispatcher.decisions.parting import Parting
from dispatcher.decisions.posting import Posting
from dispatcher.decisions.releasing import Releasing
from dispatcher.decisions.speaking import Speaking
from dispatcher.decisions.stopping import Stopping
from dispatcher.model.command import Farewell, Resume, Stop

__all__ = ["Decisions", "Means"]


@dataclass(frozen=True, slots=True)
class Decisions:
    """Everything that people decide, by what it is about."""

    means: Means
    speaking: Speaking
    releasing: Releasing
    stopping: Stopping
    posting: Posting
    parting: Parting
    assigning: Assigning

    @classmethod
    def over(cls, means: Means) -> Self:
        """All of them over the same ``means``."""
        return cls(
            means, Speaking(means), Releasing(means), Stopping(means), Posting(means), Parting(means), Assigning(means)
        )  # fmt: skip

    async def apart(self, command: Stop | Resume | Farewell) -> str:
        """Carry out what concerns no single incident's words, and needs no lock."""
        match command:
            case Stop():
                return await self.stopping.stop(command)
            case Resume():
                return await self.stopping.resume(command)
            case Farewell():
                return await self.parting.farewell(command)
