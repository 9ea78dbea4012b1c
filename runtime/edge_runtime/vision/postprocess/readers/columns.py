"""Where the parts of a row lie, given their order."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from edge_runtime.bundle.postprocess_spec import Column
from edge_runtime.vision.postprocess.candidates import Question, misshaped

__all__ = ["split_columns"]

Floats = NDArray[np.float32]


def split_columns(ask: Question, rows: Floats, columns: Sequence[Column], output: int = 0) -> dict[Column, Floats]:
    """Views of `rows` [A, .] by part, each [A, width], in the order of `columns`. EngineError where they do not fit."""
    known = sum(ask.spec.values_of(part) for part in columns)
    left = rows.shape[1] - known
    if ("classes" in columns and left < 1) or ("classes" not in columns and left):
        more = "+C" if "classes" in columns else ""
        raise misshaped(ask, rows, f"{known}{more} columns ({' '.join(columns)})", output)
    parts: dict[Column, Floats] = {}
    begin = 0
    for part in columns:
        end = begin + (left if part == "classes" else ask.spec.values_of(part))
        parts[part] = rows[:, begin:end]
        begin = end
    return parts
