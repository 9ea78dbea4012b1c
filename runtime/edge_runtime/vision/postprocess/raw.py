"""The tensors as they are."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
from numpy.typing import NDArray

from edge_runtime.vision.postprocess.seen import Seen
from edge_runtime.vision.postprocess.tensors import split

__all__ = ["raw"]


def raw(outputs: Mapping[str, NDArray[np.generic]], count: int) -> list[Seen]:
    """Give each of `count` images its share of every output, copied: the engine reuses its buffers.

    Nothing is judged, so NaN is left for the user's own code to find.
    """
    arrays = {name: split(outputs, name, count) for name in outputs}
    return [
        Seen(predictions=(), judged=None, tensors={name: array[index].copy() for name, array in arrays.items()})
        for index in range(count)
    ]
