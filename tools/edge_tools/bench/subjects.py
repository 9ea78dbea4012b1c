"""The engines as a measured process opens them. Nothing is imported before it is known which one is wanted."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from edge_tools.bench.order import Order

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    Tensors = Mapping[str, NDArray[np.generic]]

__all__ = ["OPENERS", "RefusedError", "Subject", "share"]


class RefusedError(Exception):
    """The engine says that the memory limit cannot be met; `smallest_bytes` is the smallest that can, if known."""

    def __init__(self, message: str, smallest_bytes: int | None) -> None:
        super().__init__(message)
        self.smallest_bytes = smallest_bytes


@dataclass(frozen=True)
class Subject:
    """An opened engine. `blocks` are how many are resident, streamed and reloaded; `libraries` says what ran it.

    `counted_bytes`: what the engine counts as this process before it opened, its own base. `streamed_bytes`: what is
    read in every run.
    """

    run: Callable[[Tensors], Tensors]
    close: Callable[[], None]
    base_bytes: int
    libraries: str
    blocks: tuple[int, int, int] = (0, 0, 0)
    counted_bytes: int = 0
    streamed_bytes: int = 0


def share() -> int:
    """Return the bytes of this process now, pages that other processes have, too, in part (PSS)."""
    with open("/proc/self/smaps_rollup", encoding="ascii") as rollup:  # noqa: PTH123 - pathlib costs memory
        for line in rollup:
            if line.startswith("Pss:"):
                return int(line.split()[1]) * 1024
    raise OSError("/proc/self/smaps_rollup has no Pss: Linux is needed to measure memory")


def _open_edgeline(order: Order) -> Subject:
    from edge_runtime import open_bundle
    from edge_runtime.bundle.bundle import read_bundle
    from edge_runtime.errors import MemoryLimitError
    from edge_runtime.ort.process import import_onnxruntime, own_process
    from edge_runtime.tune.standing import Asked, stand

    onnxruntime = import_onnxruntime()
    own_process()  # as edge-run does: this process is the engine's alone
    base = share()
    # The settings that edge-run would take for a camera here, on the CPU.
    asked = Asked("cpu", order.threads, batch=order.batch, limited=order.memory_limit is not None)
    session = stand(read_bundle(order.model, check_hashes=False).sha256, asked).session
    try:
        engine = open_bundle(
            order.model,
            session=session,
            memory_limit=order.memory_limit,
            batch=order.batch,
        )
    except MemoryLimitError as error:
        raise RefusedError(str(error), error.smallest_bytes) from error
    plan = engine.plan
    blocks = (
        (len(engine.manifest.blocks), 0, 0)
        if plan.whole
        else (plan.count("resident"), plan.count("streamed"), plan.count("reloaded"))
    )
    streamed = sum(block.place.size for block in plan.blocks if block.place is not None)
    version = onnxruntime.__version__
    return Subject(engine.infer, engine.close, base, version, blocks, plan.base_bytes, streamed)


def _open_onnxruntime(order: Order) -> Subject:
    import numpy  # noqa: F401 - part of what the engine needs, so part of its base
    import onnxruntime

    base = share()
    options = onnxruntime.SessionOptions()
    if order.threads is not None:
        options.intra_op_num_threads = order.threads
    if order.engine == "reference":
        options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_DISABLE_ALL
    session: Any = onnxruntime.InferenceSession(order.model, options, providers=["CPUExecutionProvider"])
    names = [output.name for output in session.get_outputs()]

    def run(tensors: Tensors) -> Tensors:
        return dict(zip(names, session.run(names, dict(tensors)), strict=True))

    return Subject(run, lambda: None, base, onnxruntime.__version__)


def _prepare(order: Order) -> Subject:
    from edge_runtime.ort.process import import_onnxruntime
    from edge_runtime.prepare.make import prepare

    prepare(order.model, batch=order.batch, threads=order.threads, memory_limit=order.memory_limit)
    return Subject(lambda tensors: tensors, lambda: None, share(), import_onnxruntime().__version__)


OPENERS: Mapping[str, Callable[[Order], Subject]] = {
    "edgeline": _open_edgeline,
    "onnxruntime": _open_onnxruntime,
    "prepare": _prepare,
    "reference": _open_onnxruntime,
}
