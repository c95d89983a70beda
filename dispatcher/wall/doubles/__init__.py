"""Doubles of the providers: each speaks its provider's HTTP API as far as a channel uses it, with the real shapes."""
