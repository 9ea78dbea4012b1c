"""onnxruntime as the export uses it: quiet sessions, errors in our own words, values looked at from outside."""

from __future__ import annotations

import math
import re
from collections.abc import Collection, Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import onnxruntime
from numpy.typing import NDArray

from edge_devices import usable_cores
from edge_export.graph.outside import is_heavy, loadable
from edge_export.state import Feeds, ValueFact
from edge_runtime.errors import ModelError
from edge_runtime.ort.process import exact_products, openable
from edge_runtime.ort.runner import AtOnce

__all__ = [
    "OrtError",
    "ProtoSession",
    "expose",
    "one_line",
    "open_session",
    "run",
    "run_both",
    "run_each",
    "value_facts",
]

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
    # a temporary file's name would differ in every run, and in every report that quotes it
    text = re.sub(r"^Load model from .*? failed: ?", "", text)
    # a failure inside If or Loop is wrapped once per level; the innermost is the reason
    text = text.rsplit("Status Message: ", 1)[-1].strip()
    return text if len(text) <= limit else text[: limit - 3] + "..."


def open_session(
    model: onnx.ModelProto | Path,
    optimize: bool = True,
    keep_arena: bool = True,
    pack: bool = True,
    lean: bool | None = None,
) -> onnxruntime.InferenceSession:
    """Open a model on the CPU; `optimize` False runs it as the file says. Raises OrtError.

    Without `keep_arena` its memory goes back after each run (with it, one output that is kept keeps all of it). Without
    `pack` weights of a file are used where they are mapped, which opens a session faster and runs it slower. `lean`
    says to hold the weights once at most, as they are stored: not packed, and casts of them done in each run
    (onnxruntime would hold up to three copies in floats). None: where a graph in memory is so heavy that this matters
    more than the time of a few runs.
    """
    if lean is None:
        lean = isinstance(model, onnx.ModelProto) and is_heavy(model)
    pack, keep_arena = pack and not lean, keep_arena and not lean
    exact = exact_products()
    try:
        with loadable(model) as payload:
            try:
                return _session(payload, optimize, keep_arena, pack, lean, exact)
            except Exception:  # onnxruntime's exceptions share no other base
                if not exact:
                    raise
                # It may not be able to make the other weights that it needs.
                return _session(payload, optimize, keep_arena, pack, lean, {})
    except Exception as error:  # as above
        raise OrtError("load", error) from error


def _session(
    payload: bytes | str, optimize: bool, keep_arena: bool, pack: bool, lean: bool, entries: Mapping[str, str]
) -> onnxruntime.InferenceSession:
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
    for key, value in entries.items():
        options.add_session_config_entry(key, value)
    graph = openable(Path(payload) if isinstance(payload, str) else payload, options) if entries else payload
    return onnxruntime.InferenceSession(
        str(graph) if isinstance(graph, Path) else graph,
        options,
        providers=["CPUExecutionProvider"],
        disabled_optimizers=["ConstantFolding"] if lean and optimize else None,
    )


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


def run_each(model: onnx.ModelProto, samples: Iterable[Feeds]) -> list[Feeds]:
    """Return a model's answers to some samples; its session is closed before the next one is opened elsewhere."""
    session = open_session(model, keep_arena=False)
    return [run(session, sample) for sample in samples]


def run_both(
    first: onnx.ModelProto, second: onnx.ModelProto, samples: Iterable[Feeds]
) -> Iterator[tuple[Feeds, Feeds]]:
    """Yield two models' answers to each sample; of heavy models only one session is open at a time."""
    if is_heavy(first):
        samples = list(samples)
        yield from zip(run_each(first, samples), run_each(second, samples), strict=True)
        return
    sessions = open_session(first), open_session(second)
    for sample in samples:
        yield run(sessions[0], sample), run(sessions[1], sample)


def expose(model: onnx.ModelProto, names: Iterable[str]) -> onnx.ModelProto:
    """Return a copy of the model whose outputs are exactly `names` (onnxruntime infers their types)."""
    copy = onnx.ModelProto()
    copy.CopyFrom(model)
    del copy.graph.output[:]
    copy.graph.output.extend(onnx.helper.make_value_info(name, onnx.TypeProto()) for name in names)
    return copy


def value_facts(model: onnx.ModelProto, feeds: Feeds, names: Collection[str]) -> dict[str, ValueFact]:
    """Return the type, symbolic shape and size for the sample `feeds` of the values `names`.

    Values that are not tensors (sequences, optionals) are left out. Only values whose shape onnxruntime does not infer
    are run for: exposing all of them would hold all of them.
    """
    session = open_session(expose(model, names), optimize=False, pack=False)
    free = _free_dims(session, feeds)
    outputs = [output for output in session.get_outputs() if output.type in _DTYPES]
    del session
    facts: dict[str, ValueFact] = {}
    unknown = []
    for output in outputs:
        dims = [free.get(dim, dim) for dim in output.shape] if isinstance(output.shape, list) else [None]
        numbers = [dim for dim in dims if isinstance(dim, int)]
        dtype = _DTYPES[output.type]
        if dtype != "str" and len(numbers) == len(dims):
            size = math.prod(numbers) * np.dtype(dtype).itemsize
            facts[output.name] = ValueFact(dtype, tuple(output.shape), size)
        else:
            unknown.append(output)
    if unknown:
        exposed = open_session(expose(model, [output.name for output in unknown]), optimize=False, pack=False)
        arrays = run(exposed, feeds)
        for output in unknown:
            value = arrays[output.name]
            if isinstance(value, np.ndarray):
                facts[output.name] = ValueFact(_DTYPES[output.type], _symbolic(output.shape, value), value.nbytes)
    return {name: facts[name] for name in names if name in facts}


def _free_dims(session: onnxruntime.InferenceSession, feeds: Feeds) -> dict[Any, int]:
    """Return the number that a sample gives to each named dimension of the inputs."""
    return {
        dim: size
        for value in session.get_inputs()
        for dim, size in zip(value.shape, feeds[value.name].shape, strict=True)
        if isinstance(dim, str)
    }


def _symbolic(declared: Any, value: NDArray[np.generic]) -> tuple[int | str, ...]:
    """Take onnxruntime's inferred shape, and what was seen where it inferred nothing for a dimension but the first."""
    if not isinstance(declared, list) or len(declared) != value.ndim:
        return ("batch", *value.shape[1:]) if value.ndim else ()
    shape: list[int | str] = []
    for axis, (dim, seen) in enumerate(zip(declared, value.shape, strict=True)):
        known = isinstance(dim, int) or (isinstance(dim, str) and dim and not dim.startswith("unk__"))
        shape.append(dim if known else ("batch" if axis == 0 else seen))
    return tuple(shape)


class ProtoSession(AtOnce):
    """A graph in memory as a Runner of the runtime; `outputs` are those of the last run."""

    def __init__(self, session: onnxruntime.InferenceSession) -> None:
        self._session = session
        self.providers: tuple[str, ...] = tuple(session.get_providers())
        self.outputs: dict[str, NDArray[np.generic]] = {}

    def run(self, feeds: Mapping[str, NDArray[np.generic]]) -> dict[str, NDArray[np.generic]]:
        """Run named arrays and return the outputs by name."""
        self.outputs = run(self._session, feeds)
        return self.outputs

    def close(self) -> None:
        """Nothing to free: the session goes with its last reference."""
