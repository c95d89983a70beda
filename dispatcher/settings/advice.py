"""What works and should not stay so: said by `check`, shown on the page, and never a reason not to start."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Mapping
from importlib.util import find_spec
from pathlib import Path

from dispatcher.cards.settings import CardSettings
from dispatcher.channels.base import ChannelSettings
from dispatcher.console.auth import Role, TokensFile
from dispatcher.documents import Document, read_yaml, validated
from dispatcher.model.channel import ChannelId
from dispatcher.model.deployment import Deployment
from dispatcher.model.errors import ConfigurationError, Problem
from dispatcher.settings.schema import ChannelEntry

PAGE = 300  # what a headline in two languages, a line and a link need


def advice(
    document: Document, deployment: Deployment, channels: Mapping[ChannelId, tuple[str, ChannelSettings]], tokens: Path | None,
    cards: CardSettings | None = None,
) -> Iterator[Problem]:  # fmt: skip
    """Warnings about a configuration that loads; ``tokens`` is the file of token hashes, where one is named."""
    if not deployment.staff():
        message = "no channel has audience: staff, so nobody is paged when something is held, refused or stuck"
        yield document.problem(("channels",), message, "add one, such as kind: ntfy")
    for channel in deployment.staff():
        if channel.limit.size < PAGE:
            message = f"{channel.limit.size} {channel.limit.unit} hold no page that says what is wrong"
            yield document.problem(("channels", channel.id), message, f"give it room for {PAGE}")
    yield from _unspoken(document, deployment)
    yield from _idle(document, deployment)
    yield from _shared(document, channels)
    yield from _cardless(document, channels, cards)
    if tokens is not None:
        yield from _strangers(document, deployment, tokens)


def _unspoken(document: Document, deployment: Deployment) -> Iterator[Problem]:
    """Languages that channels ask for and no playbook has."""
    spoken = {language for playbook in deployment.playbooks for language in playbook.languages}
    for channel in deployment.channels.values():
        if missing := [language for language in channel.languages if language not in spoken]:
            message = f"no playbook speaks {', '.join(missing)}"
            yield document.problem(("channels", channel.id, "languages"), message, "write its texts, or take it out")


def _idle(document: Document, deployment: Deployment) -> Iterator[Problem]:
    """Fallbacks that never come to speak as such: none is there, or all speak at once."""
    for playbook in deployment.playbooks:
        rule = playbook.channels
        for primary, names in rule.fallback.items():
            there = [c for c in deployment.channels.values() if rule.prepares(c) and {c.id, c.kind}.intersection(names)]
            if not there:
                message = f"playbook {playbook.id}: nothing stands by for {primary}, as there is no {' or '.join(names)} for its audiences"
                yield document.problem(("channels",), message, "add one, or take the fallback out")
            elif all(rule.admits(channel) for channel in there):
                message = f"playbook {playbook.id}: {', '.join(names)} speaks at once and never stands by for {primary}"
                yield document.problem(("channels",), message, "narrow its channels by kinds or only")


def _shared(document: Document, channels: Mapping[ChannelId, tuple[str, ChannelSettings]]) -> Iterator[Problem]:
    """Channels that post to one and the same account: its readers would see everything twice."""
    alike: dict[str, list[ChannelId]] = defaultdict(list)
    for channel, (kind, settings) in channels.items():
        if settings.base:
            account = settings.model_dump_json(exclude={*ChannelEntry.model_fields, "credential"})
            alike[f"{kind} {account}"].append(channel)
    for first, *others in alike.values():
        for other in others:
            yield document.problem(("channels", other), f"speaks to the same account as {first}", "keep one of them")


def _cardless(
    document: Document, channels: Mapping[ChannelId, tuple[str, ChannelSettings]], cards: CardSettings | None
) -> Iterator[Problem]:
    """Channels that ask for cards where none can be made for them."""
    pillow = find_spec("PIL") is not None
    for channel, (_, settings) in channels.items():
        at = ("channels", channel, "card")
        if "card" not in settings.model_fields_set or not getattr(settings, "card", False):
            continue
        if settings.uploads_card and not pillow:
            yield document.problem(at, "Pillow is not installed", "install the extra cards, or take it out")
        elif not settings.uploads_card and cards is None:
            yield document.problem(at, "no cards are made", "configure cards, or take it out")


def _strangers(document: Document, deployment: Deployment, tokens: Path) -> Iterator[Problem]:
    """People who can sign in and are not known, and people who are known and cannot sign in."""
    at = ("console", "tokens_file")
    if not tokens.exists():
        yield document.problem(at, f"there is no {tokens}: nobody can sign in", "run `dispatcher token create`")
        return
    try:
        entries = validated(read_yaml(tokens.read_text(), str(tokens)), TokensFile).tokens
    except (OSError, ValueError) as error:
        yield document.problem(at, f"{tokens} cannot be read ({type(error).__name__}): nobody can sign in", "mend it")
        return
    except ConfigurationError as error:
        yield from error.problems
        return
    deciding = {entry.person for entry in entries if entry.person and entry.role is not Role.VIEWER}
    known = set(deployment.roster.people)
    for person in sorted(known - deciding):
        yield document.problem(("people", person), "has no token and cannot release", "run `dispatcher token create`")
    for person in sorted(deciding - known) if known else ():
        yield document.problem(at, f"{person} can release and does not stand under people", "add them, or revoke it")
