"""Predict a run's latency: computing goes block after block while a loader makes the next loaded block ready.

The loader is one block ahead: a block's load begins when the loaded block before it begins to compute, that of the
first with the run. So a run is a chain of segments, from one loaded block's start to the next one's, and each takes as
long as the longer of two things: that load, and the computing in between. Loads that need a core take it from
computing: `competition` milliseconds for each of theirs, which is 1 / cores when computing uses all cores (the work of
both, divided among the cores). Runs follow each other without a break, and none leaves a load behind for the next:
step 0 of a run, in which the first load begins, comes after the last block of the run before.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

__all__ = ["latency"]

_Floats = npt.NDArray[np.float64]


def latency(
    compute: _Floats, load: _Floats, cpu: _Floats, loaded: npt.NDArray[np.bool_], competition: float
) -> _Floats:
    """Return the milliseconds of a run for each of C candidates; all arrays are [blocks, C]."""
    finished = np.zeros(compute.shape[1])  # when the last loaded block so far began to compute
    since = np.zeros(compute.shape[1])  # computing that was done from there on
    for compute_k, load_k, cpu_k, loaded_k in zip(compute, load, cpu, loaded, strict=True):
        segment = np.maximum(load_k, since + competition * cpu_k)
        finished += np.where(loaded_k, segment, 0.0)
        since = np.where(loaded_k, 0.0, since) + compute_k
    return finished + since
