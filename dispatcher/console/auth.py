"""Who is asking: bearer tokens and sessions."""

from __future__ import annotations

from pathlib import Path

from pydantic import Field

from dispatcher.model.playbook import Strict


class ConsoleSettings(Strict):
    """Where the HTTP interface listens and whom it knows."""

    host: str = "127.0.0.1"
    port: int = Field(default=8080, ge=0, le=65535)
    tokens_file: Path | None = None
