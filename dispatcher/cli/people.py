"""The commands by which people decide, as they stand on the command line; each is one request to the running daemon."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Literal
from urllib.parse import quote

import typer

if TYPE_CHECKING:
    from dispatcher.cli.operate import Daemon

Reason = Literal["danger_to_life", "colleague_unreachable", "system_failure"]
Scope = Literal["incident", "channel", "all"]
Url = Annotated[str, typer.Option(help="The daemon's HTTP interface.")]
Token = Annotated[str, typer.Option(envvar="DISPATCHER_TOKEN", help="Better given by the environment.")]
Incident = Annotated[str, typer.Argument(help="Id of an incident.")]
Alert = Annotated[str, typer.Argument(help="Id of an alert.")]
Words = Annotated[list[str] | None, typer.Option("--words", help="Own text as language=text; several times.")]
Where = Annotated[list[str] | None, typer.Option("--region", help="The area from now on; several times.")]
Facts = Annotated[list[str] | None, typer.Option("--fact", help="A detail as name=value; several times.")]
Place = Annotated[str, typer.Option(help="Where it is, as the public shall read it.")]
BreakGlass = Annotated[Reason | None, typer.Option(help="Why one person is enough; supervisors are told.")]
HERE = "http://127.0.0.1:8080"


def _pairs(given: list[str] | None, option: str) -> dict[str, str]:
    split = [one.partition("=") for one in given or []]
    if wrong := [one for one, (name, sign, _) in zip(given or [], split, strict=True) if not (name and sign)]:
        raise typer.BadParameter(f"{wrong[0]!r} is not name=value", param_hint=option)
    return {name: value for name, _, value in split}


def _daemon(url: str, token: str) -> Daemon:
    from dispatcher.cli.operate import Daemon

    return Daemon(url, token)


def release(
    alert: Alert, *, digest: Annotated[str, typer.Option(help="What you have seen; without it you are shown it.")] = "",
    break_glass: BreakGlass = None, url: Url = HERE, token: Token = "",
) -> None:  # fmt: skip
    """Let a held alert out."""
    from dispatcher.cli.operate import release as let_out

    let_out(_daemon(url, token), quote(alert, safe=""), digest=digest, break_glass=break_glass or "")


def reject(
    alert: Alert, *, reason: Annotated[str, typer.Option(help="Why.")] = "", url: Url = HERE, token: Token = ""
) -> None:
    """End a held alert: nobody will hear it."""
    _daemon(url, token).show("POST", f"alerts/{quote(alert, safe='')}/reject", {"reason": reason})


def renew(alert: Alert, *, url: Url = HERE, token: Token = "") -> None:
    """Compose a held alert anew, with the times of now."""
    _daemon(url, token).show("POST", f"alerts/{quote(alert, safe='')}/renew")


def retract(alert: Alert, *, words: Words = None, url: Url = HERE, token: Token = "") -> None:
    """Take an alert back: without words as a false alarm, with them as a correction."""
    body = {"words": _pairs(words, "--words")}
    _daemon(url, token).show("POST", f"alerts/{quote(alert, safe='')}/retract", body)


def update(
    incident: Incident, *, name: Annotated[str, typer.Option(help="A named update of the playbook.")] = "",
    words: Words = None, region: Where = None, place: Place = "", fact: Facts = None, url: Url = HERE, token: Token = "",
) -> None:  # fmt: skip
    """Say more about an open incident: prepared, named, or in your own words."""
    body = {
        "name": name, "words": _pairs(words, "--words"), "regions": region, "place": place,
        "facts": _pairs(fact, "--fact"),
    }  # fmt: skip
    _daemon(url, token).show("POST", f"incidents/{quote(incident, safe='')}/update", body)


def all_clear(incident: Incident, *, place: Place = "", fact: Facts = None, url: Url = HERE, token: Token = "") -> None:
    """Say that it is over, wherever it was spoken of."""
    _say("all-clear", incident, place, fact, _daemon(url, token))


def false_alarm(
    incident: Incident, *, place: Place = "", fact: Facts = None, url: Url = HERE, token: Token = ""
) -> None:
    """Say that it was a false alarm, and change what was posted."""
    _say("false-alarm", incident, place, fact, _daemon(url, token))


def reopen(incident: Incident, *, place: Place = "", fact: Facts = None, url: Url = HERE, token: Token = "") -> None:
    """Say that an incident which had ended goes on."""
    _say("reopen", incident, place, fact, _daemon(url, token))


def _say(what: str, incident: str, place: str, fact: list[str] | None, daemon: Daemon) -> None:
    body = {"place": place, "facts": _pairs(fact, "--fact")}
    daemon.show("POST", f"incidents/{quote(incident, safe='')}/{what}", body)


def join(
    incident: Incident, into: Annotated[str, typer.Argument(help="The incident that speaks for both.")], *,
    url: Url = HERE, token: Token = "",
) -> None:  # fmt: skip
    """Two incidents are one."""
    _daemon(url, token).show("POST", f"incidents/{quote(incident, safe='')}/join", {"into": into})


def assign(
    incident: Incident, officers: Annotated[list[str], typer.Argument(help="Their numbers, no names.")], *,
    url: Url = HERE, token: Token = "",
) -> None:  # fmt: skip
    """Name officers who are at work on it: their own accounts stay silent."""
    _daemon(url, token).show("POST", f"incidents/{quote(incident, safe='')}/assign", {"officers": officers})


def stop(
    scope: Annotated[Scope, typer.Argument(help="What is stopped.")],
    ref: Annotated[str, typer.Argument(help="The incident or channel; nothing for all.")] = "", *,
    reason: Annotated[str, typer.Option(help="Why; it is kept and paged.")], url: Url = HERE, token: Token = "",
) -> None:  # fmt: skip
    """Let nothing start to leave any more."""
    _daemon(url, token).show("POST", "stop", {"scope": scope, "ref": ref, "reason": reason})


def resume(
    scope: Annotated[Scope, typer.Argument(help="What was stopped.")],
    ref: Annotated[str, typer.Argument(help="The incident or channel; nothing for all.")] = "", *,
    break_glass: BreakGlass = None, url: Url = HERE, token: Token = "",
) -> None:  # fmt: skip
    """Lift a stop: two persons, or one with a reason."""
    _daemon(url, token).show("POST", "resume", {"scope": scope, "ref": ref, "break_glass": break_glass})


def confirm(
    delivery: Annotated[str, typer.Argument(help="Id of a delivery that waits for a person.")], *,
    link: Annotated[str, typer.Option(help="Where the post is.")] = "", url: Url = HERE, token: Token = "",
) -> None:  # fmt: skip
    """Say that you have posted, or corrected, by hand."""
    _daemon(url, token).show("POST", f"deliveries/{quote(delivery, safe='')}/confirm", {"url": link})


def resend(
    delivery: Annotated[str, typer.Argument(help="Id of a delivery that failed.")],
    *,
    url: Url = HERE,
    token: Token = "",
) -> None:
    """Try a failed delivery again."""
    _daemon(url, token).show("POST", f"deliveries/{quote(delivery, safe='')}/resend")


def farewell(
    channel: Annotated[str, typer.Argument(help="Id of a channel with state: retired.")],
    *,
    url: Url = HERE,
    token: Token = "",
) -> None:
    """Say a retired channel's prepared farewell, once."""
    _daemon(url, token).show("POST", f"channels/{quote(channel, safe='')}/farewell")


def held(*, url: Url = HERE, token: Token = "") -> None:
    """List the alerts that wait for people."""
    _daemon(url, token).show("GET", "alerts?state=held")


COMMANDS = (
    held, release, reject, renew, update, all_clear, false_alarm, reopen, join, assign, retract, stop, resume, confirm, resend,
    farewell,
)  # fmt: skip
