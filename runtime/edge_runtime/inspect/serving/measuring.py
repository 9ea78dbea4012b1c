"""What batches cost here, measured in a moment, where nobody tuned: from the picture to the verdict."""

from __future__ import annotations

import functools
import threading
import time
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

from edge_runtime.batching.vocabulary import BatchCost, CostTable

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from edge_runtime.results import Judge

__all__ = ["measure_costs"]

_RUNS = 3
_SECONDS = 3.0
# A batch twice as large is worth measuring as long as the last doubling brought so much.
_GAIN = 1.02


def measure_costs(
    engine: Judge,
    picture: NDArray[np.uint8],
    largest: int,
    seconds: float = _SECONDS,
    clock: Callable[[], float] = time.perf_counter,
) -> CostTable:
    """Measure batches of 1, 2, 4, ... `largest` on one lane, then single pictures on more lanes; at least the first.

    Stops where larger batches bring nothing more for each picture, and after `seconds`. Raises what the engine raises.
    """
    began = clock()
    engine.run([picture])  # the first run of a session makes its room
    costs: list[BatchCost] = []
    size = 1
    while True:
        costs.append(BatchCost(size, 1, _median_ms(functools.partial(_timed, engine, [picture] * size, clock))))
        last = costs[-2:]
        gained = len(last) < 2 or last[1].ms / last[1].batch * _GAIN < last[0].ms / last[0].batch
        if size >= largest or not gained or clock() - began > seconds:
            break
        size = min(2 * size, largest)
    for lanes in range(2, engine.lanes + 1):
        costs.append(BatchCost(1, lanes, _median_ms(functools.partial(_together, engine, picture, lanes, clock))))
    return CostTable(tuple(costs))


def _median_ms(measure: Callable[[], float]) -> float:
    """The median of a few runs; a clock that did not move counts for a microsecond."""
    return max(sorted(measure() for _ in range(_RUNS))[_RUNS // 2] * 1000, 1e-3)


def _timed(engine: Judge, pictures: Sequence[NDArray[np.uint8]], clock: Callable[[], float]) -> float:
    started = clock()
    engine.run(pictures)
    return clock() - started


def _together(engine: Judge, picture: NDArray[np.uint8], lanes: int, clock: Callable[[], float]) -> float:
    """Seconds of one picture while so many run at a time. Raises the first error of any."""
    errors: list[BaseException] = []

    def one() -> None:
        try:
            engine.run([picture])
        except BaseException as error:  # noqa: BLE001  # raised where it was started
            errors.append(error)

    threads = [threading.Thread(target=one, name="edgeline-measure") for _ in range(lanes - 1)]
    started = clock()
    for thread in threads:
        thread.start()
    one()
    for thread in threads:
        thread.join()
    if errors:
        raise errors[0]
    return clock() - started
