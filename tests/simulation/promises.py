"""What must hold when the faults have healed and all is quiet, by what the journal says and what the public can read."""

from __future__ import annotations

import json
from collections.abc import Iterable
from dataclasses import dataclass

from simulation.broker import Message
from simulation.world import World

RESTING = {
    "accepted", "visible", "failed", "expired", "cancelled", "superseded", "retracted", "held", "standby", "by_hand",
    "in_doubt",
}  # fmt: skip
PAGED = ("failed", "expired", "by_hand", "in_doubt")


def unrest(world: World) -> list[str]:
    """What is still under way; empty where all is quiet."""
    open_rows = world.witness.rows("SELECT id, state FROM deliveries WHERE state IN ('queued', 'sending') ORDER BY id")
    unwritten = world.witness.rows("SELECT id FROM alerts WHERE rows_written = 0 ORDER BY id")
    return [f"{row['id']} is {row['state']}" for row in open_rows] + [f"{row['id']} has no rows" for row in unwritten]


def judge(world: World, messages: Iterable[Message]) -> None:
    """Add to the world's violations whatever is not as promised."""
    _nothing_lost(world, messages)
    _nothing_silent(world)
    _no_bug_met(world)
    _nothing_unknown(world)
    _ends_by_people(world)
    _ends_everywhere(world)
    world.violations += [f"lost in the loop: {what}" for what in world.loop.lost]
    if [row[0] for row in world.witness.rows("PRAGMA integrity_check")] != ["ok"]:
        world.wrong("the journal's file is damaged")


def _nothing_lost(world: World, messages: Iterable[Message]) -> None:
    """What was acknowledged is in the journal, and every delivery that was planned is there."""
    for message in messages:
        if not world.witness.took_in(message.source, message.id, message.sha256):
            world.wrong(f"lost: {message.source}/{message.id} is not in the journal")
    known = {row["id"] for row in world.witness.rows("SELECT id FROM deliveries")}
    for row in world.witness.rows("SELECT id, body FROM alerts ORDER BY id"):
        missing = {f"{row['id']}:{planned['channel']}" for planned in json.loads(row["body"])["plan"]} - known
        for name in sorted(missing):
            world.wrong(f"lost: {name} was planned and has no row")


def _nothing_silent(world: World) -> None:
    """Every delivery rests in a named state, and of what failed or needs a person staff were called."""
    pages = _pages(world)
    statement = (
        "SELECT d.id, d.channel, d.state, d.updated_at, a.body FROM deliveries d JOIN alerts a ON a.id = d.alert "
        "WHERE a.purpose != 'page' ORDER BY d.id"
    )
    for row in world.witness.rows(statement):
        if row["state"] not in RESTING:
            world.wrong(f"silent: {row['id']} is left {row['state']}")
        since = [page for page in pages if page.at >= row["updated_at"] and page.cause == row["state"]]
        if row["state"] in PAGED and not _told(since, json.loads(row["body"])["code"], row["channel"]):
            world.wrong(f"silent: {row['id']} is {row['state']} and nobody was called")
    for row in world.witness.rows("SELECT id, created_at, body FROM alerts WHERE state = 'held' ORDER BY id"):
        body, since = json.loads(row["body"]), [page for page in pages if page.at >= row["created_at"]]
        with_it = [page for page in since if page.at == row["created_at"]]
        if not (_told(since, body["code"]) or _told(with_it, f"incident {body['incident']},")):
            world.wrong(f"silent: {row['id']} is held and nobody was called")


@dataclass(frozen=True, slots=True)
class _Page:
    at: int
    cause: str
    words: str


def _pages(world: World) -> list[_Page]:
    found = world.witness.rows("SELECT created_at, body FROM alerts WHERE purpose = 'page' ORDER BY created_at, id")
    bodies = [(row["created_at"], json.loads(row["body"])) for row in found]
    return [
        _Page(at, body["name"], text["first"]["body"]) for at, body in bodies for text in body["texts"].values()
    ]  # fmt: skip


def _told(pages: Iterable[_Page], *words: str) -> bool:
    return any(all(word in page.words for word in words) for page in pages)


def _no_bug_met(world: World) -> None:
    """Nothing was put aside for an error of the daemon's own."""
    for row in world.witness.rows("SELECT source, reason FROM letters WHERE reason LIKE 'internal error%'"):
        world.wrong(f"bug: an event of {row['source']} met with {row['reason']}")


def _nothing_unknown(world: World) -> None:
    """What the public can read is out, or marked as doubtful, in the journal."""
    out = ("accepted", "visible", "retracted")
    for posts in world.published.values():
        for post in posts:
            row = world.witness.first("SELECT state, doubtful FROM deliveries WHERE id = ?", post.delivery)
            if row is None or not (row["state"] in out or row["doubtful"] or post.delivery in world.doubts):
                world.wrong(f"unknown: {post.delivery} is public, the journal says {row and row['state']}")


def _ends_by_people(world: World) -> None:
    """Behind every end, and behind everything that needs a release, stand as many named persons as it takes."""
    for row in world.witness.rows("SELECT id, purpose, body FROM alerts WHERE state = 'released' ORDER BY id"):
        given = world.witness.rows("SELECT person, decision FROM releases WHERE alert = ?", row["id"])
        people = {one["person"] for one in given if one["decision"] in ("release", "break_glass")}
        glass = any(one["decision"] == "break_glass" for one in given)
        needed = json.loads(row["body"])["people"]
        ends = row["purpose"] in ("all_clear", "false_alarm", "partial_end")
        if (ends and not people) or (len(people) < needed and not glass):
            world.wrong(f"machine: {row['purpose']} {row['id']} is out, released by {sorted(people)} of {needed}")


def _ends_everywhere(world: World) -> None:
    """Whoever read of an incident that has ended was told so, or a person knows why not."""
    homes = {row["incident"]: row["into"] for row in world.witness.rows('SELECT incident, "into" FROM joins')}
    for (incident, channel), posts in world.published.items():
        spoken = [post for post in posts if post.purpose in ("alert", "update", "all_clear", "false_alarm")]
        home = homes.get(incident, incident)
        row = world.witness.first("SELECT open FROM incidents WHERE id = ?", home)
        if not spoken or row is None or row["open"] or spoken[-1].purpose in ("all_clear", "false_alarm"):
            continue
        ends = world.witness.rows(
            "SELECT d.id FROM deliveries d JOIN alerts a ON a.id = d.alert WHERE d.incident = ? AND d.channel = ? "
            "AND a.state = 'released' AND a.purpose IN ('all_clear', 'false_alarm', 'partial_end') "
            "AND d.state NOT IN ('cancelled', 'superseded') AND (d.incident != ? OR d.revision > ?)",
            home, channel, incident, spoken[-1].revision,
        )  # fmt: skip
        if not ends:
            world.wrong(f"no end: {channel} said {spoken[-1].purpose} about {incident}, which has ended")
