"""Mastodon's client API."""

from contract.kit import TOKEN, Kit

MEDIA = {"id": "117000000000000001", "type": "image", "description": "words"}

KIT = Kit(
    settings=lambda base: {"base_url": base, "credential": TOKEN},
    good={"id": "116000000000000001", "url": "https://social.example/@polizei/116000000000000001"},
    uploads=lambda _base: [(202, MEDIA), (200, MEDIA)],
)
