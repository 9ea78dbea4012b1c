"""Opening the whole graph on the CPU without a limit: as it was prepared if it was, else as the bundle has it."""

from __future__ import annotations

import contextlib
from collections.abc import Sequence
from pathlib import Path

from edge_devices.profile import ProviderChoice
from edge_runtime.blocks.prepared import WHOLE_CHECKED, PreparedWhole, checked_before, note_checked
from edge_runtime.bundle.bundle import Bundle
from edge_runtime.bundle.facts import TensorSpec
from edge_runtime.errors import BundleError, EngineError, ModelError, OutputError
from edge_runtime.files.atomic import file_stamp
from edge_runtime.ort.affinity import staying_on
from edge_runtime.ort.lanes import cores_of_lane, laned
from edge_runtime.ort.providers.choose import CPU
from edge_runtime.ort.runner import Runner, shapes_agree
from edge_runtime.ort.session import SessionOptions, SessionRunner, usable_threads

__all__ = ["check_graph", "open_whole", "whole_is_sound"]


def open_whole(bundle: Bundle, graph: Path | None, options: SessionOptions) -> Runner:
    """Return one session for each lane: of the prepared `graph` if there is one, which starts faster.

    Raises ModelError for a graph that does not load, BundleError for one that is not what the manifest says.
    """

    def another() -> SessionRunner:
        if graph is not None:
            with contextlib.suppress(ModelError):  # damaged: the bundle itself, which was checked, is there
                return SessionRunner(graph, options, optimize=False, provider=ProviderChoice(CPU))
        return SessionRunner(bundle.file("model.onnx"), options, provider=ProviderChoice(CPU))

    # The first lane's threads stay where that lane's runs do.
    with staying_on(cores_of_lane(options, usable_threads(options.threads), 0)):
        first = another()
    check_graph(bundle, first)
    return laned(first, another, options) if options.lanes > 1 else first


def whole_is_sound(folder: Path, whole: PreparedWhole) -> bool:
    """Tell whether the weights, which onnxruntime reads by itself, are those that were written; read once for that."""
    if whole.weights is None:
        return True
    try:
        stamps = {whole.weights.file: file_stamp(folder / whole.weights.file)}
        if not checked_before(folder, stamps, WHOLE_CHECKED):
            from edge_runtime.blocks.storage import FileStorage

            FileStorage(folder).check(whole.weights)
            with contextlib.suppress(OutputError):
                note_checked(folder, stamps, WHOLE_CHECKED)
    except (EngineError, OSError):
        return False
    return True


def check_graph(bundle: Bundle, runner: SessionRunner) -> None:
    """Close the session and raise BundleError unless the graph has the inputs and outputs that the manifest tells."""
    try:
        _check_values("input", bundle.manifest.inputs, runner.inputs)
        _check_values("output", bundle.manifest.outputs, runner.outputs)
    except BundleError:
        runner.close()
        raise


def _check_values(kind: str, declared: Sequence[TensorSpec], found: Sequence[TensorSpec]) -> None:
    """Raise BundleError unless the manifest tells the graph's values: their names, types, ranks and fixed sizes."""
    advice = "export the bundle again with edge-export"
    graph = {spec.name: spec for spec in found}
    if len(declared) != len(found) or {spec.name for spec in declared} != set(graph):
        raise BundleError(
            f"manifest.json declares the {kind}s {', '.join(spec.name for spec in declared)}, "
            f"model.onnx has {', '.join(graph)}; {advice}"
        )
    for spec in declared:
        other = graph[spec.name]
        # onnxruntime infers more than a graph declares: no shape at all is told as (), like a scalar's.
        fits = not spec.shape or not other.shape or shapes_agree(spec.shape, other.shape)
        if spec.dtype != other.dtype or not fits:
            raise BundleError(
                f"manifest.json declares the {kind} {spec.name!r} as {spec.dtype} {list(spec.shape)}, "
                f"model.onnx has {other.dtype} {list(other.shape)}; {advice}"
            )
