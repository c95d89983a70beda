"""What people decide, carried out: the road calls it with the locks of the incidents concerned held."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Self

from dispatcher.decisions.means import Means
from dispatcher.decisions.posting import Posting
from dispatcher.decisions.releasing import Releasing
from dispatcher.decisions.speaking import Speaking
from dispatcher.decisions.stopping import Stopping

__all__ = ["Decisions", "Means"]


@dataclass(frozen=True, slots=True)
class Decisions:
    """Everything that people decide, by what it is about."""

    means: Means
    speaking: Speaking
    releasing: Releasing
    stopping: Stopping
    posting: Posting

    @classmethod
    def over(cls, means: Means) -> Self:
        """All of them over the same ``means``."""
        return cls(means, Speaking(means), Releasing(means), Stopping(means), Posting(means))
