"""People take leave of a channel's readers: its farewell goes out once, whoever asks for it again."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from functools import partial

from sqlalchemy import Connection

from dispatcher.decisions.means import Means
from dispatcher.journal import queries, store
from dispatcher.model.alert import Alert
from dispatcher.model.channel import ChannelId, ChannelProfile, ChannelState
from dispatcher.model.command import Farewell
from dispatcher.model.delivery import AlertId
from dispatcher.model.errors import Conflict, NotFound
from dispatcher.plan.farewell import compose_farewell, overlong


@dataclass(frozen=True, slots=True)
class Parting:
    """Carries out farewells."""

    means: Means

    async def farewell(self, command: Farewell) -> AlertId:
        """Say it. Raises `NotFound` or `Conflict` where there is no such channel, nothing to say, or it was said."""
        means, now = self.means, self.means.clock.now()
        alert = compose_farewell(self._leaving(command.channel), means.deployment, command.person, now)
        with means.launch.boarding([alert]) as boarding:
            if not await means.journal.write(partial(_write, alert=boarding.alerts[0], at=now)):
                raise Conflict(
                    f"{command.channel} took its leave before: alert {alert.id} says by whom and what came of it"
                )
            boarding.go(now)
        return alert.id

    def _leaving(self, channel: ChannelId) -> ChannelProfile:
        deployment = self.means.deployment
        profile = deployment.channel(channel)
        if profile is None:
            raise NotFound(f"no channel {channel}")
        if profile.state is not ChannelState.RETIRED:
            raise Conflict(
                f"channel {channel} is active: set state: retired and reload, so that nothing follows its farewell"
            )
        if not profile.farewell:
            raise Conflict(f"channel {channel} has nothing to say: write its farewell and reload")
        if length := overlong(profile, deployment.sender, deployment.realm):
            raise Conflict(
                f"the farewell needs {length}, channel {channel} takes {profile.limit.size} {profile.limit.unit}"
            )
        return profile


def _write(connection: Connection, *, alert: Alert, at: datetime) -> bool:
    """One transaction for the farewell and who asked for it; False where it stands there already."""
    if queries.alert_record(connection, alert.id) is not None:
        return False
    store.write_alert(connection, alert, released_at=at)
    store.write_release(connection, alert.id, alert.requested_by, "release", at)
    return True
