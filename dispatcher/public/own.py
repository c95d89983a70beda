"""The page of one officer's own account, at a link that only its owner has: agree, pause, go on, revoke.

It works without a script. Nobody is told what others have agreed to, and what an owner entrusts to us is never shown again.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Final

from aiohttp import hdrs, web
from jinja2 import Environment, FileSystemLoader, StrictUndefined

from dispatcher.accounts.book import Accounts, Consent
from dispatcher.accounts.groups import LONGEST_ANSWER, TOKEN
from dispatcher.model.account import LONGEST_LINE, Account
from dispatcher.model.errors import CommandError, Invalid
from dispatcher.public.brake import Brake
from dispatcher.setup import Setup
from dispatcher.telemetry import logger

log = logger("public")

_WRONG: Final = {
    "": "Das Konto nimmt nicht an, was Sie eingetragen haben.",
    "agree": "Ohne Ihre Zustimmung geschieht nichts: Bitte setzen Sie den Haken.",
    "conflict": "Das geht im Augenblick nicht: Bitte sehen Sie, was jetzt gilt.",
    "line": "Ihre Zeile ist zu lang.",
    "say": "Bitte wählen Sie, was geschehen soll.",
    "way": "Bitte wählen Sie einen der Wege.",
}
_FORM: Final = "application/x-www-form-urlencoded"
_templates = Environment(
    loader=FileSystemLoader(Path(__file__).parent / "static"), autoescape=True, undefined=StrictUndefined,
    trim_blocks=True, lstrip_blocks=True,
)  # fmt: skip


class OwnPages:
    """Owners come with their links."""

    def __init__(self, accounts: Accounts, setup: Setup, brake: Brake) -> None:
        """``setup`` names the sender."""
        self._accounts, self._setup, self._brake = accounts, setup, brake

    async def page(self, request: web.Request) -> web.Response:
        """What its owner has agreed to, and what they may say now."""
        return self._shown(self._owner(request))

    async def decide(self, request: web.Request) -> web.Response:
        """Do what its owner says; 303 back to the page, or the page again with what was wrong."""
        account = self._owner(request)
        if request.content_type != _FORM:
            raise web.HTTPUnsupportedMediaType
        if not self._brake.lets_through():
            raise web.HTTPTooManyRequests(headers={hdrs.RETRY_AFTER: "5"})
        form = {name: str(value) for name, value in (await request.post()).items()}
        try:
            await self._carry_out(account, form)
        except CommandError as error:
            invalid = isinstance(error, Invalid)
            return self._shown(account, self._said(account, form, error), status=422 if invalid else 409)
        raise web.HTTPSeeOther(request.rel_url)

    async def _carry_out(self, account: Account, form: Mapping[str, str]) -> None:
        match form.get("say"):
            case "consent":
                await self._accounts.consent(account, self._consent(account, form))
            case "pause":
                await self._accounts.pause(account)
            case "resume":
                await self._accounts.resume(account)
            case "revoke":
                await self._accounts.revoke(account)
            case _:
                raise Invalid("say what you want", "say")

    def _consent(self, account: Account, form: Mapping[str, str]) -> Consent:
        """What was filled in; raises `Invalid` without the tick that says so."""
        way = self._accounts.groups[account.group].ways.get(form.get("way", ""))
        if way is None:
            raise Invalid("choose one of the ways", "way")
        if form.get("agree") != "yes":
            raise Invalid("nothing is said without your consent: tick the box", "agree")
        answers = {name: form.get(f"answer-{name}", "").strip() for name in way.asks}
        for name, answer in answers.items():
            if not 0 < len(answer) <= LONGEST_ANSWER or not answer.isprintable():
                raise Invalid(f"{way.asks[name]}: 1 to {LONGEST_ANSWER} characters", name)
        return Consent(way.name, form.get("line", ""), answers)

    def _said(self, account: Account, form: Mapping[str, str], error: CommandError) -> str:
        """What is wrong, in the language of the page."""
        field = error.field if isinstance(error, Invalid) else "conflict"
        way = self._accounts.groups[account.group].ways.get(form.get("way", ""))
        label = way.asks.get(field) if way else None
        return f"„{label}“ passt nicht, oder ist hier nicht erlaubt." if label else _WRONG.get(field, _WRONG[""])

    def _owner(self, request: web.Request) -> Account:
        """Whose link it is; raises 404 for every link that is none."""
        account = self._accounts.owner(request.match_info["token"])
        if account is None:
            raise web.HTTPNotFound
        return account

    def _shown(self, account: Account, wrong: str = "", *, status: int = 200) -> web.Response:
        group, deployment = self._accounts.groups[account.group], self._setup.deployment
        text = _templates.get_template("own.html").render(
            account=account, group=group, way=group.ways.get(account.way), wrong=wrong, longest=LONGEST_LINE,
            secret=TOKEN, sender=deployment.sender, realm=deployment.realm,
        )  # fmt: skip
        return web.Response(text=text, content_type="text/html", status=status)
