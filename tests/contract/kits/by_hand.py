"""A person: nothing is called."""

from contract.kit import Kit

KIT = Kit(settings=lambda _base: {}, good={}, calls=False)
