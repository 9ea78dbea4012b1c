"""onnxruntime as the export uses it: quiet sessions, errors in our own words, values looked at from outside."""

from __future__ import annotations

import re
from collections.abc import Collection, Iterable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import onnxruntime
from numpy.typing import NDArray

from edge_devices import usable_cores
from edge_export.tensors import Feeds, ValueFact
from edge_runtime.errors import ModelError

__all__ = ["OrtError", "expose", "one_line", "open_session", "run", "value_facts"]

_DTYPES = {
    "tensor(float)": "float32",
    "tensor(float16)": "float16",
    "tensor(double)": "float64",
    "tensor(bool)": "bool",
    "tensor(string)": "str",
    **{f"tensor({kind})": kind for kind in ("uint8", "int8", "uint16", "int16", "uint32", "int32", "uint64", "int64")},
}


class OrtError(ModelError):
    """onnxruntime refused to load or run a graph; `reason` is its own word, on one line."""

    def __init__(self, doing: str, error: BaseException) -> None:
        self.reason = one_line(error)
        super().__init__(f"onnxruntime cannot {doing} the model: {self.reason}")


def one_line(error: BaseException | str, limit: int = 300) -> str:
    """Return onnxruntime's message without its prefix, source locations and line breaks."""
    text = " ".join(str(error).split())
    text = re.sub(r"^\[ONNXRuntimeError\] : \d+ : \w+ : ", "", text)
    # "/onnxruntime_src/....cc:123 void f(...) " tells a user nothing
    text = re.sub(r"/onnxruntime_src/\S+?:\d+\s+.*?\)(?: const)?(?: \[with [^\]]*\])?\s+", "", text)
    text = re.sub(r"^Exception during (?:initialization|loading): ", "", text)
    # a failure inside If or Loop is wrapped once per level; the innermost is the reason
    text = text.rsplit("Status Message: ", 1)[-1].strip()
    return text if len(text) <= limit else text[: limit - 3] + "..."


def open_session(
    model: onnx.ModelProto | Path, optimize: bool = True, keep_arena: bool = True, pack: bool = True
) -> onnxruntime.InferenceSession:
    """Open a model on the CPU; `optimize` False runs it as the file says. Raises OrtError.

    Without `keep_arena` its memory goes back after each run; without `pack` weights of a file are used where they
    are mapped, which opens a session faster and runs it slower.
    """
    options = onnxruntime.SessionOptions()
    options.log_severity_level = 4
    options.intra_op_num_threads = usable_cores()
    options.inter_op_num_threads = 1
    levels = onnxruntime.GraphOptimizationLevel
    # the highest level would copy the weights of convolutions into another layout
    best = levels.ORT_ENABLE_ALL if pack else levels.ORT_ENABLE_EXTENDED
    options.graph_optimization_level = best if optimize else levels.ORT_DISABLE_ALL
    options.enable_cpu_mem_arena = keep_arena
    options.add_session_config_entry("session.intra_op.allow_spinning", "0")
    options.add_session_config_entry("session.disable_prepacking", "0" if pack else "1")
    payload = str(model) if isinstance(model, Path) else model.SerializeToString()
    try:
        return onnxruntime.InferenceSession(payload, options, providers=["CPUExecutionProvider"])
    except Exception as error:  # onnxruntime's exceptions share no other base
        raise OrtError("load", error) from error


def run(session: onnxruntime.InferenceSession, feeds: Mapping[str, NDArray[np.generic]]) -> Feeds:
    """Run a session on named arrays (those it does not take are ignored) and return its outputs by name."""
    names = [output.name for output in session.get_outputs()]
    wanted = {value.name for value in session.get_inputs()}
    quiet = onnxruntime.RunOptions()
    quiet.log_severity_level = 4
    try:
        values = session.run(None, {name: array for name, array in feeds.items() if name in wanted}, quiet)
    except Exception as error:  # onnxruntime's exceptions share no other base
        raise OrtError("run", error) from error
    return dict(zip(names, values, strict=True))


def expose(model: onnx.ModelProto, names: Iterable[str]) -> onnx.ModelProto:
    """Return a copy of the model whose outputs are exactly `names` (onnxruntime infers their types)."""
    copy = onnx.ModelProto()
    copy.CopyFrom(model)
    del copy.graph.output[:]
    copy.graph.output.extend(onnx.helper.make_value_info(name, onnx.TypeProto()) for name in names)
    return copy


def value_facts(model: onnx.ModelProto, feeds: Feeds, names: Collection[str]) -> dict[str, ValueFact]:
    """Run the model once and return the type, symbolic shape and size of the values `names`.

    Values that are not tensors (sequences, optionals) are left out.
    """
    session = open_session(expose(model, names), optimize=False)
    arrays = run(session, feeds)
    facts = {}
    for output in session.get_outputs():
        value = arrays[output.name]
        if isinstance(value, np.ndarray) and output.type in _DTYPES:
            facts[output.name] = ValueFact(_DTYPES[output.type], _symbolic(output.shape, value), value.nbytes)
    return facts


def _symbolic(declared: Any, value: NDArray[np.generic]) -> tuple[int | str, ...]:
    """Take onnxruntime's inferred shape, and what was seen where it inferred nothing for a dimension but the first."""
    if not isinstance(declared, list) or len(declared) != value.ndim:
        return ("batch", *value.shape[1:]) if value.ndim else ()
    shape: list[int | str] = []
    for axis, (dim, seen) in enumerate(zip(declared, value.shape, strict=True)):
        known = isinstance(dim, int) or (isinstance(dim, str) and dim and not dim.startswith("unk__"))
        shape.append(dim if known else ("batch" if axis == 0 else seen))
    return tuple(shape)
