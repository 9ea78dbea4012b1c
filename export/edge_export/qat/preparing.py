"""From a model to a QatModel, proved against onnxruntime before anybody trains it."""

from __future__ import annotations

import tempfile
from collections.abc import Iterable
from pathlib import Path
from typing import Any, Union

import numpy as np
import onnx
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from edge_export.model.sources.torch_module import convert_module
from edge_export.pipeline import QuietProgress
from edge_export.qat.graph import TorchGraph
from edge_export.qat.model import QatModel
from edge_export.qat.plan import PrepareOptions, QatPlan, make_plan
from edge_export.qat.samples import ArraySamples
from edge_export.quant.noise import NoiseMeter, decibels
from edge_export.run import open_session, run
from edge_export.state import Feeds, Progress
from edge_runtime.bundle.postprocess_spec import Raw
from edge_runtime.errors import DataError, ModelError, UsageError

__all__ = ["prepare"]

_TOLERANCE = 1e-3  # two libraries sum in another order
_LEAST_DB = 20.0

Data = Union[str, Path, Iterable[Any]]


def prepare(
    model: str | Path | nn.Module,
    calibration: Data,
    examples: Tensor | tuple[Tensor, ...] = (),
    options: PrepareOptions | None = None,
    progress: Progress | None = None,
) -> QatModel:
    """Return `model` as an nn.Module with the quantizers of its export, calibrated and ready to be trained.

    `model`: an .onnx file, `package.module:factory`, or an nn.Module with `examples`, tensors to trace it with.
    `calibration`: a folder of images, a list of them or an .npz, as edge-export takes, or an iterable that can be
    repeated of dicts by input name, arrays or tensors (the batch first; of a tuple the first elements are inputs).

    Raises ModelError when the model cannot be quantized, has an operator that torch cannot train here, or does not
    answer as it does in onnxruntime; UsageError, DataError and DependencyError as edge-export does.
    """
    options, progress = options or PrepareOptions(), progress or QuietProgress()
    with tempfile.TemporaryDirectory(prefix="edgeline-qat-") as folder:
        source = str(model) if isinstance(model, (str, Path)) else _converted(model, examples, Path(folder))
        if isinstance(calibration, (str, Path)):
            plan = make_plan(source, Path(calibration), options, progress)
        else:
            parts = ArraySamples(calibration, _input_names(source), options.samples).parted()
            plan = make_plan(source, parts, options, progress)
    qat = QatModel(plan)
    _prove(qat, plan)
    return qat


def _converted(model: nn.Module, examples: Tensor | tuple[Tensor, ...], folder: Path) -> str:
    examples = (examples,) if isinstance(examples, Tensor) else tuple(examples)
    if not examples:
        raise UsageError("prepare needs `examples`, a tensor for each input of the module, to trace it with")
    path = folder / f"{type(model).__name__}.onnx"
    was = model.training
    try:
        path.write_bytes(convert_module(model.eval(), examples, type(model).__name__).SerializeToString())
    finally:
        model.train(was)
    return str(path)


def _input_names(source: str) -> tuple[str, ...]:
    if not Path(source).is_file():
        raise UsageError(f"{source}: give --calibrate a path, or the model as an .onnx file or an nn.Module")
    graph = onnx.load(source, load_external_data=False).graph
    weights = {weight.name for weight in graph.initializer}
    return tuple(value.name for value in graph.input if value.name not in weights)


def _prove(qat: QatModel, plan: QatPlan) -> None:
    """Compare both graphs with onnxruntime on one sample.

    The float graph strictly. The quantized one may differ by values that lie between two integer steps and fall to
    either side, which a fragile model makes much of; but never by as much as quantization itself changes.
    """
    sample = next(iter(plan.holdout), None)
    if sample is None:
        raise DataError("the calibration data holds no samples; give some")
    reference = TorchGraph(plan.reference)
    expected, found = run(open_session(plan.reference, optimize=False), sample), _answer(reference, sample)
    for name in reference.outputs:
        gap = _largest_gap(expected[name], found[name])
        if gap > _TOLERANCE:
            raise ModelError(
                f"output {name!r} differs by {gap:.2g} of its largest value between torch and onnxruntime; training "
                "would follow another model: please report this, and export without QAT"
            )
    quantized = run(open_session(plan.qdq, optimize=False), sample)
    by_library, by_int8 = (NoiseMeter(plan.facts.postprocess or Raw()) for _ in range(2))
    by_library.see(quantized, _answer(qat, sample))
    by_int8.see(expected, quantized)
    if decibels(by_library.worst) < min(_LEAST_DB, decibels(by_int8.worst)):
        raise ModelError(
            f"the int8 graph answers in torch only to {decibels(by_library.worst):.0f} dB as in onnxruntime; training "
            "would follow another model: please report this, and export without QAT"
        )


def _largest_gap(expected: NDArray[np.generic], found: NDArray[np.generic]) -> float:
    """Return the largest difference as a share of the largest value (but of 0.01 at least: onnxruntime's Sigmoid is
    only absolutely exact); 0 for values that are not floats.
    """
    if expected.shape != found.shape or expected.dtype != found.dtype:
        return float("inf")
    if expected.dtype.kind != "f" or not expected.size:
        return 0.0
    a, b = expected.astype(np.float64), found.astype(np.float64)
    kept = np.isfinite(a)
    return float(np.abs(a - b)[kept].max(initial=0.0) / max(np.abs(a)[kept].max(initial=0.0), 0.01))


def _answer(graph: TorchGraph, sample: Feeds) -> dict[str, NDArray[np.generic]]:
    with torch.no_grad():
        values = graph.run({name: torch.from_numpy(np.array(sample[name])) for name in graph.inputs})
    return {name: value.numpy() for name, value in values.items()}
