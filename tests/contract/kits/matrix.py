"""A Matrix homeserver."""

from contract.kit import TOKEN, Kit

ROOM = "!leer:matrix.example"

KIT = Kit(
    settings=lambda base: {"base_url": base, "room_id": ROOM, "credential": TOKEN},
    good={"event_id": "$YUwRidLecu0vkuQYzBdH5oSnCjOpLnSkXrQyUeQ1b4k"},
)
