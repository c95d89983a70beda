"""Inviting officers by a list. A list only invites: what an account needs to speak comes from its owner alone."""

from __future__ import annotations

import csv
import io
import re
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Annotated, Any
from urllib.parse import quote

import typer

from dispatcher.cli.people import HERE, Token, Url
from dispatcher.model.account import OFFICER
from dispatcher.model.errors import ConfigurationError, Problem

AT_ONCE = 1_000
COLUMNS = ("officer", "regions")

Group = Annotated[str, typer.Option(help="Id of a group under `accounts`.")]

app = typer.Typer(help="Officers' own accounts.", no_args_is_help=True, rich_markup_mode=None)


@app.command("invite")
def invite(
    file: Annotated[
        Path, typer.Argument(exists=True, dir_okay=False, help="CSV with the columns officer and regions.")
    ],
    *,
    group: Group,
    again: Annotated[bool, typer.Option("--again", help="Make new links, which end the old ones.")] = False,
    url: Url = HERE,
    token: Token = "",
) -> None:
    """Print one link for each officer of a list, at which they decide. Nobody speaks by that."""
    from dispatcher.cli.operate import Daemon

    found, daemon = [*invitations(file)], Daemon(url, token)
    lines = csv.writer(sys.stdout)
    lines.writerow(("officer", "standing", "link"))
    for at in range(0, len(found), AT_ONCE):
        body = {"officers": found[at : at + AT_ONCE], "again": again}
        answer = daemon.ask("POST", f"accounts/{quote(group, safe='')}/invite", body)
        lines.writerows((one["officer"], one["standing"], one["link"]) for one in answer["accounts"])


@app.command("list")
def show(*, group: Group, url: Url = HERE, token: Token = "") -> None:
    """Show who was invited, and what each has said since."""
    from dispatcher.cli.operate import Daemon

    Daemon(url, token).show("GET", f"accounts/{quote(group, safe='')}")


def invitations(file: Path) -> Iterator[dict[str, Any]]:
    """What a list says; raises `ConfigurationError` with the line of what is no invitation."""
    reader = csv.DictReader(io.StringIO(_text(file)))
    columns = [name.strip() for name in reader.fieldnames or ()]
    reader.fieldnames = columns
    if "officer" not in columns or len(set(columns)) != len(columns) or set(columns) - set(COLUMNS):
        remedy = f"a list only invites: it has the columns {' and '.join(COLUMNS)}, and no other"
        raise ConfigurationError([Problem(str(file), 1, "columns", f"are {', '.join(columns) or 'missing'}", remedy)])
    for row in reader:
        officer, regions = (row.get("officer") or "").strip(), (row.get("regions") or "").split()
        if not re.fullmatch(OFFICER, officer) or None in row:
            remedy = "write a service number of letters, digits, dot, dash; regions apart by spaces"
            raise ConfigurationError([Problem(str(file), reader.line_num, "officer", "is none", remedy)])
        yield {"officer": officer, "regions": regions}


def _text(file: Path) -> str:
    try:
        return file.read_text(encoding="utf-8-sig")
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigurationError(
            [Problem(str(file), None, "", f"cannot be read: {error}", "save it as UTF-8")]
        ) from None
