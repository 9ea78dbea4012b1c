"""Whole graphs as onnxruntime sessions, as the device opens them."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from edge_devices import usable_cores
from edge_runtime.errors import EngineError, ModelError, UsageError
from edge_runtime.manifest import TensorSpec
from edge_runtime.ort_process import Tensors, exact_products, import_onnxruntime, one_line, run_named, set_threads

__all__ = [
    "DEVICES",
    "OrtSession",
    "RoomCall",
    "Session",
    "SessionOptions",
    "find_providers",
    "fresh_room",
    "usable_threads",
]

# What `--device` takes beside cuda:N, and the providers tried for it in order; the CPU always stands behind.
DEVICES: Mapping[str, tuple[str, ...]] = {
    "auto": ("TensorrtExecutionProvider", "CUDAExecutionProvider"),
    "cpu": (),
    "cuda": ("CUDAExecutionProvider",),
    "tensorrt": ("TensorrtExecutionProvider", "CUDAExecutionProvider"),
    "openvino": ("OpenVINOExecutionProvider",),
    "coreml": ("CoreMLExecutionProvider",),
}

_GPU = re.compile(r"(?:cuda:)?([0-9]{1,3})")
# onnxruntime's names of element types that differ from numpy's.
_NUMPY_NAMES = {"float": "float32", "double": "float64"}


# Gives the array that the named input of this shape and type is to be written into.
RoomCall = Callable[[str, tuple[int, ...], "np.dtype[np.generic]"], "NDArray[np.generic]"]


def fresh_room(_name: str, shape: tuple[int, ...], dtype: np.dtype[np.generic]) -> NDArray[np.generic]:
    """Give a new array."""
    return np.empty(shape, dtype)


class Session(Protocol):
    """What runs a graph: named tensors in, named tensors out."""

    def run(self, feeds: Mapping[str, NDArray[np.generic]]) -> Tensors: ...

    def close(self) -> None: ...


@dataclass(frozen=True)
class SessionOptions:
    """`device` is a key of DEVICES or a GPU ("cuda:1" or "1"); `threads` None takes the cores this process may use.

    `lanes`: how many runs may be under way at a time, each with `threads` threads. `spinning`: threads wait busily for
    the next layer. `cores`: the processors to stay on, none for wherever the system likes.
    """

    device: str = "auto"
    threads: int | None = None
    lanes: int = 1
    spinning: bool = False
    cores: tuple[int, ...] = ()


class OrtSession:
    """A whole graph in one onnxruntime session."""

    def __init__(self, path: Path, options: SessionOptions, optimize: bool = True) -> None:
        """Load the graph at `path`; `optimize` False for one that went through onnxruntime's optimizer already.

        Raises ModelError when onnxruntime refuses it, UsageError for bad options.
        """
        runtime = import_onnxruntime()
        native = runtime.SessionOptions()
        native.log_severity_level = 4
        set_threads(native, usable_threads(options.threads))
        # Spinning threads win microseconds on an idle machine and lose milliseconds on a busy one.
        spinning = "1" if options.spinning else "0"
        for key, value in {"session.intra_op.allow_spinning": spinning, **exact_products()}.items():
            native.add_session_config_entry(key, value)
        if not optimize:
            native.graph_optimization_level = runtime.GraphOptimizationLevel.ORT_DISABLE_ALL
        providers = find_providers(runtime, options.device)
        try:
            self._session: Any = runtime.InferenceSession(str(path), native, providers=providers)
        except Exception as error:  # onnxruntime's exceptions share no other base
            raise ModelError(f"onnxruntime {runtime.__version__} cannot load {path}: {one_line(error)}") from error
        self._outputs = [output.name for output in self._session.get_outputs()]
        self.providers: tuple[str, ...] = tuple(self._session.get_providers())
        self.inputs: tuple[TensorSpec, ...] = _specs(self._session.get_inputs())
        self.outputs: tuple[TensorSpec, ...] = _specs(self._session.get_outputs())

    def run(self, feeds: Mapping[str, NDArray[np.generic]]) -> Tensors:
        """Run named arrays through the graph; returns every output by name. Raises EngineError."""
        if self._session is None:
            raise EngineError("the engine is closed; open the bundle again")
        return run_named(self._session, self._outputs, feeds)

    def close(self) -> None:
        """Free the session; running again is an error."""
        self._session = None


def _specs(values: Sequence[Any]) -> tuple[TensorSpec, ...]:
    specs = []
    for value in values:
        element = value.type.removeprefix("tensor(").removesuffix(")")
        shape = tuple(dim if isinstance(dim, int) else str(dim) for dim in value.shape or ())
        specs.append(TensorSpec(value.name, _NUMPY_NAMES.get(element, element), shape))
    return tuple(specs)


def usable_threads(wanted: int | None) -> int:
    """Return the threads to use: as `wanted`, or the cores that this process may use. Raises UsageError."""
    if wanted is None:
        return usable_cores()
    if wanted < 1:
        raise UsageError(f"--threads must be at least 1, found {wanted}")
    return wanted


def find_providers(runtime: ModuleType, device: str) -> list[str | tuple[str, dict[str, str]]]:
    """Return onnxruntime's providers for `device`, the CPU last. Raises UsageError for one that is not there."""
    name = device.strip().lower()
    gpu = _GPU.fullmatch(name)
    if gpu:  # "0" and "cuda:0", as detectors' own tools call it
        name = "cuda"
    if name not in DEVICES:
        raise UsageError(f"--device {device!r} is not known; choose one of {', '.join(DEVICES)}, cuda:0, cuda:1, ...")
    present = runtime.get_available_providers()
    found = [provider for provider in DEVICES[name] if provider in present]
    if DEVICES[name] and not found and name != "auto":
        raise UsageError(
            f"--device {device} needs {' or '.join(DEVICES[name])}, this onnxruntime has {', '.join(present)}; "
            "install the onnxruntime build for that device, or use --device cpu"
        )
    if gpu:
        return [*((provider, {"device_id": gpu[1]}) for provider in found), "CPUExecutionProvider"]
    return [*found, "CPUExecutionProvider"]
