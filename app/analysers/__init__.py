"""Knows the static analysers: one file each, one table of them."""
