"""Runs programs on a pull request's content where they can do no harm."""
