"""How urgent a finding is."""

from enum import StrEnum


class Priority(StrEnum):
    """P0 (drop everything) … P3 (nit). Compare with `at_or_above`, never as text."""

    P0 = "P0"
    P1 = "P1"
    P2 = "P2"
    P3 = "P3"

    def at_or_above(self, threshold: "Priority") -> bool:
        """Say whether this is as urgent as `threshold` or more so."""
        return self.value <= threshold.value
