"""The corpus of bad input: every file goes through its own door and becomes exactly what its row says."""

from __future__ import annotations

import asyncio
import json
import re
from collections.abc import Iterator
from pathlib import Path

import pytest
from unit.corpus import FOLDER, MADE, PLAYBOOK, Entry, corpus, unseen
from unit.house import NOW, Road, channel, deployment, road
from unit.speaking import SENDER

from dispatcher.channels import email
from dispatcher.documents import read_yaml
from dispatcher.intake.reader import read_as
from dispatcher.model.cap import Realm
from dispatcher.model.channel import Audience
from dispatcher.model.deployment import Deployment
from dispatcher.model.errors import ConfigurationError, Problem
from dispatcher.model.source import Source
from dispatcher.plan.facts import holds_link
from dispatcher.plan.library import load_playbook
from dispatcher.plan.occasion import PROVIDED
from dispatcher.plan.templates import TemplateRefused, compile_template
from dispatcher.settings.regions import load_regions
from dispatcher.settings.reporters import load_reporters
from dispatcher.settings.schema import Main
from dispatcher.settings.sources import Sources

SYSTEMS = Path(__file__).parents[2] / "examples" / "sources" / "sources.yaml"
HEADERS = {
    "From", "To", "Subject", "Date", "Message-ID", "Auto-Submitted", "Content-Language", "Importance", "MIME-Version",
    "Content-Type", "Content-Transfer-Encoding",
}  # fmt: skip
CHANNELS = (
    channel("whatsapp-leer", "leer", realm=Realm.EXERCISE),
    channel("facebook-leer", "leer", realm=Realm.EXERCISE),
    channel("facebook-emden", "emden", realm=Realm.EXERCISE),
    channel("duty-team", audience=Audience.STAFF, realm=Realm.EXERCISE),
)
PUBLIC = [profile.id for profile in CHANNELS if profile.audience is Audience.PUBLIC]


def where(**changes: object) -> Deployment:
    """An exercise daemon's deployment, in which nobody serves Aurich."""
    book = load_playbook(PLAYBOOK, "amok.yaml", CHANNELS, SENDER, Realm.EXERCISE)
    return deployment(book, channels=CHANNELS, realm=Realm.EXERCISE, **changes)


def system() -> Source:
    """A system that speaks its own JSON, with a map."""
    found = load_reporters([read_yaml(SYSTEMS.read_text(), str(SYSTEMS))], signing=True).sources["leitstelle-leer"]
    assert found is not None
    return found


def test_every_file_has_its_row() -> None:
    """Each file of the corpus, kept or made, has one row of the table, and each row its file."""
    kept = {str(path.relative_to(FOLDER)) for path in FOLDER.rglob("*") if path.is_file()} - {"README.md"}
    rows = [(entry.name, entry.made) for entry in corpus()]
    assert len(rows) == len(set(rows)) > 100
    assert {name for name, made in rows if not made} == kept
    assert {name for name, made in rows if made} == set(MADE)
    assert [name for name in kept if (FOLDER / name).stat().st_size > 50_000] == []


def test_every_fault_has_its_files() -> None:
    """No fault from F46 to F58 is without a file."""
    assert {f"F{number}" for number in range(46, 59)} <= {entry.name[:3] for entry in corpus()}


@pytest.mark.parametrize("entry", corpus("event", "events", "foreign"), ids=str)
async def test_a_payload_becomes_what_its_row_says(entry: Entry, tmp_path: Path) -> None:
    """Each is acknowledged and receipted, pages its cause, and lets channels hear what its row says, or nothing."""
    sources = {"control-room": system()} if entry.enters == "foreign" else {}
    async with road(tmp_path, where(sources=sources)) as found:
        receipts = [await found.receive(raw=payload, id=str(n)) for n, payload in enumerate(entry.payloads)]
        await found.quiet()
        assert [receipt.state for receipt in receipts] == entry.states
        assert len(found.acknowledged) == len(receipts)
        assert await found.pages() == sorted(entry.paged)
        reasons = "\n".join(receipt.error for receipt in receipts)
        heard = "\n".join(heard_by(found, *PUBLIC))
        assert entry.says in (reasons if "unreadable" in entry.states else heard)
        assert bool(heard) is ("unreadable" not in entry.states and bool(entry.says))
        assert not holds_link(heard) or "withheld" not in entry.paged
        everything = heard_by(found, *PUBLIC, "duty-team")
        assert unseen("".join([reasons, *everything])) == []
        assert headers(found) <= HEADERS


def heard_by(found: Road, *names: str) -> Iterator[str]:
    """Everything that these channels were given to say, in text and beside it."""
    for name in names:
        for post in found.fakes[name].posts:
            yield f"{post.text.headline}\n{post.text.body}\n{post.place}"


def headers(found: Road) -> set[str]:
    """The names of all headers that letters of what was said would have."""
    settings = email.Settings(
        sender="a@stadt.example", recipients=["b@stadt.example"], relays=["localhost"], tls="none"
    )
    letters = [email.write(settings, post) for fake in found.fakes.values() for post in fake.posts]
    heads = [letter.content.decode().partition("\r\n\r\n")[0] for letter in letters]
    return {name for head in heads for name in re.findall(r"^([^\s:]+):", head, re.MULTILINE)}


def problems(entry: Entry, tmp_path: Path) -> list[Problem]:
    """What is wrong with a file, nothing where it loads."""
    try:
        if entry.enters == "regions":
            (tmp_path / "regions.geojson").write_bytes(entry.content)
            main = Main.model_validate({
                "realm": "live", "sender": {"name": "x"}, "regions_file": tmp_path / "regions.geojson", "channels": {},
            })  # fmt: skip
            load_regions(main, Sources(tmp_path / "dispatcher.yaml"))
        else:
            book = load_playbook(entry.content.decode(), "hostile.yaml", CHANNELS, SENDER, Realm.EXERCISE)
            assert " ".join(book.match.kind) == entry.says
    except ConfigurationError as error:
        return error.problems
    return []


@pytest.mark.parametrize("entry", corpus("playbook", "regions"), ids=str)
def test_a_file_becomes_what_its_row_says(entry: Entry, tmp_path: Path) -> None:
    """A file loads and means what its row says, or is refused with its name, the line, the reason and a remedy."""
    found = problems(entry, tmp_path)
    assert bool(found) is (entry.becomes != "loads")
    if found:
        line = "" if found[0].line is None else f" in line {found[0].line}"
        said = "\n".join(map(str, found))
        assert (f"refused{line}", entry.says in said, unseen(said)) == (entry.becomes, True, []), said


@pytest.mark.parametrize("entry", corpus("template"), ids=str)
def test_a_template_is_refused_before_it_runs(entry: Entry) -> None:
    """A template that could run away, escape or fail is refused when it is loaded, with what is wrong in it."""
    with pytest.raises(TemplateRefused, match=re.escape(entry.says)):
        compile_template(entry.content.decode(), PROVIDED)


def test_a_foreign_message_is_an_event_or_none() -> None:
    """What a mapped system sends and is taken has texts that can all be seen."""
    for entry in corpus("foreign"):
        if entry.becomes == "journaled":
            event = read_as(entry.content, system(), "leitstelle-leer", NOW)
            assert unseen("".join([event.id, event.incident, event.kind, event.place, *event.warnings])) == []


async def test_every_one_of_many_is_told(tmp_path: Path) -> None:
    """Five hundred incidents at once: every channel concerned is told each of them once, and nobody is paged."""
    [entry] = corpus("burst")
    async with road(tmp_path, where(), inline=False) as found:
        receipts = await asyncio.gather(*(found.receive(raw=payload) for payload in entry.payloads))
        await found.quiet()
        assert [receipt.state for receipt in receipts] == entry.states
        incidents = sorted(json.loads(payload)["incident"] for payload in entry.payloads)
        for name in ("whatsapp-leer", "facebook-leer"):
            assert sorted(incident for _, incident in found.said(name)) == incidents
        assert await found.pages() == []
