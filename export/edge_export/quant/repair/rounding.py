"""Adaptive rounding: each int8 weight goes up or down so that the layer's output errs least on real inputs.

AdaRound (Nagel et al., arXiv 2004.10568) minimises E|W x - V x|^2 over roundings V of W by gradients. That is a
quadratic form of one matrix alone, G = E[x x']:  E|W x - V x|^2 = (V - W) G (V - W)'. It is minimised here without
gradients: error feedback in a fixed order (GPTQ, Frantar et al., arXiv 2210.17323: what rounding one weight cost is
taken back by those not yet rounded), then cyclic coordinate descent on the objective, which never makes it worse.
Inputs are the exact ones: weights that make up for the noise of int8 layers before them are wrong wherever such a layer
stays float.
Scales stay those of `quantize_weight`, values within +-127.
All arrays are in groups, one but for grouped Convs: rows [groups, outputs, inputs], matrices [groups, inputs, inputs].
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

__all__ = ["DAMPING", "objective", "round_rows"]

Floats = NDArray[np.float32]

# Added to the diagonal of G in units of its mean: few samples leave directions that nothing was seen of.
DAMPING = 0.01
_BLOCK = 128
_LIMIT = 127.0


def objective(rows: Floats, values: NDArray[np.generic], scale: Floats, gram: Floats) -> NDArray[np.float64]:
    """Return (V - W) G (V - W)' of each row, [groups, outputs]: `values` int8, `scale` [groups, outputs]."""
    difference = values.astype(np.float64) * scale[..., None] - rows
    return np.asarray(((difference @ gram.astype(np.float64)) * difference).sum(axis=-1))


def round_rows(rows: Floats, scale: Floats, gram: Floats, sweeps: int = 3) -> NDArray[np.int8]:
    """Return int8 values for float `rows`: no row is further off, in the objective, than with the nearest values.

    A group whose inputs were all zero, or not finite, keeps the nearest.
    """
    target = np.asarray(rows / scale[..., None], np.float32)
    nearest = _nearest(target)
    if not np.isfinite(gram).all():
        return nearest.astype(np.int8)
    damped = _damped(gram, DAMPING).astype(np.float32)
    values = _descend(target, _feed_back(target, damped), damped, sweeps)
    ones = np.ones_like(scale)
    worse = objective(target, values, ones, gram) > objective(target, nearest, ones, gram)
    return np.where(worse[..., None], nearest, values).astype(np.int8)


def _nearest(target: NDArray[np.floating]) -> Floats:
    return np.asarray(np.clip(np.rint(target), -_LIMIT, _LIMIT), np.float32)


def _damped(gram: Floats, part: float) -> NDArray[np.float64]:
    mean = np.trace(gram, axis1=1, axis2=2) / gram.shape[1]
    mean = np.where(mean > 0, mean, 1.0)
    return np.asarray(gram + part * mean[:, None, None] * np.eye(gram.shape[1]), np.float64)


def _feed_back(target: Floats, gram: Floats) -> Floats:
    """GPTQ in the order of falling energy: the weights that matter most are rounded while most others can still give.

    With U the upper Cholesky factor of G^-1, rounding weight i by e moves weight j > i by -e U_ij / U_ii.
    """
    order = np.argsort(-np.diagonal(gram, axis1=1, axis2=2), axis=1, kind="stable")
    ordered = np.take_along_axis(gram, order[:, :, None], axis=1)
    ordered = np.take_along_axis(ordered, order[:, None, :], axis=2).astype(np.float64)
    upper = np.swapaxes(np.linalg.cholesky(np.linalg.inv(ordered)), 1, 2).astype(np.float32)
    work = np.take_along_axis(target, order[:, None, :], axis=2)
    done = np.zeros_like(work)
    count = work.shape[2]
    for start in range(0, count, _BLOCK):
        stop = min(start + _BLOCK, count)
        errors = np.zeros((*work.shape[:2], stop - start), np.float32)
        for i in range(start, stop):
            done[..., i] = _nearest(work[..., i])
            error = (work[..., i] - done[..., i]) / upper[:, i, i][:, None]
            work[..., i + 1 : stop] -= error[..., None] * upper[:, i, None, i + 1 : stop]
            errors[..., i - start] = error
        work[..., stop:] -= errors @ upper[:, start:stop, stop:]
    result = np.empty_like(done)
    np.put_along_axis(result, np.broadcast_to(order[:, None, :], done.shape), done, axis=2)
    return result


def _descend(target: Floats, values: Floats, gram: Floats, sweeps: int) -> Floats:
    """Cyclic coordinate descent: each weight takes the integer that is best while the others stay."""
    slope = (values - target) @ gram  # half the gradient
    diagonal = np.diagonal(gram, axis1=1, axis2=2)
    for _ in range(sweeps):
        moved = False
        for i in range(values.shape[2]):
            # the minimum of the parabola over weight i, at the nearest integer
            step = _nearest(values[..., i] - slope[..., i] / diagonal[:, i, None]) - values[..., i]
            group, row = np.nonzero(step)
            if len(row):
                slope[group, row] += step[group, row, None] * gram[group, i]
                values[group, row, i] += step[group, row]
                moved = True
        if not moved:
            break
    return values
