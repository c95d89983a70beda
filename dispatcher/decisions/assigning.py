"""People name officers who are at work on an incident: from then on their own accounts stay silent about it."""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial

from dispatcher.decisions.means import Means
from dispatcher.journal.accounts import Assignment, assign
from dispatcher.model.account import silenced
from dispatcher.model.command import Assign
from dispatcher.model.delivery import IncidentId
from dispatcher.model.errors import NotFound
from dispatcher.telemetry import logger

log = logger("decisions")


@dataclass(frozen=True, slots=True)
class Assigning:
    """Carries out assignments."""

    means: Means

    async def assign(self, command: Assign) -> IncidentId:
        """Name them, and take out what waits for them; whoever is named already changes nothing. Raises `NotFound`."""
        means, history = self.means, await self.means.history(command.incident)
        if history.revision == 0:
            raise NotFound(f"no incident {command.incident}")
        news = tuple(dict.fromkeys(one for one in command.officers if one not in history.assigned))
        if not news:
            return command.incident
        assignment = Assignment(
            incident=command.incident, officers=news, person=command.person, revision=history.revision + 1,
            silenced=silenced(means.deployment.channels.values(), frozenset(news)),
        )  # fmt: skip
        with means.fenced(command.incident, assignment.revision, ends=False, left=assignment.silenced) as undo:
            await means.journal.write(partial(assign, assignment=assignment, at=means.clock.now()))
            undo.pop_all()
        log.info("assigned", incident=command.incident, officers=len(news), person=command.person)
        return command.incident
