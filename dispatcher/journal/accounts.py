"""Officers' own accounts as units of work: who was invited, and what each has said since. Every change is a fact.

Facts name an account by its pseudonym, and nothing that its owner has entrusted to us.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass, fields
from datetime import datetime

from sqlalchemy import Connection, String, bindparam, insert, or_, select, update

from dispatcher.journal import tables as t
from dispatcher.journal.log import add_fact, add_facts, add_missing
from dispatcher.journal.moves import set_state
from dispatcher.journal.prepared import prepared
from dispatcher.journal.superseding import take_out
from dispatcher.model.account import Account, Standing
from dispatcher.model.channel import ChannelId
from dispatcher.model.delivery import UNTRIED, DeliveryState, IncidentId

_NAMES = tuple(field.name for field in fields(Account))
_a, _d = t.accounts.c, t.deliveries.c
_INVITE = insert(t.accounts)
_CHANGE = (
    update(t.accounts)
    .where(_a.channel == bindparam("key"))
    .values({c.name: bindparam(f"to_{c.name}") for c in t.accounts.c if c.name != "channel"})
)
_UNSAID = select(_d.id).where(
    _d.channel == bindparam("of"), _d.state.in_([*UNTRIED, DeliveryState.BY_HAND])
)  # fmt: skip
_HOME = bindparam("incident", type_=String())
_JOINED = select(t.joins.c.incident).where(t.joins.c.into == _HOME)
_n = t.assignments.c
_ASSIGNED = prepared(select(_n.officer).where(or_(_n.incident == _HOME, _n.incident.in_(_JOINED))))
_AT_WORK = (
    select(_n.incident, t.incidents.c.revision, _n.officer)
    .join(t.incidents, t.incidents.c.id == _n.incident)
    .where(t.incidents.c.open.is_(True))
)


def accounts(connection: Connection) -> list[Account]:
    """Everybody who was ever invited, in the order of their groups and numbers."""
    rows = connection.execute(select(t.accounts).order_by(_a.group, _a.officer))
    return [Account(**{**row._mapping, "standing": Standing(row.standing)}) for row in rows]  # noqa: SLF001 - public name


def invite(connection: Connection, invited: Sequence[Account], renewed: Sequence[Account], person: str) -> None:
    """Write down new accounts, which say nothing yet, and those known whose links are ``renewed``."""
    if invited:
        connection.execute(_INVITE, [_row(one) for one in invited])
    for one in renewed:
        connection.execute(_CHANGE, _changed(one))
    told = [("account.invited", one.channel, {"group": one.group, "person": person}) for one in (*invited, *renewed)]
    if told:
        add_facts(connection, (*invited, *renewed)[0].at, told)


def change(connection: Connection, account: Account, said: str, *, why: str = "") -> None:
    """Write what ``account`` is from now on. With ``why``, nothing that has not left yet leaves on it any more."""
    connection.execute(_CHANGE, _changed(account))
    add_fact(connection, account.at, f"account.{said}", account.channel, group=account.group, way=account.way)
    if why:
        ids = connection.execute(_UNSAID, {"of": account.channel}).scalars().all()
        set_state(connection, ids, DeliveryState.CANCELLED, account.at, reason="cancelled", detail=why)


@dataclass(frozen=True, slots=True, kw_only=True)
class Assignment:
    """Officers are at work on an incident; nothing before ``revision`` leaves any more on the accounts that it silences.

    ``person`` is who said so, empty where a machine did.
    """

    incident: IncidentId
    officers: Sequence[str]
    silenced: Collection[ChannelId]
    revision: int
    person: str = ""


def assign(connection: Connection, assignment: Assignment, at: datetime) -> None:
    """Write it down, from now on and for as long as anybody speaks of the incident."""
    incident, officers = assignment.incident, assignment.officers
    add_missing(connection, t.assignments, [{"incident": incident, "officer": one, "at": at} for one in officers])
    add_fact(connection, at, "incident.assigned", incident, officers=len(officers), person=assignment.person)
    if assignment.silenced:
        why = "its officer is assigned to the incident"
        take_out(connection, incident, assignment.revision, at, channels=assignment.silenced, detail=why)


def assigned(connection: Connection, incident: IncidentId) -> frozenset[str]:
    """Who was ever named as being at work on ``incident``, or on what was joined into it."""
    return frozenset(connection.execute(_ASSIGNED, {"incident": incident}).scalars())


def at_work(connection: Connection) -> dict[IncidentId, tuple[int, frozenset[str]]]:
    """Revision of each open incident that officers are assigned to, and who they are."""
    found: dict[IncidentId, tuple[int, set[str]]] = {}
    for row in connection.execute(_AT_WORK):
        found.setdefault(IncidentId(row.incident), (row.revision, set()))[1].add(row.officer)
    return {incident: (revision, frozenset(officers)) for incident, (revision, officers) in found.items()}


def _changed(account: Account) -> dict[str, object]:
    return {"key": account.channel, **{f"to_{k}": v for k, v in _row(account).items() if k != "channel"}}


def _row(account: Account) -> dict[str, object]:
    return {name: getattr(account, name) for name in _NAMES}
