"""People stop and resume: nothing leaves where they said so, across restarts, until they lift it."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, field, replace
from functools import partial

from dispatcher.decisions.means import Means
from dispatcher.journal import queries, standing
from dispatcher.journal.standing import StopRow
from dispatcher.model.channel import ChannelId
from dispatcher.model.command import Resume, Scope, Stop
from dispatcher.model.delivery import IncidentId
from dispatcher.model.errors import Conflict, Invalid, NotFound
from dispatcher.telemetry import logger

log = logger("decisions")


@dataclass(frozen=True, slots=True)
class Stopping:
    """Carries out stops. In memory a stop holds before it is on disk, and is lifted only after that is."""

    means: Means
    _one_by_one: asyncio.Lock = field(default_factory=asyncio.Lock)  # memory and disk must agree on what stands

    async def stop(self, command: Stop) -> str:
        """Nothing in scope starts to leave from now on; raises `NotFound` where there is nothing to stop."""
        async with self._one_by_one:
            return await self._stop(command)

    async def resume(self, command: Resume) -> str:
        """Lift a stop, or note the first of two persons who want it lifted; raises `Conflict` where none stands."""
        async with self._one_by_one:
            return await self._resume(command)

    async def _stop(self, command: Stop) -> str:
        command = replace(command, ref=self._at_home(command))
        await self._check(command.scope, command.ref)
        if not command.reason.strip():
            raise Invalid("say why: those who come after have to know", "reason")
        fence, now = self.means.fence, self.means.clock.now()
        row = StopRow(command.scope, command.ref, command.person, command.reason, now)
        raised, begun = fence.stop(command.scope, command.ref), False
        try:
            begun = await self.means.journal.write(partial(standing.write_stop, stop=row))
        finally:
            if raised and not begun:
                fence.resume(command.scope, command.ref)
        log.warning("stopped", scope=command.scope, ref=command.ref, person=command.person)
        return f"{command.scope}:{command.ref}"

    async def _resume(self, command: Resume) -> str:
        command = replace(command, ref=self._at_home(command))
        alone, now = command.break_glass or "", self.means.clock.now()
        lifted = await self.means.journal.write(partial(
            standing.write_resume, scope=command.scope, ref=command.ref, person=command.person, at=now, alone=alone,
        ))  # fmt: skip
        if lifted is None:
            raise Conflict(f"nothing is stopped in scope {command.scope} {command.ref}".strip())
        if lifted:
            self.means.fence.resume(command.scope, command.ref)
            self.means.launch.queue(())
            log.warning("resumed", scope=command.scope, ref=command.ref, person=command.person)
        return f"{command.scope}:{command.ref}"

    def _at_home(self, command: Stop | Resume) -> str:
        """What is meant by ``ref``: a joined incident stands for the one that speaks for it."""
        return self.means.home(IncidentId(command.ref)) if command.scope is Scope.INCIDENT else command.ref

    async def _check(self, scope: Scope, ref: str) -> None:
        if (scope is Scope.ALL) == bool(ref):
            raise Invalid("name the incident or the channel, and nothing for all", "ref")
        if scope is Scope.CHANNEL and ChannelId(ref) not in self.means.setup.profiles:
            raise NotFound(f"no channel {ref}")
        found = partial(queries.incident, wanted=IncidentId(ref))
        if scope is Scope.INCIDENT and await self.means.journal.read(found) is None:
            raise NotFound(f"no incident {ref}")
