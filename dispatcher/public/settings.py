"""Where the public listener is."""

from __future__ import annotations

from pydantic import Field

from dispatcher.channels.base import Url
from dispatcher.model.playbook import Strict


class PublicSettings(Strict):
    """A listener for strangers, behind a proxy that speaks TLS, without which no browser signs up."""

    host: str = "127.0.0.1"
    port: int = Field(default=8090, ge=0, le=65535)
    public_url: Url = Field(
        default="", description="where strangers reach it: providers for cards, officers for pages of their own"
    )
