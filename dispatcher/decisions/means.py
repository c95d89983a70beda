"""What every decision needs: the journal, the current setup, the way out, the fence, the clock, and which incidents are one."""

from __future__ import annotations

from collections.abc import Iterable
from contextlib import ExitStack
from dataclasses import dataclass, field
from functools import partial

from dispatcher.clock import Clock
from dispatcher.journal import queries, standing
from dispatcher.journal.base import Journal
from dispatcher.journal.queries import AlertRecord
from dispatcher.launch import Launch
from dispatcher.model.cap import RegionId
from dispatcher.model.channel import ChannelId
from dispatcher.model.delivery import AlertId, IncidentId
from dispatcher.model.deployment import Deployment
from dispatcher.model.errors import Forbidden, NotFound
from dispatcher.model.incident import IncidentHistory
from dispatcher.model.playbook import Playbook
from dispatcher.model.rights import reach, refusal
from dispatcher.permits import Fence
from dispatcher.setup import Setup


@dataclass(frozen=True, slots=True)
class Means:
    """Handed to all who carry out commands; they are called with the incident's lock held."""

    journal: Journal
    setup: Setup
    launch: Launch
    fence: Fence
    clock: Clock
    joined: dict[IncidentId, IncidentId] = field(default_factory=dict)

    @property
    def deployment(self) -> Deployment:
        """The one that plans are made with now."""
        return self.setup.deployment

    def home(self, incident: IncidentId) -> IncidentId:
        """The incident that speaks for ``incident``: itself, or the one it was joined into."""
        return self.joined.get(incident, incident)

    async def recall(self) -> None:
        """After a start: the stops that stand and the joins that were made."""
        for stop in await self.journal.read(standing.stops):
            self.fence.stop(stop.scope, stop.ref)
        self.joined.update(await self.journal.read(standing.joins))

    async def history(self, incident: IncidentId) -> IncidentHistory:
        """What is known of ``incident``."""
        return await self.journal.read(partial(queries.history, incident=incident))

    async def record(self, alert: AlertId) -> AlertRecord:
        """An alert with what became of it; raises `NotFound`."""
        record = await self.journal.read(partial(queries.alert_record, alert=alert))
        if record is None:
            raise NotFound(f"no alert {alert}")
        return record

    def permit(self, person: str, playbook: Playbook | None, regions: Iterable[str]) -> None:
        """Raises `Forbidden` where words of ``playbook`` about ``regions`` are heard beyond this person's regions."""
        about = tuple(RegionId(region) for region in regions)
        heard = reach(playbook, about, self.deployment) if playbook else about
        if why := refusal(person, heard, self.deployment):
            raise Forbidden(why)

    def fenced(
        self, incident: IncidentId, revision: int, *, ends: bool, left: Iterable[ChannelId] = ()
    ) -> ExitStack:  # fmt: skip
        """Stop texts before ``revision`` ahead of an end's commit, everywhere or on the channels that are ``left`` behind.

        Unless the end comes to be, leaving lets them go on.
        """
        undo = ExitStack()
        if ends:
            undo.callback(self.fence.put_back, incident, self.fence.put_up(incident, revision))
        for lane in [(incident, channel) for channel in left]:
            undo.callback(self.fence.put_back_lane, lane, self.fence.put_up_lane(lane, revision))
        return undo
