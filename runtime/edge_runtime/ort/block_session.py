"""One prepared block as an onnxruntime session, with its weights in the arena or its own."""

from __future__ import annotations

import math
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from edge_runtime.bundle.external_data import ExternalTensor, external_tensors
from edge_runtime.errors import EngineError, ModelError
from edge_runtime.ort.process import block_options, import_onnxruntime, load_session, one_line
from edge_runtime.ort.watchdog import watched_run

__all__ = ["ELEMENT_TYPES", "packed_session", "run_bound", "streamed_session"]

# onnx.TensorProto's element types by numpy's names; weights of other types cannot be streamed.
ELEMENT_TYPES = {
    "float32": 1,
    "uint8": 2,
    "int8": 3,
    "uint16": 4,
    "int16": 5,
    "int32": 6,
    "int64": 7,
    "bool": 9,
    "float16": 10,
    "float64": 11,
    "uint32": 12,
    "uint64": 13,
}
_NUMPY_NAMES = {number: name for name, number in ELEMENT_TYPES.items()}


def packed_session(graph: Path, threads: int, data: bytes | None = None) -> Any:
    """Open a lowered graph as an ordinary session: onnxruntime reads the weight file and packs what it packs.

    `data`: the file's bytes, where somebody has looked at them.
    """
    options = block_options(import_onnxruntime(), threads, packed=True)
    return load_session(*_held(graph, data, options))


def _held(graph: Path, data: bytes | None, options: Any) -> tuple[Path | bytes, Any, str]:
    """The graph, or its bytes told where their weights lie."""
    if data is not None:
        options.add_session_config_entry("session.model_external_initializers_file_folder_path", str(graph.parent))
    return graph if data is None else data, options, str(graph)


def streamed_session(
    graph: Path, weights: NDArray[np.uint8], threads: int, data: bytes | None = None
) -> tuple[Any, Sequence[Any]]:
    """Open a lowered graph on weights that lie, or will lie, in `weights`: the bytes of its weight file.

    `data`: the graph's bytes, where somebody has looked at them.

    Kernels read them there at every run, so the session holds none, and what is in the buffer may change between
    runs. The second result has to live as long as the session: it owns the tensors that the session points to.
    Raises ModelError for a graph that does not load or whose weights cannot be streamed, EngineError for a buffer that
    is too small.
    """
    runtime = import_onnxruntime()
    options = block_options(runtime, threads, packed=False)
    values = []
    try:
        tensors = external_tensors(graph.read_bytes() if data is None else data)
    except (OSError, ValueError) as error:
        raise ModelError(f"cannot read {graph}: {one_line(error)}; prepare the bundle again") from error
    for tensor in tensors:
        value = _value(runtime, tensor, weights)
        options.add_initializer(tensor.name, value)
        values.append(value)
    return load_session(*_held(graph, data, options)), (weights, values)


def _value(runtime: Any, tensor: ExternalTensor, weights: NDArray[np.uint8]) -> Any:
    data = weights[tensor.offset : tensor.offset + tensor.length]
    if data.nbytes != tensor.length:
        raise EngineError(f"the weights of {tensor.name!r} end behind their file; prepare the bundle again")
    if tensor.data_type not in _NUMPY_NAMES:
        raise ModelError(f"weights of ONNX type {tensor.data_type} cannot be streamed ({tensor.name!r})")
    dtype = np.dtype(_NUMPY_NAMES[tensor.data_type])
    if math.prod(tensor.dims) * dtype.itemsize != tensor.length:
        raise ModelError(
            f"the weights of {tensor.name!r} are {list(tensor.dims)} {dtype} in {tensor.length} bytes; prepare the "
            "bundle again"
        )
    array = data.view(dtype).reshape(tensor.dims)
    value = runtime.OrtValue.ortvalue_from_numpy(array)
    if value.data_ptr() != array.ctypes.data:
        raise ModelError(f"this onnxruntime copies the weights it is given ({tensor.name!r}): they cannot be streamed")
    return value


def run_bound(session: Any, binding: Any) -> None:
    """Run a session on bound inputs and outputs. Raises EngineError."""
    try:
        watched_run(session, lambda options: session.run_with_iobinding(binding, options))
    except EngineError:
        raise
    except Exception as error:  # onnxruntime's exceptions share no other base
        raise EngineError(f"onnxruntime failed while running: {one_line(error)}") from error
