"""Judgement: which playbook, which channels, which words, what next. Values in, values out; no I/O, no clock."""
