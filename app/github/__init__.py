"""Speaks GitHub's wire format; nobody else does. Adapters for the ports, over a thin httpx."""
