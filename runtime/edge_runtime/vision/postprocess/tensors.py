"""Output tensors, checked before anything is read out of them.

A tensor with NaN or infinity, of an unexpected shape, or whose scores are no probabilities is an EngineError:
it must never pass for "nothing found".
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from edge_runtime.bundle.facts import ModelFacts
from edge_runtime.errors import EngineError

__all__ = ["Activation", "activate", "check_finite", "check_scores", "floats", "output_name", "output_of", "split"]

Activation = Literal["none", "sigmoid", "softmax"]

# Scores that left 0..1 by less than this were rounded (int8, FP16); by more, they are logits.
_TOLERANCE = 0.1


def output_name(facts: ModelFacts, name: str, position: int = 0) -> str:
    """`name`, or the name of the model's output at `position` when the manifest leaves it empty."""
    if name:
        return name
    if position >= len(facts.outputs):
        raise EngineError(
            f"expected at least {position + 1} model outputs for {facts.postprocess.task}, "
            f"found {len(facts.outputs)}; export again with another --task"
        )
    return facts.outputs[position].name


def output_of(outputs: Mapping[str, NDArray[np.generic]], name: str) -> NDArray[np.generic]:
    """The output called `name`, as it is. Raises EngineError where there is none."""
    if name not in outputs:
        raise EngineError(f"expected an output {name!r}, found {', '.join(outputs)}; name it when exporting")
    return outputs[name]


def split(outputs: Mapping[str, NDArray[np.generic]], name: str, count: int, rank: int = 0) -> NDArray[np.generic]:
    """The output called `name`, its first dimension checked to be the `count` images of the batch.

    A model that answers for a single image without a batch dimension is given one: told by `rank`, the dimensions that
    the output has with it, where that is known (a single row would pass for a batch of one).
    """
    array = output_of(outputs, name)
    alone = array.ndim < rank
    if count == 1 and (alone or array.ndim == 0 or array.shape[0] != 1):
        array, alone = array[None], False
    if alone or array.ndim == 0 or array.shape[0] != count:
        raise EngineError(
            f"expected output {name!r} to begin with the batch of {count}, found shape {list(array.shape)}; "
            f"export the model with a batch dimension or run it with --batch 1"
        )
    return array


def floats(array: NDArray[np.generic], name: str) -> NDArray[np.float32]:
    """`array` as float32, checked to hold something and to be finite.

    Integers are probabilities as TensorFlow Lite quantizes them: scale 1/256, zero point at the type's
    minimum (its int8 specification, for SOFTMAX and LOGISTIC).
    """
    if not array.size:
        raise EngineError(f"expected values in output {name!r}, found none: shape {list(array.shape)}; check the model")
    if array.dtype.kind in "iu" and array.dtype.itemsize == 1:
        lowest = np.float32(np.iinfo(array.dtype.name).min)
        return np.asarray((array.astype(np.float32) - lowest) / np.float32(256), np.float32)
    if array.dtype.kind != "f":
        raise EngineError(f"expected output {name!r} to hold floats, found {array.dtype}; export with another one")
    result = array.astype(np.float32, copy=False)
    check_finite(result, name)
    return result


def check_finite(array: NDArray[np.float32], name: str) -> None:
    """Raise EngineError if any value is NaN or infinite."""
    # min and max carry a NaN through, and unlike isfinite() they make no temporary of the array's size.
    if array.size and not (np.isfinite(array.min()) and np.isfinite(array.max())):
        raise EngineError(
            f"output {name!r} holds NaN or infinity: the image was not judged; "
            f"check the model with edge-export --evaluate, or keep more layers at FP16"
        )


def activate(scores: NDArray[np.float32], activation: Activation, axis: int) -> NDArray[np.float32]:
    """Apply a model's missing last layer; softmax runs over `axis`."""
    if activation == "none":
        return scores
    if activation == "sigmoid":
        # With tanh instead of exp, nothing overflows.
        return np.asarray(0.5 * np.tanh(0.5 * scores) + 0.5, np.float32)
    powers = np.exp(scores - scores.max(axis=axis, keepdims=True))
    return np.asarray(powers / powers.sum(axis=axis, keepdims=True), np.float32)


def check_scores(scores: NDArray[np.float32], name: str, activation: Activation) -> None:
    """Raise EngineError unless scores are in 0..1, but for rounding."""
    if not scores.size:
        return
    low, high = float(scores.min()), float(scores.max())
    if low < -_TOLERANCE or high > 1 + _TOLERANCE:
        raise EngineError(
            f"expected scores in 0..1 in output {name!r} after activation {activation!r}, "
            f"found {low:.3g}..{high:.3g}; export again with the right --activation"
        )
