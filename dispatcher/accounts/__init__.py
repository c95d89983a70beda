"""Officers' own accounts: a group of many, each of which is a channel for as long as its owner agrees."""
