"""The fastest mix of precisions whose outputs stay near enough to FP32's.

Quantization noise of different layers is almost uncorrelated, so noise to signal ratios add up (Sakr et al., ICML 2017,
"Analytical guarantees on numerical precision of deep neural networks"). So the search is a Lagrangian one: each layer's
own noise, times a price, is added to the time that it takes in int8, and a minimum cut gives the cheapest mix for that
price. The lowest price is wanted whose mix meets the target when it is measured as a whole: it is found by bisection.
Weights of layers that compute in floats are stored as int8 too, but for the ones whose rounding alone hurts: FP16.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace

import onnx

from edge_export.quant.int4 import int4_able
from edge_export.quant.noise import decibels
from edge_export.quant.select import Compute
from edge_export.quant.trial import Trial
from edge_export.search.problem import Labelling, SearchSpace
from edge_export.search.sensitivity import Sensitivity

__all__ = ["PRICES", "Found", "Limits", "Searcher"]

# Price of noise that fills the whole target, in the time that the whole model takes as floats.
PRICES = (0.0, *(2.0**power for power in range(-9, 5)), float("inf"))
# The share of the noise that weights of float layers may make; beyond it the worst of them are stored as FP16.
STORED_SHARE = 0.5
# So many layers are tried once more after the bisection.
MOST_REFINED = 24
# Bytes of the Cast, the Mul and the names that int8 weights need in a graph that computes in floats.
STORED_OVERHEAD = 200


@dataclass(frozen=True)
class Limits:
    """`target_db` for the whole mix; `most_bytes` of weights that FP16 may take the model to."""

    target_db: float
    most_bytes: float


@dataclass(frozen=True)
class Found:
    """A mix that was measured: nodes that compute in int8 (`mix`), those that compute in floats from FP16 and from int4
    weights (the others from int8 ones), and the dB of the outputs.
    """

    mix: Labelling
    half: frozenset[str]
    level: float
    int4: frozenset[str] = frozenset()


class Searcher:
    """Searches one trial's graph. `kept` are nodes that must be FP16; `sizes` the elements of each node's weights."""

    def __init__(
        self,
        trial: Trial,
        space: SearchSpace | None,
        sensitivities: Sequence[Sensitivity],
        kept: frozenset[str],
        sizes: Mapping[str, int],
    ) -> None:
        self._trial, self._space, self._kept, self._sizes = trial, space, kept, sizes
        self._by_name = {one.item.name: one for one in sensitivities}
        self._items = {item.name: item for item in trial.candidates}
        self._tried: dict[Found, float] = {}

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
        wanted = self._space.cheapest({}, self._kept).int8 - found.mix.int8
        floats = set(wanted)
        for name in sorted(wanted, key=lambda name: (self._by_name[name].worst, name))[:MOST_REFINED]:
            mix = self._space.cheapest({}, self._kept | (floats - {name}))
            if mix == found.mix:
                continue
            tried = self.measured(mix, limits)
            if tried.level >= limits.target_db:
                found = tried
                floats -= {name}
        return found

    def measured(self, mix: Labelling, limits: Limits) -> Found:
        """Return a mix with its dB, and with the FP16 weights that it needs."""
        half = self._halves(mix, limits)
        found = self._found(mix, half)
        # Noise adds up only roughly: more weights become FP16 while the measurement misses what was predicted.
        share = STORED_SHARE
        while found.level < limits.target_db and share > 0.01:
            share /= 4
            more = self._halves(mix, limits, share)
            if more == half:
                continue
            half = more
            found = max(found, self._found(mix, half), key=lambda one: one.level)
        return found

    def _found(self, mix: Labelling, half: frozenset[str]) -> Found:
        found = Found(mix, half, 0.0)
        return replace(found, level=self._level(found))

    def shrink(self, found: Found, limits: Limits) -> Found:
        """Return the mix with int4 weights where large float MatMuls leave room for their noise.

        int4 is for size: onnxruntime computes as long with it as with floats.
        """
        stored = {item.name for item in self.stored(found)}
        able = [item for item in int4_able(self._trial.graph) if item.name in stored]
        alone = {item.name: max(self._trial.noise([], int4=[item]).values(), default=0.0) for item in able}
        able.sort(key=lambda item: (alone[item.name] / self._sizes[item.name], item.name))
        room = 10 ** (-limits.target_db / 10) - 10 ** (-found.level / 10)
        count = sum(1 for total in itertools.accumulate(alone[item.name] for item in able) if total <= room)
        while count > 0:
            tried = replace(found, int4=frozenset(item.name for item in able[:count]))
            level = self._level(tried)
            if level >= limits.target_db:
                return replace(tried, level=level)
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

    def _halves(self, mix: Labelling, limits: Limits, share: float = STORED_SHARE) -> frozenset[str]:
        """Choose the float nodes whose weights are stored as FP16: those asked for, and the worst per byte while the
        noise of stored weights fills more than its share of the target and the bytes last.
        """
        floats = [one for name, one in self._by_name.items() if name not in mix.int8]
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

    def _level(self, found: Found) -> float:
        key = replace(found, level=0.0)
        if key not in self._tried:
            ratios = self._trial.noise(
                [self._items[name] for name in sorted(found.mix.int8)],
                half=[self._items[name].weight for name in sorted(found.half)],
                stored=self.stored(found),
                barred=found.mix.barred,
                int4=[self._items[name] for name in sorted(found.int4)],
            )
            self._tried[key] = decibels(max(ratios.values(), default=0.0))
        return self._tried[key]

    def all_float(self) -> Labelling:
        """Return the mix in which nothing computes in integers."""
        return Labelling(frozenset(), frozenset())

    def all_int8(self) -> Labelling:
        """Return the mix in which everything computes in integers but what must not."""
        return Labelling(frozenset(item.name for item in self._trial.able) - self._kept, frozenset())

    def model(self, found: Found) -> onnx.ModelProto:
        """Return the graph of a mix; its unchanged weights lie in the trial's folder."""
        return self._trial.model(
            [self._items[name] for name in sorted(found.mix.int8)],
            [self._items[name].weight for name in sorted(found.half)],
            self.stored(found),
            found.mix.barred,
            [self._items[name] for name in sorted(found.int4)],
        )

    def stored(self, found: Found) -> list[Compute]:
        """Return the nodes that compute in floats from int8 weights."""
        others = found.mix.int8 | found.half | found.int4
        return [item for item in self._trial.able if item.name not in others and stores_well(self._trial, item)]


def stores_well(trial: Trial, item: Compute) -> bool:
    """Tell whether int8 weights with their scales and nodes are smaller than the same weights as FP16."""
    values = trial.cache.arrays[item.weight]
    return bool(values.size > 4 * values.shape[item.axis] + STORED_OVERHEAD)
