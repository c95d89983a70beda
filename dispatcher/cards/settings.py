"""Where cards are put so that the public, and providers for it, can fetch them."""

from __future__ import annotations

from base64 import b64encode
from typing import Self

from pydantic import Field, model_validator

from dispatcher.channels.base import Credential, Url
from dispatcher.model.playbook import Strict
from dispatcher.telemetry import keep_secret


class PushSettings(Strict):
    """A place on the web that takes files by HTTP PUT, as WebDAV and object stores do."""

    url: Url = Field(description="folder that cards are put into")
    public_url: Url = Field(default="", description="where the public finds that folder, if elsewhere")
    credential: Credential
    user: str = Field(
        default="",
        max_length=200,
        pattern=r"^[^:]*$",
        description="its password is the secret then, else a bearer token",
    )

    def authorization(self) -> str:
        """The value of the header, kept out of every log; raises as `Credential.reveal` does."""
        secret = self.credential.reveal()
        value = b64encode(f"{self.user}:{secret}".encode()).decode() if self.user else secret
        for hidden in (secret, value):
            keep_secret(hidden)
        return f"{'Basic' if self.user else 'Bearer'} {value}"


class CardSettings(Strict):
    """Cards are served by the public listener, or put somewhere else."""

    serve: bool = Field(default=False, description="by the public listener")
    push: PushSettings | None = Field(default=None, description="to another place")

    @model_validator(mode="after")
    def _one_place(self) -> Self:
        if self.serve == (self.push is not None):
            raise ValueError("give serve: true or push, one of them")
        return self
