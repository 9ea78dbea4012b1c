"""Cross-layer equalization: factors that carry the channels of a tensor at like ranges, chosen by predicted noise.

Nagel et al. (arXiv 1906.04721, section 4.1) equalize the ranges of two layers' weights. With one scale per output
channel that is not what limits int8: a tensor's single activation scale is, and the weights' scales see the factors
of the *input* channels only. So the factors here come from what was measured. With x' = x / r the quantizer of x'
clips channel c at r_c T and rounds it to steps in proportion; with m_c(t) the squared error of a channel clipped at
t (from its histogram), what reaches a reader's output is

    N(r) = sum_c |W_c|^2 m_c(r_c T)  +  sum_o t_o^2 / 12  sum_c k E[x_c^2] / r_c^2,    t_o = max_c |W_oc| r_c / 127

with k elements of a kernel per channel (errors of rounding are independent: Sakr et al., ICML 2017), and T as the
calibration will choose it: least squared error of x'. Each reader counts relative to its output's energy. Tried are
r_c = clip_c^a / w_c^b over a grid of a and b, where clip_c is the best clip of the channel alone and w_c the readers'
largest weight of it.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from edge_export.quant.repair.statistics import MAGNITUDES

__all__ = [
    "Carried",
    "Reader",
    "best_factors",
    "clip_errors",
    "components",
    "predicted_noise",
    "scaled_bias",
    "scaled_weight",
]

Floats = NDArray[np.float64]

LIMIT = 64.0  # of a factor and its inverse: beyond it float rounding and rare inputs cost more than is gained
_GRID = [(a, b) for a in (0.0, 0.25, 0.5, 0.75, 1.0) for b in (0.0, 0.25, 0.5)]


@dataclass(frozen=True)
class Carried:
    """A quantized tensor: the place of each of its channels in the factor vector, and m_c of each clip in MAGNITUDES.

    `errors` is [channels, clips].
    """

    places: NDArray[np.int64]
    errors: NDArray[np.float32]

    def noise(self, factors: Floats) -> Floats:
        """Return the squared error of each channel, in units of x, when it is carried as x / factor."""
        shift = np.rint(4 * np.log2(factors[self.places])).astype(np.int64)
        places = np.clip(np.arange(len(MAGNITUDES))[None, :] + shift[:, None], 0, len(MAGNITUDES) - 1)
        errors = np.take_along_axis(self.errors, places, axis=1).astype(np.float64)
        chosen = int(np.argmin((errors / np.square(factors[self.places])[:, None]).sum(axis=0)))
        return np.asarray(errors[:, chosen], np.float64)

    @property
    def clips(self) -> Floats:
        """The best clip of each channel alone."""
        return np.asarray(MAGNITUDES[np.argmin(self.errors, axis=1)], np.float64)


def clip_errors(counts: NDArray[np.integer], total: int, span: float) -> NDArray[np.float32]:
    """Return E[(x - quantized x)^2] per channel when it is clipped at each of MAGNITUDES: [channels, clips].

    `counts` [channels, bins] as `magnitude_bins` gives them, of `total` elements a channel; the 255 steps cover `span`
    times the clip (1: values of one sign, 2: both signs alike). Zeros are exact, smaller values become zero.
    """
    n = counts.astype(np.float64) / max(1, total)
    first, second = n * MAGNITUDES, n * np.square(MAGNITUDES)
    n_up, first_up, second_up = (np.cumsum(one[:, ::-1], axis=1)[:, ::-1] for one in (n, first, second))
    step = span * MAGNITUDES / 255.0
    # bins wholly below half a step round to zero
    low = np.searchsorted(MAGNITUDES, step / 2)
    energy = np.concatenate([np.zeros((len(n), 1)), np.cumsum(second, axis=1)], axis=1)[:, low]
    above = np.arange(1, len(MAGNITUDES) + 1)
    beyond = [np.concatenate([one, np.zeros((len(n), 1))], axis=1) for one in (n_up, first_up, second_up)]
    clipped = beyond[2][:, above] - 2 * MAGNITUDES * beyond[1][:, above] + np.square(MAGNITUDES) * beyond[0][:, above]
    between = np.maximum(beyond[0][:, low] - beyond[0][:, above], 0.0) * np.square(step) / 12.0
    return np.asarray(energy + between + clipped, np.float32)


@dataclass(frozen=True)
class Reader:
    """A compute node in groups (one, but for grouped Convs): [groups, outputs of a group, inputs of a group].

    `places` [groups, inputs of a group] says which factor each input channel has, `input` which carried tensor is
    read; `energy` is E[x^2] by factor, `out_energy` the sum of E[y^2] over the outputs in `peaks`.
    """

    peaks: NDArray[np.float32]  # max |W| over the kernel
    squares: Floats  # [groups, inputs of a group]: sum of W^2 over outputs and kernel
    kernel: int
    places: NDArray[np.int64]
    input: int
    energy: Floats
    out_energy: float


def predicted_noise(factors: Floats, carried: Sequence[Carried], readers: Sequence[Reader]) -> float:
    """Return N(r) summed over the readers, each relative to its output's energy."""
    errors = [tensor.noise(factors) for tensor in carried]
    total = 0.0
    for reader in readers:
        r = factors[reader.places]
        by_activation = float((errors[reader.input].reshape(reader.squares.shape) * reader.squares).sum())
        step = (reader.peaks * r[:, None].astype(np.float32)).max(axis=2) / 127.0
        energy = (reader.energy[reader.places] / np.square(r)).sum(axis=1) * reader.kernel
        by_weight = float((np.square(step) * energy[:, None]).sum()) / 12.0
        total += (by_activation + by_weight) / reader.out_energy
    return total


def best_factors(
    free: NDArray[np.bool_],
    carried: Sequence[Carried],
    readers: Sequence[Reader],
) -> tuple[Floats, float, float]:
    """Return the factors of one connected set of channels with the noise predicted before and after.

    Factors that are not `free` stay 1.
    """
    count = len(free)
    ranges, weights = np.zeros(count), np.zeros(count)
    for tensor in carried:
        np.maximum.at(ranges, tensor.places, tensor.clips)
    for reader in readers:
        np.maximum.at(weights, reader.places, reader.peaks.max(axis=1))
    used = (ranges > 0) & (weights > 0)
    alive, held = free & used, ~free & used
    best = np.ones(count)
    before = found = predicted_noise(best, carried, readers)
    if not alive.any():
        return best, before, before
    for a, b in _GRID:
        shape = ranges[used] ** a / weights[used] ** b
        # What cannot move fixes the level of what can; else the largest channel keeps its scale.
        level = float(np.max(shape[held[used]] if held.any() else shape))
        factors = np.ones(count)
        factors[used] = np.clip(shape / level, 1 / LIMIT, LIMIT)
        factors[~alive] = 1.0
        noise = predicted_noise(factors, carried, readers)
        if noise < found * (1 - 1e-6):
            best, found = factors, noise
    return best, before, found


def scaled_weight(
    weight: NDArray[np.float32], axis: int, group: int, into: NDArray[np.floating], out: NDArray[np.floating]
) -> NDArray[np.float32]:
    """Return weights that read x / into and write y / out. `axis` holds the outputs, the other of 0 and 1 the inputs.

    A grouped Conv's weights are [outputs, inputs / group, ...]: output o reads the slice of its group.
    """
    rows = np.moveaxis(weight.astype(np.float64), axis, 0)
    outputs, inputs = rows.shape[:2]
    by_group = np.asarray(into, np.float64).reshape(group, inputs)
    each = np.repeat(by_group, outputs // group, axis=0)
    shape = (outputs, inputs, *[1] * (rows.ndim - 2))
    rows = rows * each.reshape(shape) / np.asarray(out, np.float64).reshape(outputs, *[1] * (rows.ndim - 1))
    return np.ascontiguousarray(np.moveaxis(rows, 0, axis), np.float32)


def scaled_bias(bias: NDArray[np.float32], out: NDArray[np.floating]) -> NDArray[np.float32]:
    """Return the bias of a node that writes y / out."""
    return np.asarray(bias.astype(np.float64) / np.asarray(out, np.float64).reshape(bias.shape), np.float32)


def components(members: Mapping[str, NDArray[np.int64]]) -> list[set[str]]:
    """Group tensors whose channels share classes, directly or through others, in the order they are first seen."""
    groups: list[tuple[set[str], set[int]]] = []
    for name, ids in members.items():
        classes = {int(i) for i in ids}
        touching = [one for one in groups if not one[1].isdisjoint(classes)]
        names, every = {name}, classes
        for one in touching:
            names, every = names | one[0], every | one[1]
        groups = [one for one in groups if one[1].isdisjoint(classes)]
        groups.append((names, every))
    return [names for names, _ in groups]
