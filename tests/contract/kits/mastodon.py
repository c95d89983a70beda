"""Mastodon's client API."""

from contract.kit import TOKEN, Kit

KIT = Kit(
    settings=lambda base: {"base_url": base, "credential": TOKEN},
    good={"id": "116000000000000001", "url": "https://social.example/@polizei/116000000000000001"},
)
