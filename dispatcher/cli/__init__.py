"""The command line. Every command imports what it needs when it is called, so that help and completion stay quick.

Exit codes: 0 fine, 1 problems were found or the command could not be carried out, 2 the command line itself is wrong.
"""

from __future__ import annotations

import gc
import signal
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, Literal

import typer

from dispatcher.cli.accounts import app as accounts
from dispatcher.cli.people import COMMANDS
from dispatcher.model.errors import DispatcherError

Purpose = Literal["alert", "update", "all_clear", "false_alarm"]
Role = Literal["viewer", "operator", "supervisor", "source"]
Subject = Literal["event", "playbook", "config", "sources", "people"]

_DEFAULT = Path("dispatcher.yaml")
File = Annotated[Path, typer.Argument(envvar="DISPATCHER_CONFIG", help="The main configuration file.")]
Config = Annotated[
    Path, typer.Option("--config", "-c", envvar="DISPATCHER_CONFIG", help="The main configuration file.")
]
Place = Annotated[str, typer.Option(help="Where it is, as the public shall read it.")]
Regions = Annotated[list[str] | None, typer.Option("--region", help="Region id or AGS; may be given several times.")]
Facts = Annotated[list[str] | None, typer.Option("--fact", help="A detail as name=value; may be given several times.")]
Tokens = Annotated[
    Path | None, typer.Option("--tokens", help="The file of token hashes; the configuration's where none is given.")
]
Timeout = Annotated[float, typer.Option(min=0.1, help="Longest wait for the receipt, in seconds.")]

app = typer.Typer(
    help="Turns incident events into the right words on every regional channel at once.",
    no_args_is_help=True, add_completion=False, rich_markup_mode=None, pretty_exceptions_enable=False,
)  # fmt: skip
tokens = typer.Typer(help="Bearer tokens of people and sources.", no_args_is_help=True, rich_markup_mode=None)
app.add_typer(tokens, name="token")
signing = typer.Typer(help="Keys and signatures of sources that sign.", no_args_is_help=True, rich_markup_mode=None)
app.add_typer(signing, name="sign")
journals = typer.Typer(help="Copies of the journal.", no_args_is_help=True, rich_markup_mode=None)
app.add_typer(journals, name="journal")
app.add_typer(accounts, name="accounts")
for command in COMMANDS:
    app.command(command.__name__.replace("_", "-"))(command)


def main(arguments: Sequence[str] | None = None) -> None:
    """Run one command and exit; an error of the house is printed as text, never as a traceback."""
    try:
        app(args=arguments, prog_name="dispatcher")
    except DispatcherError as error:
        sys.exit(f"{error}")


def pairs(facts: Sequence[str]) -> dict[str, str]:
    """``name=value`` texts as a mapping; refused as a usage error where there is no name or no equals sign."""
    split = [fact.partition("=") for fact in facts]
    wrong = [fact for fact, (name, sign, _) in zip(facts, split, strict=True) if not (name and sign)]
    if wrong:
        raise typer.BadParameter(f"{wrong[0]!r} is not name=value", param_hint="--fact")
    return {name: value for name, _, value in split}


@app.command("run")
def _run(
    config: File = _DEFAULT,
    *,
    journal: Annotated[Path | None, typer.Option(help="Where the last good set lies, if the files are broken.")] = None,
) -> None:
    """Run the daemon until SIGTERM or SIGINT; SIGHUP reads the files again."""
    signal.signal(signal.SIGHUP, signal.SIG_IGN)  # nothing is read yet, and left alone it would end the process
    gc.disable()  # what is loaded stays: looking for garbage in it would take an eighth of the loading
    from dispatcher.cli.run import run

    gc.enable()
    run(config, journal)


@app.command("demo")
def _demo(
    *,
    once: Annotated[bool, typer.Option("--once", help="One alert from event to every channel, then exit.")] = False,
    port: Annotated[int | None, typer.Option(min=0, max=65535, help="Port of the console.")] = None,
) -> None:
    """Run an exercise on this machine alone. Daemon, broker, a wall for all channels, and an example incident."""
    from dispatcher.cli.demo import demo

    demo(once=once, port=port)


@app.command("init")
def _init(
    file: File = _DEFAULT,
    *,
    yes: Annotated[bool, typer.Option("--yes", "-y", help="Ask nothing, take the defaults.")] = False,
    force: Annotated[bool, typer.Option("--force", help="Write over a file that is there.")] = False,
) -> None:
    """Write a configuration to begin with, after three questions."""
    from dispatcher.cli.init import init

    init(file, yes=yes, force=force)


@app.command("drill")
def _drill(
    config: File = _DEFAULT,
    *,
    playbook: Annotated[str, typer.Option(help="A playbook to let speak at once.")] = "",
    place: Place = "Übungsplatz",
    region: Regions = None,
    once: Annotated[bool, typer.Option("--once", help="End when it is out; fails where something is not.")] = False,
    port: Annotated[int | None, typer.Option(min=0, max=65535, help="Port of the console.")] = None,
) -> None:
    """Rehearse with the live files. All channels are on a wall on this machine, no live secret is read."""
    from dispatcher.cli.drill import Exercise, drill

    wanted = Exercise(playbook=playbook, place=place, regions=tuple(region or ()), once=once)
    raise typer.Exit(drill(config, wanted, port))


@app.command("emit")
def _emit(
    file: Annotated[
        Path,
        typer.Argument(exists=True, dir_okay=False, allow_dash=True, help="An event as JSON; - is standard input."),
    ],
    *,
    config: Annotated[
        Path | None, typer.Option("--config", "-c", help="Take realm and broker from this configuration file.")
    ] = None,
    broker: Annotated[str, typer.Option(help="mqtt:// or mqtts:// address.")] = "mqtt://localhost",
    username: Annotated[str | None, typer.Option()] = None,
    password_file: Annotated[Path | None, typer.Option()] = None,
    timeout: Timeout = 10.0,
    source: Annotated[str, typer.Option(help="The source it comes from; else what the event says.")] = "",
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Send nothing: tell what would become of it, and why.")
    ] = False,
    key_file: Annotated[Path | None, typer.Option(help="Sign it with this private key.")] = None,
    key_id: Annotated[str, typer.Option(help="The key's id; else the name of its file.")] = "",
) -> None:
    """Publish an incident event over MQTT. Waits for the receipt that says it is on disk."""
    from dispatcher.cli.emit import emit

    emit(
        file, config=config, broker=broker, username=username, password_file=password_file, timeout=timeout,
        source=source, dry_run=dry_run, key_file=key_file, key_id=key_id,
    )  # fmt: skip


@signing.command("keygen")
def _sign_keygen(
    file: Annotated[Path, typer.Argument(help="Where the private key is written; its name is the id.")],
) -> None:
    """Make a key pair for a source that signs its events."""
    from dispatcher.cli.sign import keygen

    keygen(file)


@signing.command("event")
def _sign_event(
    file: Annotated[Path, typer.Argument(exists=True, dir_okay=False, help="The event, exactly as it will be sent.")],
    *,
    key_file: Annotated[Path, typer.Option(help="The private key.")],
    key_id: Annotated[str, typer.Option(help="Its id; else the name of its file.")] = "",
) -> None:
    """Print the signature of an event, as MQTT 5 and HTTP carry it."""
    from dispatcher.cli.sign import show

    show(file.read_bytes(), key_file, key_id)


@app.command("check")
def _check(
    config: File = _DEFAULT,
    *,
    secrets: Annotated[bool, typer.Option("--secrets", help="A secret that cannot be read here is an error.")] = False,
) -> None:
    """Say what is wrong in the files, and where. Reads them all and renders every text for every channel."""
    from dispatcher.cli.check import check

    raise typer.Exit(check(config, secrets=secrets))


@app.command("doctor")
def _doctor(config: File = _DEFAULT) -> None:
    """Ask every channel whether it could post. Nothing is posted; fails where one is not ready."""
    from dispatcher.cli.doctor import doctor

    raise typer.Exit(doctor(config))


@app.command("canary")
def _canary(
    channels: Annotated[list[str] | None, typer.Argument(help="Ids of channels; all that have a canary else.")] = None,
    *,
    url: Annotated[str, typer.Option(help="The daemon's HTTP interface.")] = "http://127.0.0.1:8080",
    token: Annotated[str, typer.Option(envvar="DISPATCHER_TOKEN", help="Better given by the environment.")] = "",
) -> None:
    """Post a test to the private targets of channels. The running daemon reads it back and keeps the day."""
    from dispatcher.cli.canary import canary

    raise typer.Exit(canary(channels or [], url=url, token=token))


@app.command("preview")
def _preview(
    playbook: Annotated[str, typer.Argument(help="Id of a playbook.")],
    *,
    config: Config = _DEFAULT,
    place: Place = "",
    region: Regions = None,
    fact: Facts = None,
    purpose: Annotated[Purpose, typer.Option(help="Which of the four texts.")] = "alert",
    update: Annotated[str, typer.Option(help="A named update of the playbook instead.")] = "",
    lang: Annotated[str, typer.Option(help="Only channels that post in this language, and only this one.")] = "",
) -> None:
    """Print texts as they would go out now. Each distinct text stands with its channels and lengths; nothing is sent."""
    from dispatcher.cli.preview import Request, preview

    request = Request(
        playbook=playbook, purpose=purpose, update=update, place=place, regions=tuple(region or ()),
        facts=pairs(fact or ()), language=lang,
    )  # fmt: skip
    preview(config, request)


@app.command("trigger")
def _trigger(
    playbook: Annotated[str, typer.Argument(help="Id of a playbook.")],
    *,
    place: Place = "",
    region: Regions = None,
    fact: Facts = None,
    url: Annotated[str, typer.Option(help="The daemon's HTTP interface.")] = "http://127.0.0.1:8080",
    token: Annotated[str, typer.Option(envvar="DISPATCHER_TOKEN", help="Better given by the environment.")] = "",
) -> None:
    """Trigger a playbook through the running daemon."""
    from dispatcher.cli.trigger import trigger

    trigger(playbook, place=place, regions=region or [], facts=pairs(fact or ()), url=url, token=token)


@app.command("sheet")
def _sheet(
    config: File = _DEFAULT,
    *,
    output: Annotated[Path, typer.Option("--output", "-o", help="The HTML file to write.")] = Path("sheet.html"),
) -> None:
    """Put all texts, channels and keys on paper, for the day when nothing works. A browser prints it."""
    from dispatcher.cli.sheet import sheet

    sheet(config, output)


@app.command("schema")
def _schema(subject: Annotated[Subject, typer.Argument(help="Whose schema.")]) -> None:
    """Print a JSON Schema (2020-12)."""
    from dispatcher.cli.schema import schema

    schema(subject)


@app.command("migrate")
def _migrate(config: File = _DEFAULT) -> None:
    """Bring the journal to this version's tables. The daemon must not be running."""
    from dispatcher.cli.migrate import migrate

    migrate(config)


@journals.command("backup")
def _journal_backup(
    file: Annotated[Path, typer.Argument(help="The copy; an older one of that name is replaced.")],
    *,
    config: Config = _DEFAULT,
) -> None:
    """Copy the journal while the daemon works. Fails, and keeps the older copy, where the journal is damaged."""
    from dispatcher.cli.journal import save

    save(config, file)


@journals.command("restore")
def _journal_restore(
    file: Annotated[Path, typer.Argument(exists=True, dir_okay=False, help="A copy that `journal backup` made.")],
    *,
    config: Config = _DEFAULT,
) -> None:
    """Put a copy in the journal's place. The daemon must not be running; what lay there is kept beside it."""
    from dispatcher.cli.journal import bring_back

    bring_back(config, file)


@tokens.command("create")
def _token_create(
    *,
    role: Annotated[Role, typer.Option(help="What its bearer may do.")],
    person: Annotated[str, typer.Option(help="The named person it stands for.")] = "",
    source: Annotated[str, typer.Option(help="The event source it stands for, with role source only.")] = "",
    file: Tokens = None,
    config: Config = _DEFAULT,
) -> None:
    """Print a new token once. The file keeps only its hash."""
    from dispatcher.cli.token import create, tokens_file

    create(file or tokens_file(config), role=role, person=person, source=source)


@tokens.command("list")
def _token_list(
    file: Tokens = None,
    config: Config = _DEFAULT,
) -> None:
    """List who holds tokens. The tokens themselves are known to nobody but their bearers."""
    from dispatcher.cli.token import show, tokens_file

    show(file or tokens_file(config))
