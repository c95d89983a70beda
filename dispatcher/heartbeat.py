"""A dead man's switch: a monitor outside this machine is called as long as all is well, and calls people when it is not.

What cannot say any more that it is dead is missed by somebody else. A beat leaves only when the event loop runs and the
journal has just committed; that the monitor cannot be reached is told, and touches nothing else.
"""

from __future__ import annotations

import asyncio
import os
import re
from dataclasses import dataclass, field
from datetime import timedelta
from pathlib import Path
from typing import Annotated, Self

from pydantic import Field, model_validator
from sqlalchemy import Connection

from dispatcher.channels.http import ChannelError, Http, Request
from dispatcher.journal.base import Journal
from dispatcher.model.errors import JournalError
from dispatcher.model.playbook import Span, Strict
from dispatcher.telemetry import HEARTBEAT, keep_secret, logger

log = logger("heartbeat")

_ADDRESS = r"^https?://[^\s/?#@]+([/?][^\s#]*)?$"


class HeartbeatSettings(Strict):
    """The monitor's address: often it is a secret as a whole, and then it stands in a file or the environment."""

    url: Annotated[str, Field(pattern=_ADDRESS)] | None = Field(default=None, description="only where it is no secret")
    url_file: Path | None = None
    url_env: str | None = None
    every: Annotated[Span, Field(ge=timedelta(seconds=1), le=timedelta(seconds=10))] = timedelta(seconds=5)

    @model_validator(mode="after")
    def _one_address(self) -> Self:
        if sum(value is not None for value in (self.url, self.url_file, self.url_env)) != 1:
            raise ValueError("give url, url_file or url_env, one of them")
        return self

    def address(self) -> str:
        """The URL, kept out of every log from now on; raises `OSError`, `KeyError` or `ValueError` where there is none."""
        value = self.url or (self.url_file.read_text() if self.url_file else os.environ[str(self.url_env)]).strip()
        keep_secret(value)
        if not re.match(_ADDRESS, value):
            raise ValueError("the monitor's address is no http or https URL")
        return value


@dataclass(slots=True)
class Heartbeat:
    """Beats as long as it runs; `run` belongs on the loop that it vouches for."""

    settings: HeartbeatSettings
    journal: Journal
    http: Http
    _trouble: str | None = field(default=None, init=False)

    async def run(self) -> None:
        """Beat until cancelled; an address that cannot be read is logged and nothing beats."""
        try:
            address = self.settings.address()
        except (OSError, KeyError, ValueError) as error:
            log.error("heartbeat_without_address", error=type(error).__name__)  # noqa: TRY400 - no trace: secrets
            return
        loop, every = asyncio.get_running_loop(), self.settings.every.total_seconds()
        while True:
            due = loop.time() + every
            self._note(await self._beat(address, every))
            await asyncio.sleep(due - loop.time())

    async def _beat(self, address: str, seconds: float) -> str:
        """Call the monitor once; why it did not hear us, empty where it did."""
        try:
            async with asyncio.timeout(seconds):
                await self.journal.write(_nothing)
                answer = await self.http.request(Request("GET", address))
        except JournalError:
            return "the journal does not commit"
        except ChannelError as error:
            return error.detail
        except TimeoutError:
            return "no answer in time, from the journal or from the monitor"
        return "" if 200 <= answer.status < 300 else f"HTTP {answer.status}"

    def _note(self, trouble: str) -> None:
        """Tell of a change, once."""
        HEARTBEAT.set(not trouble)
        if trouble and trouble != self._trouble:
            log.error("heartbeat_not_heard", why=trouble)
        elif not trouble and self._trouble != "":
            log.info("heartbeat_heard")
        self._trouble = trouble


def _nothing(_: Connection) -> None:
    """A unit of work that shows that others would be done."""
