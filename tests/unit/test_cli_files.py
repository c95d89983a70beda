"""The commands that only read files, and the one that writes token hashes: what they print, and their exit codes."""

import hashlib
import json
import stat
import subprocess
import sys
from pathlib import Path

import pytest
from jsonschema import Draft202012Validator

from dispatcher.cli import main
from dispatcher.cli.schema import config_schema, event_schema, people_schema, playbook_schema, sources_schema
from dispatcher.cli.token import read
from dispatcher.clock import SystemClock
from dispatcher.documents import read_yaml
from dispatcher.intake.signature import verify
from dispatcher.model.incident import KNOWN, parse_event
from dispatcher.model.source import Signature

ROOT = Path(__file__).parents[2]
DEMO = str(ROOT / "config/demo/dispatcher.yaml")


class Ran:
    """What a command left behind: exit code, standard output, standard error."""

    def __init__(self, capsys: pytest.CaptureFixture[str], *arguments: object) -> None:
        with pytest.raises(SystemExit) as ended:
            main([str(argument) for argument in arguments])
        code = ended.value.code
        captured = capsys.readouterr()
        self.code = 1 if isinstance(code, str) else code
        self.out, self.err = captured.out, captured.err + (code if isinstance(code, str) else "")


def _broken(folder: Path) -> Path:
    path = folder / "dispatcher.yaml"
    path.write_text("realm: live\nsender: {name: Leer}\nchannels:\n  x: {kind: ntfy, urll: 'https://x.example/x'}\n")
    return path


def test_help_is_quick_and_reads_nothing_it_does_not_need() -> None:
    """Help loads no web, template or validation library: that is what keeps it under a third of a second."""
    script = (
        "import sys\nfrom dispatcher.cli import main\ntry:\n    main(['--help'])\nexcept SystemExit:\n    pass\n"
        "print(sorted({'aiohttp', 'pydantic', 'jinja2', 'sqlalchemy', 'ruamel.yaml', 'rich'} & set(sys.modules)))"
    )
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    names = ("run", "demo", "emit", "check", "preview", "trigger", "schema", "migrate", "token")

    assert all(f"\n  {name} " in done.stdout for name in names)
    assert done.stdout.splitlines()[-1] == "[]"


def test_check_shows_how_every_alert_fits(capsys: pytest.CaptureFixture[str]) -> None:
    """A sound configuration exits 0 and shows for each channel which form of each playbook's alert it carries."""
    ran = Ran(capsys, "check", DEMO)

    assert ran.code == 0
    assert "whatsapp-osnabrueck +3" in ran.out
    assert "500 graphemes" in ran.out
    assert "de en long" in ran.out
    assert "de en short" in ran.out
    assert "realm exercise, playbooks 4, channels 13, regions 8: errors 0, warnings 0" in ran.out


def test_check_names_what_was_left_out(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    """A broken channel makes the check exit 1, with file, line, field and remedy in one line."""
    ran = Ran(capsys, "check", _broken(tmp_path))

    assert ran.code == 1
    assert f'error: {tmp_path}/dispatcher.yaml:4: channels.x.urll: unknown key (did you mean "url"?)' in ran.out
    assert "warning: " in ran.out


def test_check_of_nothing_is_a_plain_error(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    """A main file that is not there exits 1 with one line and no traceback."""
    ran = Ran(capsys, "check", tmp_path / "none.yaml")

    assert ran.code == 1
    assert ran.err.startswith(f"{tmp_path}/none.yaml: cannot be read: No such file or directory")
    assert "Traceback" not in ran.err


def test_missing_secrets_warn_unless_they_are_asked_for(capsys: pytest.CaptureFixture[str]) -> None:
    """A desk without the secrets can check everything else; with --secrets each missing one is an error."""
    town = ROOT / "examples/small-town.yaml"
    lenient, strict = Ran(capsys, "check", town), Ran(capsys, "check", town, "--secrets")

    assert (lenient.code, strict.code) == (0, 1)
    assert "warning: " in lenient.out
    assert "error: " in strict.out


def test_preview_prints_each_text_once_with_its_channels(capsys: pytest.CaptureFixture[str]) -> None:
    """Channels that say the same stand together over their text; channels of other regions are not there."""
    ran = Ran(capsys, "preview", "amok", "--config", DEMO, "--place", "Westring", "--region", "03404")

    assert ran.code == 0
    assert "whatsapp-osnabrueck" in ran.out
    assert "whatsapp-leer-emden" not in ran.out
    assert ran.out.count("Nächste Information") == 1
    assert ran.out.index("whatsapp-osnabrueck") < ran.out.index("Westring") < ran.out.index("mastodon")
    assert "of 500 graphemes" in ran.out


@pytest.mark.parametrize("purpose", ["update", "all_clear", "false_alarm"])
def test_preview_has_all_four_texts(capsys: pytest.CaptureFixture[str], purpose: str) -> None:
    """The ends are previewed as if the alert had gone out, on the same channels."""
    ran = Ran(capsys, "preview", "amok", "--config", DEMO, "--place", "Westring", "--purpose", purpose, "--lang", "de")

    assert ran.code == 0
    assert "whatsapp-leer-emden" in ran.out
    assert "***" not in ran.out


def test_preview_of_a_named_update_takes_its_facts(capsys: pytest.CaptureFixture[str]) -> None:
    """A named update is previewed with the facts it declares."""
    ran = Ran(
        capsys, "preview", "amok", "--config", DEMO, "--update", "meeting_point", "--place", "Westring",
        "--fact", "point=Stadthalle",
    )  # fmt: skip

    assert ran.code == 0
    assert "Stadthalle" in ran.out


@pytest.mark.parametrize(
    ("arguments", "complaint"),
    [
        (["amk"], "no playbook 'amk'; known: amok"),
        (["amok", "--region", "atlantis"], "known: emden"),
        (["amok", "--fact", "gate"], "'gate' is not name=value"),
        (["amok", "--fact", "colour=red"], "no fact 'colour'; known: "),
        (["amok", "--lang", "fr"], "no language 'fr'; known: de, en"),
        (["amok", "--update", "lunch"], "no update 'lunch'; known: "),
        (["amok", "--purpose", "party"], "party"),
    ],
)
def test_a_wrong_command_line_exits_2(capsys: pytest.CaptureFixture[str], arguments: list[str], complaint: str) -> None:
    """What is not there is a usage error that lists what is."""
    ran = Ran(capsys, "preview", *arguments, "--config", DEMO)

    assert ran.code == 2
    assert complaint in " ".join(ran.err.replace("│", " ").split())


def test_every_field_of_an_event_is_described() -> None:
    """The event's schema describes each field that the reader knows, and no other field."""
    schema = event_schema()
    Draft202012Validator.check_schema(schema)

    assert {name for name, field in schema["properties"].items() if field.get("description")} == KNOWN


def test_the_example_event_is_what_schema_and_reader_expect() -> None:
    """The shipped example validates, reads with nothing but its time missing, and is refused by the schema when its place is gone."""
    content = (ROOT / "examples/event.json").read_bytes()
    example, validator = json.loads(content), Draft202012Validator(event_schema())
    event = parse_event(content, source="leitstelle", received_at=SystemClock().now())

    assert not list(validator.iter_errors(example))
    assert event.warnings == ("sent: missing, the time of receipt is taken",)
    nowhere = {key: value for key, value in example.items() if key not in {"place", "area"}}
    assert list(validator.iter_errors(nowhere))
    assert list(validator.iter_errors({**example, "status": "real"}))


@pytest.mark.parametrize("path", sorted((ROOT / "playbooks").glob("*.yaml")), ids=lambda path: path.stem)
def test_shipped_playbooks_are_what_the_schema_says(path: Path) -> None:
    """Every shipped playbook validates against the printed schema, and does not without its all-clear."""
    data = read_yaml(path.read_text(), str(path)).data
    validator = Draft202012Validator(playbook_schema())

    assert not list(validator.iter_errors(data))
    del data["texts"]["all_clear"]
    assert list(validator.iter_errors(data))


@pytest.mark.parametrize("name", ["config/dispatcher.yaml", "examples/small-town.yaml"])
def test_shipped_configurations_are_what_the_schema_says(name: str) -> None:
    """The main files validate against the printed schema, which knows the fields of every kind of channel."""
    data = read_yaml((ROOT / name).read_text(), name).data
    validator = Draft202012Validator(config_schema())

    assert not list(validator.iter_errors(data))
    assert list(validator.iter_errors({**data, "channels": {"x": {"kind": "facebook_page"}}}))
    assert list(validator.iter_errors({**data, "channel": {}}))


def test_the_example_of_sources_is_what_the_schema_says() -> None:
    """The shipped maps validate in a file of their own and in the main file; one without a needed rule does not."""
    name = "examples/sources/sources.yaml"
    data = read_yaml((ROOT / name).read_text(), name).data
    validator, main = Draft202012Validator(sources_schema()), Draft202012Validator(config_schema())
    whole = {"realm": "live", "sender": {"name": "Leer"}, **data}

    assert not [*validator.iter_errors(data), *main.iter_errors(whole)]
    del data["sources"]["lagekarte"]["map"]["incident"]
    assert [error.validator for error in validator.iter_errors(data)] == ["required"]
    assert list(main.iter_errors(whole))
    assert list(validator.iter_errors({"sources": {"els": {"heartbeat": "often"}}}))


def test_people_are_what_the_schema_says() -> None:
    """A file of people validates; a role that nobody has, or a list that does not exist, does not."""
    people: dict[str, object] = {"anna": {"role": "supervisor", "channels": ["chief"], "regions": ["leer"]}, "ben": {}}
    validator = Draft202012Validator(people_schema())

    assert not list(validator.iter_errors({"people": people, "duty": ["ben"], "escalation": ["anna"]}))
    assert list(validator.iter_errors({"people": {"ben": {"role": "king"}}}))
    assert list(validator.iter_errors({"people": people, "on_duty": ["ben"]}))


@pytest.mark.parametrize("subject", ["event", "playbook", "config", "sources", "people"])
def test_schemas_are_printed_as_json(capsys: pytest.CaptureFixture[str], subject: str) -> None:
    """Each schema is printed as JSON that names its dialect."""
    printed = json.loads(Ran(capsys, "schema", subject).out)

    assert printed["$schema"] == "https://json-schema.org/draft/2020-12/schema"


def test_a_token_is_shown_once_and_kept_as_a_hash(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    """The printed token has 256 bits, its hash is appended to a file for its owner only, and the token is nowhere."""
    path = tmp_path / "tokens.yaml"
    first = Ran(capsys, "token", "create", "--role", "operator", "--person", "Dienstgruppe A", "--tokens", path)
    second = Ran(capsys, "token", "create", "--role", "source", "--source", "els", "--tokens", path)
    tokens = [first.out.strip(), second.out.strip()]

    assert (first.code, second.code) == (0, 0)
    assert len(set(tokens)) == 2
    assert all(len(token) >= 43 for token in tokens)
    assert [entry.sha256 for entry in read(path)] == [hashlib.sha256(token.encode()).hexdigest() for token in tokens]
    assert [(entry.role, entry.person, entry.source) for entry in read(path)] == [
        ("operator", "Dienstgruppe A", None), ("source", None, "els"),
    ]  # fmt: skip
    assert not any(token in path.read_text() for token in tokens)
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert [file.name for file in tmp_path.iterdir()] == ["tokens.yaml"]


def test_tokens_are_listed_by_holder(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    """The list names holders and roles and shows no hash."""
    path = tmp_path / "tokens.yaml"
    Ran(capsys, "token", "create", "--role", "supervisor", "--person", "Leitung", "--tokens", path)
    listed = Ran(capsys, "token", "list", "--tokens", path)

    assert "supervisor" in listed.out
    assert "Leitung" in listed.out
    assert read(path)[0].sha256[:12] not in listed.out


@pytest.mark.parametrize(
    "arguments",
    [
        ["--role", "operator"],
        ["--role", "source", "--person", "Dienstgruppe A"],
        ["--role", "viewer", "--person", "Dienstgruppe A", "--source", "els"],
        ["--role", "king", "--person", "Dienstgruppe A"],
        ["--role", "source", "--source", "operator:leitung"],
    ],
)
def test_a_token_belongs_to_a_person_or_a_source(
    capsys: pytest.CaptureFixture[str], tmp_path: Path, arguments: list[str]
) -> None:
    """A token that would stand for nobody, or for both, is a usage error, and nothing is written."""
    path = tmp_path / "tokens.yaml"

    assert Ran(capsys, "token", "create", *arguments, "--tokens", path).code == 2
    assert not path.exists()


def test_a_broken_tokens_file_is_not_overwritten(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    """A tokens file that cannot be understood is named and left as it is."""
    path = tmp_path / "tokens.yaml"
    path.write_text("tokens: [{id: t-1}]\n")
    ran = Ran(capsys, "token", "create", "--role", "viewer", "--person", "Leitung", "--tokens", path)

    assert ran.code == 1
    assert "tokens.yaml:1: tokens.0.sha256: missing" in ran.err
    assert path.read_text() == "tokens: [{id: t-1}]\n"


def test_the_example_of_a_tokens_file_is_read() -> None:
    """The shipped example has the format that the program reads."""
    assert [entry.role for entry in read(ROOT / "config/tokens.yaml.example")] == ["operator"]


@pytest.mark.parametrize(
    ("file", "source", "playbook"),
    [
        ("flat.json", "leitstelle-leer", "amok"),
        ("nested.json", "landesleitstelle", "bomb-threat"),
        ("feature.json", "lagekarte", "large-operation"),
    ],
)
def test_a_dry_run_tells_what_would_become_of_it(
    file: str, source: str, playbook: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Each shipped example, told through its map, calls its playbook and channels; nothing is sent."""
    config = tmp_path / "dispatcher.yaml"
    examples = ROOT / "examples/sources"
    config.write_text((ROOT / "config/demo/dispatcher.yaml").read_text() + f"sources_file: {examples}/sources.yaml\n")
    (tmp_path / "secrets").symlink_to(ROOT / "config/demo/secrets")
    ran = Ran(capsys, "emit", examples / file, "--source", source, "--config", config, "--dry-run")
    told = json.loads(ran.out)
    assert (ran.code, told["state"]) == (0, "journaled")
    assert (told["alert"]["playbook"], bool(told["alert"]["channels"])) == (playbook, True)


def test_a_dry_run_tells_why_it_is_no_event(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """What the map cannot read is told with the field and the pointer, and the command fails."""
    (tmp_path / "x.json").write_text("{}")
    config = tmp_path / "dispatcher.yaml"
    sources = f"sources_file: {ROOT}/examples/sources/sources.yaml\n"
    config.write_text((ROOT / "config/demo/dispatcher.yaml").read_text() + sources)
    ran = Ran(capsys, "emit", tmp_path / "x.json", "--source", "lagekarte", "--config", config, "--dry-run")
    assert (ran.code, json.loads(ran.out)["field"]) == (1, "id")


def test_a_key_pair_signs_what_its_source_verifies(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """A key made here, readable by its owner alone, signs an event that the printed public key verifies."""
    key, event = tmp_path / "els-1", tmp_path / "event.json"
    event.write_bytes(b'{"v": 1}')
    printed = Ran(capsys, "sign", "keygen", key).out
    assert stat.S_IMODE(key.stat().st_mode) == 0o600
    assert Ran(capsys, "sign", "keygen", key).code == 2
    shown = Ran(capsys, "sign", "event", event, "--key-file", key).out
    signature = next(line.split()[1] for line in shown.splitlines() if line.strip().startswith("signature:"))
    public = printed.split("els-1: ")[1].split("}")[0]
    verify(event.read_bytes(), signature, "els-1", Signature(keys={"els-1": public}))


def test_init_writes_what_check_accepts(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """The file that `init --yes` writes has no problem, is not written over, and its event calls a shipped playbook."""
    monkeypatch.chdir(tmp_path)
    assert Ran(capsys, "init", "--yes").code == 0
    assert len((tmp_path / "dispatcher.yaml").read_text().splitlines()) <= 12
    assert Ran(capsys, "token", "create", "--role", "operator", "--person", "anna").code == 0
    checked = Ran(capsys, "check")
    assert (checked.code, "errors 0, warnings 0" in checked.out) == (0, True)
    told = json.loads(Ran(capsys, "emit", "event.json", "--config", "dispatcher.yaml", "--dry-run").out)
    assert told["alert"] | {"held": False} == told["alert"]
    assert told["alert"]["channels"] == ["website"]
    assert Ran(capsys, "init", "--yes").code == 2
