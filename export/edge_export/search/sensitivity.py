"""What each layer does to the answers when it alone is quantized."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from edge_export.quant.noise import decibels
from edge_export.quant.noise_bench import NoiseBench
from edge_export.quant.select import Compute
from edge_export.state import Mix

__all__ = ["Sensitivity", "measure_sensitivities"]


@dataclass(frozen=True)
class Sensitivity:
    """Noise / signal by part of the outputs when only `item` computes in int8, and when only its weights are int8."""

    item: Compute
    int8: dict[str, float]
    weights: dict[str, float]

    @property
    def worst(self) -> float:
        """The ratio of the part that suffers most from int8."""
        return max(self.int8.values(), default=0.0)

    @property
    def level(self) -> float:
        """The same in dB."""
        return decibels(self.worst)

    @property
    def weights_level(self) -> float:
        """dB of the worst part when only the weights are int8."""
        return decibels(max(self.weights.values(), default=0.0))


def measure_sensitivities(
    bench: NoiseBench, items: Sequence[Compute], every: int, weights: bool, advance: Callable[[], None]
) -> list[Sensitivity]:
    """Try every node of `items` alone, over each `every`-th sample of the bench; `weights` False takes rounded weights
    to be harmless.
    """
    found = []
    for item in items:
        rounding = bench.noise(Mix.of("int8-weights", [item.name]), every) if weights else {}
        found.append(Sensitivity(item, bench.noise(Mix.of("int8", [item.name]), every), rounding))
        advance()
    return found
