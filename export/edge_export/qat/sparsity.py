"""Magnitude pruning on a cubic schedule (Zhu and Gupta, "To prune, or not to prune", arXiv 1710.01878)."""

from __future__ import annotations

from dataclasses import dataclass

from edge_runtime.errors import UsageError

__all__ = ["CubicSparsity"]


@dataclass(frozen=True)
class CubicSparsity:
    """The share of weights that are zero, by progress of the training (0 before its first step, 1 at its last):

        s(t) = final + (initial - final) * (1 - (t - begin) / (end - begin))^3    for begin <= t <= end

    It rises fast while there is much to spare, and slowly at the end. Weights of fewer than `smallest` values are left
    alone. Between `end` and 1 the masks rest and the weights that are left recover.
    """

    final: float
    initial: float = 0.0
    begin: float = 0.0
    end: float = 0.7
    smallest: int = 512

    def __post_init__(self) -> None:
        if not 0.0 <= self.initial <= self.final < 1.0:
            raise UsageError(f"sparsity: expected 0 <= initial <= final < 1, found {self.initial} and {self.final}")
        if not 0.0 <= self.begin < self.end <= 1.0:
            raise UsageError(f"sparsity: expected 0 <= begin < end <= 1, found {self.begin} and {self.end}")

    def at(self, progress: float) -> float:
        """Return the share of zeros at a progress of 0..1."""
        passed = min(max((progress - self.begin) / (self.end - self.begin), 0.0), 1.0)
        return self.final + (self.initial - self.final) * (1.0 - passed) ** 3

    def done(self, progress: float) -> bool:
        """Tell whether the masks are final from here on."""
        return progress >= self.end
