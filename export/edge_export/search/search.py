"""The fastest mix of precisions whose outputs stay near enough to FP32's.

Quantization noise of different layers is almost uncorrelated, so noise to signal ratios add up (Sakr et al., ICML 2017,
"Analytical guarantees on numerical precision of deep neural networks"). So the search is a Lagrangian one: each layer's
own noise, times a price, is added to the time that it takes in int8, and a minimum cut gives the cheapest mix for that
price. The lowest price is wanted whose mix meets the target when it is measured as a whole: it is found by bisection.
Weights of layers that compute in floats are stored as int8 too, but for the ones whose rounding alone hurts: FP16.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from edge_export.quant.int8 import int8_weights_able
from edge_export.quant.noise import decibels
from edge_export.quant.noise_bench import NoiseBench
from edge_export.quant.schemes import SCHEMES, Scheme
from edge_export.search.problem import SearchSpace
from edge_export.search.sensitivity import Sensitivity
from edge_export.state import Mix

__all__ = ["PRICES", "SMALLER", "Found", "Limits", "Searcher"]

# Price of noise that fills the whole target, in the time that the whole model takes as floats.
PRICES = (0.0, *(2.0**power for power in range(-9, 5)), float("inf"))
# The share of the noise that weights of float layers may make; beyond it the worst of them are stored as FP16.
STORED_SHARE = 0.5
# So many layers are tried once more after the bisection.
MOST_REFINED = 24
# Ways to store the weights of a node that computes in floats in fewer bits than int8, the widest first.
_SMALLER = tuple(
    sorted((one for one in SCHEMES if not one.integers and one.bits < 8), key=lambda one: one.bits, reverse=True)
)
SMALLER = tuple(scheme.name for scheme in _SMALLER)


@dataclass(frozen=True)
class Limits:
    """`target_db` for the whole mix; `most_bytes` of weights that FP16 may take the model to."""

    target_db: float
    most_bytes: float


@dataclass(frozen=True)
class Found:
    """A mix that was measured, and the dB of the outputs."""

    mix: Mix
    level: float


class Searcher:
    """Searches one bench's graph. `kept` are nodes that must be FP16."""

    def __init__(
        self,
        bench: NoiseBench,
        space: SearchSpace | None,
        sensitivities: Sequence[Sensitivity],
        kept: frozenset[str],
    ) -> None:
        self._bench, self._space, self._kept = bench, space, kept
        weights = bench.graph.weights
        self._sizes = {item.name: math.prod(weights[item.weight].dims) for item in bench.able}  # elements
        self._by_name = {one.item.name: one for one in sensitivities}
        self._tried: dict[Mix, float] = {}

    def search(self, limits: Limits, advance: Callable[[], None]) -> Found:
        """Return the fastest mix that meets the target, or the one nearest to it when none does. Needs a space."""
        low, high = 0, len(PRICES) - 1
        best = self._at(PRICES[0], limits)
        advance()
        if best.level >= limits.target_db:
            return best
        best = self._at(PRICES[-1], limits)
        advance()
        while best.level >= limits.target_db and high - low > 1:
            middle = (low + high) // 2
            found = self._at(PRICES[middle], limits)
            advance()
            if found.level >= limits.target_db:
                best, high = found, middle
            else:
                low = middle
        return self._refine(best, limits) if best.level >= limits.target_db else best

    def _refine(self, found: Found, limits: Limits) -> Found:
        """Return the mix with layers back in int8, the least noisy first, as long as the target is still met: the
        bisection's steps are coarse, and noise adds up only roughly.
        """
        if self._space is None:
            return found
        wanted = self._space.cheapest({}, self._kept).named("int8") - found.mix.named("int8")
        floats = set(wanted)
        for name in sorted(wanted, key=lambda name: (self._by_name[name].worst, name))[:MOST_REFINED]:
            mix = self._space.cheapest({}, self._kept | (floats - {name}))
            if mix == _integers(found.mix):
                continue
            tried = self.measured(mix, limits)
            if tried.level >= limits.target_db:
                found = tried
                floats -= {name}
        return found

    def measured(self, mix: Mix, limits: Limits) -> Found:
        """Return the dB of a mix of which only the int8 nodes are given: how the weights of the others are stored is
        chosen here, as int8 where FP16 is not needed.
        """
        half = self._halves(mix, limits)
        found = self._found(self._stored(mix, half))
        # Noise adds up only roughly: more weights become FP16 while the measurement misses what was predicted.
        share = STORED_SHARE
        while found.level < limits.target_db and share > 0.01:
            share /= 4
            more = self._halves(mix, limits, share)
            if more == half:
                continue
            half = more
            found = max(found, self._found(self._stored(mix, half)), key=lambda one: one.level)
        return found

    def _stored(self, mix: Mix, half: frozenset[str]) -> Mix:
        """Return the mix with weights of float nodes as FP16 (`half`), and as int8 where that makes them smaller."""
        others = mix.named("int8") | half
        stored = [item.name for item in self._bench.able if int8_weights_able(self._bench.graph, item)]
        return _integers(mix).given("fp16", half).given("int8-weights", (name for name in stored if name not in others))

    def _found(self, mix: Mix) -> Found:
        if mix not in self._tried:
            self._tried[mix] = decibels(self._bench.worst(mix))
        return Found(mix, self._tried[mix])

    def shrink(self, found: Found, limits: Limits) -> Found:
        """Return the mix with weights in fewer bits where large float layers leave room for their noise.

        int4 is for size: onnxruntime computes as long with it as with floats.
        """
        for scheme in _SMALLER:
            found = self._shrunk(found, limits, scheme)
        return found

    def _shrunk(self, found: Found, limits: Limits, scheme: Scheme) -> Found:
        stored = found.mix.named("int8-weights")
        able = [item.name for item in self._bench.able if item.name in stored and scheme.able(self._bench.graph, item)]
        alone = {name: self._bench.worst(Mix.of(scheme.name, [name])) for name in able}
        able.sort(key=lambda name: (alone[name] / self._sizes[name], name))
        room = 10 ** (-limits.target_db / 10) - 10 ** (-found.level / 10)
        count = sum(1 for total in itertools.accumulate(alone[name] for name in able) if total <= room)
        while count > 0:
            tried = self._found(found.mix.given(scheme.name, able[:count]))
            if tried.level >= limits.target_db:
                return tried
            count //= 2
        return found

    def _at(self, price: float, limits: Limits) -> Found:
        target = 10 ** (-limits.target_db / 10)
        if self._space is None or price == float("inf"):
            mix = self.all_float()
        else:
            whole = sum(times.float_us for times in self._space.times)
            penalties = {name: price * whole * one.worst / target for name, one in self._by_name.items()}
            mix = self._space.cheapest(penalties, self._kept)
        return self.measured(mix, limits)

    def _halves(self, mix: Mix, limits: Limits, share: float = STORED_SHARE) -> frozenset[str]:
        """Choose the float nodes whose weights are stored as FP16: those asked for, and the worst per byte while the
        noise of stored weights fills more than its share of the target and the bytes last.
        """
        int8 = mix.named("int8")
        floats = [one for name, one in self._by_name.items() if name not in int8]
        halves = {one.item.name for one in floats if one.item.name in self._kept}
        noise: dict[str, float] = {}
        for one in floats:
            for part, ratio in one.weights.items():
                noise[part] = noise.get(part, 0.0) + (0.0 if one.item.name in halves else ratio)
        allowed = share * 10 ** (-limits.target_db / 10)
        total = sum(self._sizes.values()) + sum(self._sizes[name] for name in halves)
        ordered = sorted(
            (one for one in floats if one.item.name not in halves),
            key=lambda one: (
                -max(one.weights.values(), default=0.0) / max(1, self._sizes[one.item.name]),
                one.item.name,
            ),
        )
        for one in ordered:
            if max(noise.values(), default=0.0) <= allowed:
                break
            if total + self._sizes[one.item.name] > limits.most_bytes:
                continue
            total += self._sizes[one.item.name]
            halves.add(one.item.name)
            for part, ratio in one.weights.items():
                noise[part] -= ratio
        return frozenset(halves)

    def all_float(self) -> Mix:
        """Return the mix in which nothing computes in integers."""
        return Mix()

    def all_int8(self) -> Mix:
        """Return the mix in which everything computes in integers but what must not."""
        return Mix.of("int8", (item.name for item in self._bench.able if item.name not in self._kept))


def _integers(mix: Mix) -> Mix:
    """Return a mix without what it says of nodes that compute in floats."""
    return Mix.of("int8", mix.named("int8"), mix.barred)
