"""Speaks HTTP to the outside. Decides nothing about reviewing."""
