"""Knows how to talk to model servers: what to send, what may come back, when to ask again."""
