"""A Gotify server, with a token of an application or of a client."""

from contract.kit import TOKEN, Kit

_GOOD = {"id": 25, "appid": 5, "title": "title", "message": "text", "date": "2026-11-20T10:00:00.5Z", "priority": 10}

VARIANTS = {
    "application": Kit(settings=lambda base: {"base_url": base, "credential": TOKEN}, good=_GOOD),
    "client": Kit(settings=lambda base: {"base_url": base, "application": 5, "credential": TOKEN}, good=_GOOD),
}
