"""The measured process: opens one engine, makes one first result, then runs when it is told to.

Commands come as lines of JSON on stdin, each answered by one line on stdout:
    (at start)           {"cold_start_ms", "base_bytes", "blocks", "libraries", "counted_bytes", "streamed_bytes"}
                         or {"refused": message, "smallest_bytes"} and the end
    {"run": calls}       {"ms": [milliseconds of each call], "resident_bytes"}
    {"seconds": time}    {"ms": as above, of calls until the time is over, "seconds": what it came to}
    {"finish": path}     {}, the last outputs saved at `path` (.npz), and the end
The end of stdin ends the process too. Anything else that goes wrong is a traceback on stderr.
"""

from __future__ import annotations

import ctypes
import json
import os
import signal
import sys
import time
from collections.abc import Iterable
from typing import TYPE_CHECKING, Any, TextIO

from edge_tools.bench.order import Order
from edge_tools.bench.subjects import OPENERS, RefusedError, Subject, share

if TYPE_CHECKING:
    from edge_tools.bench.subjects import Tensors

__all__ = ["main", "serve"]

_PR_SET_PDEATHSIG = 1  # linux/prctl.h


def main() -> None:
    """Serve the order on the command line."""
    order = Order.from_text(sys.argv[1])
    _end_with(order.parent)
    if order.cpus:
        os.sched_setaffinity(0, order.cpus)
    # What native libraries print must not be taken for an answer.
    with os.fdopen(os.dup(1), "w", encoding="utf-8") as answers:
        os.dup2(2, 1)
        serve(order, sys.stdin, answers)


def serve(order: Order, commands: Iterable[str], answers: TextIO) -> None:
    """Open the engine, tell of the first result, and carry out commands until the last."""

    def answer(value: dict[str, Any]) -> None:
        answers.write(json.dumps(value) + "\n")
        answers.flush()

    try:
        # The inputs are the caller's memory, there before the engine looks at what the limit leaves.
        tensors, input_bytes = _load(order.inputs)
        subject = OPENERS[order.engine](order)
        outputs = subject.run(tensors)
        cold_ns = time.monotonic_ns() - order.started_ns
    except RefusedError as refusal:
        answer({"refused": str(refusal), "smallest_bytes": refusal.smallest_bytes})
        return
    answer(
        {
            "cold_start_ms": cold_ns / 1e6,
            "base_bytes": subject.base_bytes - input_bytes,
            "blocks": subject.blocks,
            "counted_bytes": subject.counted_bytes,
            "streamed_bytes": subject.streamed_bytes,
            "libraries": subject.libraries,
        }
    )
    for line in commands:
        command = json.loads(line)
        if "run" in command:
            times = []
            for _ in range(command["run"]):
                outputs, elapsed_ms = _timed(subject, tensors)
                times.append(elapsed_ms)
            answer({"ms": times, "resident_bytes": share()})
        elif "seconds" in command:
            times, started = [], time.perf_counter()
            while not times or time.perf_counter() - started < command["seconds"]:
                outputs, elapsed_ms = _timed(subject, tensors)
                times.append(elapsed_ms)
            answer({"ms": times, "seconds": time.perf_counter() - started})
        else:
            _save(command["finish"], outputs)
            answer({})
            break
    subject.close()


def _timed(subject: Subject, tensors: Tensors) -> tuple[Tensors, float]:
    started = time.perf_counter_ns()
    outputs = subject.run(tensors)
    return outputs, (time.perf_counter_ns() - started) / 1e6


def _load(path: str) -> tuple[Tensors, int]:
    """Return the inputs and the bytes that this process holds more with them."""
    import numpy as np

    before = share()
    with np.load(path, allow_pickle=False) as arrays:
        tensors = {name: arrays[name] for name in arrays.files}
    return tensors, share() - before


def _save(path: str, outputs: Tensors) -> None:
    import numpy as np

    # numpy's stub takes any name for an option of savez
    np.savez(path, **{f"output_{name}": values for name, values in outputs.items()})  # type: ignore[arg-type]


def _end_with(parent: int) -> None:
    """Die when the measuring process dies: this one may be stopped then, and would keep its memory for ever."""
    if ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL) != 0 or os.getppid() != parent:
        sys.exit(1)


if __name__ == "__main__":
    main()
