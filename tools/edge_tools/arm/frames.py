"""`python -m edge_tools.arm.frames FILE`: frames between marks that qemu's plugin counts instructions at (count.c).

FILE is a bundle, run as `edge-run` would, or an ONNX file, run by plain onnxruntime with its defaults; both on one
thread, so that no thread's waiting is counted. Frames before the first mark warm it up.
"""

from __future__ import annotations

import contextlib
import os
from collections.abc import Callable, Mapping
from pathlib import Path

import click
import numpy as np
from numpy.typing import NDArray

from edge_runtime.cli.console import run_command
from edge_runtime.engine import open_bundle
from edge_runtime.errors import DataError
from edge_runtime.ort.process import import_onnxruntime

__all__ = ["mark"]

_MARK = 0x45444745  # as in count.c
_WARM = 2

Array = NDArray[np.generic]


def mark() -> None:
    """Make the system call that the plugin takes for a mark; without the plugin it fails and nothing else."""
    with contextlib.suppress(OSError):
        os.getpriority(_MARK, 0)


def _feeds(inputs: Mapping[str, tuple[list[int | str], str]]) -> dict[str, Array]:
    """Random values 0..1 for inputs of these shapes and types; a dimension that is free is 1."""
    random = np.random.default_rng(0)
    return {
        name: random.random([dim if isinstance(dim, int) else 1 for dim in shape]).astype(dtype)
        for name, (shape, dtype) in inputs.items()
    }


def _plain(path: Path) -> Callable[[], object]:
    runtime = import_onnxruntime()
    options = runtime.SessionOptions()
    options.intra_op_num_threads = options.inter_op_num_threads = 1
    session = runtime.InferenceSession(str(path), options, providers=["CPUExecutionProvider"])
    kinds = {"tensor(float)": "float32", "tensor(float16)": "float16", "tensor(uint8)": "uint8"}
    unknown = [value.type for value in session.get_inputs() if value.type not in kinds]
    if unknown:
        raise DataError(f"expected a model whose inputs are images, found one of type {unknown[0]}; name another")
    feeds = _feeds({value.name: (value.shape, kinds[value.type]) for value in session.get_inputs()})
    return lambda: session.run(None, feeds)


@click.command()
@click.argument("model", type=click.Path(path_type=Path, exists=True))
@click.option("--frames", type=click.IntRange(min=1), default=5, show_default=True, help="How many are counted.")
def frames(model: Path, frames: int) -> None:
    """Run FRAMES frames of MODEL between marks."""
    with contextlib.ExitStack() as stack:
        if model.is_dir():
            engine = stack.enter_context(open_bundle(model, threads=1, prepare=True))
            feeds = _feeds({spec.name: (list(spec.shape), spec.dtype) for spec in engine.manifest.inputs})
            run: Callable[[], object] = lambda: engine.infer(feeds)  # noqa: E731
        else:
            run = _plain(model)
        for _ in range(_WARM):
            run()
        for _ in range(frames):
            mark()
            run()
        mark()


def main() -> None:
    """Run the command and leave the process with its exit code."""
    run_command(frames, "frames")


if __name__ == "__main__":
    main()
