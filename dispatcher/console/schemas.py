"""What may be asked for: bodies and queries, strict; a field that is not known is an error."""

from __future__ import annotations

from typing import Annotated

from pydantic import AwareDatetime, BaseModel, ConfigDict, Field

from dispatcher.model.account import MAX_ASSIGNED, OFFICER
from dispatcher.model.cap import Severity
from dispatcher.model.command import BreakGlass, Scope
from dispatcher.model.delivery import DeliveryState
from dispatcher.model.incident import MAX_LIST, MAX_PLACE, MAX_TEXT
from dispatcher.model.playbook import MAX_WORDS, FactName, Language

Id = Annotated[str, Field(min_length=1, max_length=200)]
Place = Annotated[str, Field(min_length=1, max_length=MAX_PLACE, description="where, as the public shall read it")]
Text = Annotated[str, Field(max_length=MAX_TEXT)]
Facts = Annotated[
    dict[FactName, Text | bool | int | float],
    Field(default_factory=dict, max_length=MAX_LIST, description="details that texts may name"),
]


class Shape(BaseModel):
    """Base of everything that is read from a request."""

    model_config = ConfigDict(strict=True, extra="forbid", frozen=True, defer_build=True)


class Nothing(Shape):
    """Nothing at all."""


class Raw(Shape):
    """One incident event, JSON v1: taken as bytes, for the journal keeps it as it came."""


Officer = Annotated[str, Field(pattern=OFFICER, description="a service number, no name")]


class Preview(Shape):
    """What a playbook would say about this, now. Without ``regions`` the only region there is."""

    place: Place
    regions: Annotated[list[Id], Field(default_factory=list, max_length=MAX_LIST, description="region ids or AGS")]
    incident: Id | None = Field(default=None, description="an open incident, or a new id; made up where it is missing")
    facts: Facts
    severity: Severity | None = None
    kind: Id | None = Field(default=None, description="what happens; the playbook's first kind where it is missing")
    assigned: Annotated[
        list[Officer], Field(max_length=MAX_ASSIGNED, description="at work on it: their own accounts stay silent")
    ] = []


class Trigger(Preview):
    """Let a playbook speak. With a preview's ``digest`` and ``as_of``, only if it would still say the same."""

    digest: Id | None = None
    as_of: AwareDatetime | None = None


OwnWords = Annotated[
    dict[Language, Annotated[str, Field(min_length=1, max_length=MAX_WORDS)]],
    Field(default_factory=dict, max_length=10, description="a person's own text, by language"),
]


class End(Shape):
    """An end, or what is said when an incident is reopened; what is not said is inherited."""

    facts: Facts
    place: Place | None = None


class Words(End):
    """More on an open incident. ``name`` is one of the playbook's named updates; ``regions`` is the area from now on."""

    name: Annotated[str, Field(max_length=40)] = ""
    words: OwnWords
    regions: Annotated[
        list[Id] | None, Field(max_length=MAX_LIST, description="where it is now; others get an end")
    ] = None


class Seen(Shape):
    """A release is bound to what the person has seen; ``break_glass`` is why one person is enough."""

    digest: Id
    break_glass: BreakGlass | None = None


class Takeback(Shape):
    """Why an alert was wrong: own words make it an update; without them it was a false alarm."""

    words: OwnWords


class Joining(Shape):
    """The incident that speaks for both from now on."""

    into: Id


class Assigned(Shape):
    """Officers who are at work on an incident: nothing more is said on their own accounts."""

    officers: Annotated[list[Officer], Field(min_length=1, max_length=MAX_ASSIGNED)]


class Stopped(Shape):
    """What shall not leave any more, and why; ``ref`` is an incident or a channel, empty for all."""

    scope: Scope
    ref: Annotated[str, Field(max_length=200)] = ""
    reason: Annotated[str, Field(min_length=1, max_length=500)]


class Resumed(Shape):
    """Which stop is to be lifted; ``break_glass`` is why one person is enough."""

    scope: Scope
    ref: Annotated[str, Field(max_length=200)] = ""
    break_glass: BreakGlass | None = None


class Rejection(Shape):
    """Why a held alert shall not go out."""

    reason: Annotated[str, Field(max_length=500)] = ""


class Confirmation(Shape):
    """A person has posted by hand; ``url`` leads to the post, where it has one."""

    url: Annotated[str, Field(max_length=2_000, pattern=r"^(https?://[^\s<>\"]+)?$")] = ""


class WhichCanaries(Shape):
    """Which channels prove themselves at their private targets; none means all that have one."""

    channels: Annotated[list[Id], Field(default_factory=list, max_length=MAX_LIST)]


class Invited(Shape):
    """One officer; ``regions`` none means those of the group."""

    officer: Officer
    regions: Annotated[list[Id], Field(max_length=MAX_LIST)] = []


class Invitations(Shape):
    """Whom to invite; ``again`` makes new links for those who are invited already."""

    officers: Annotated[list[Invited], Field(min_length=1, max_length=1_000)]
    again: bool = False


class Credentials(Shape):
    """A bearer token, to begin a session with."""

    token: Id


class Ticket(Shape):
    """A one-time login link."""

    ticket: Annotated[str, Field(max_length=200)] = ""


class Limited(Shape):
    """How many, at most."""

    limit: Annotated[int, Field(ge=1, le=1_000)] = 100


class WhichAlerts(Limited):
    """Which alerts, newest first."""

    incident: Id | None = None
    state: Id | None = None


class WhichDeliveries(Limited):
    """Which deliveries, latest change first; ``open`` leaves out those that have ended."""

    state: DeliveryState | None = None
    channel: Id | None = None
    incident: Id | None = None
    alert: Id | None = None
    open: bool = False
