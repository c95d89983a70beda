"""Ways in: bytes become an `Inbound`. Nothing here reads them or decides anything about them."""
