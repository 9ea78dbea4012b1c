"""Opening the whole graph on the CPU without a limit: as it was prepared if it was, else as the bundle has it."""

from __future__ import annotations

import contextlib
import logging
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from edge_devices.profile import ProviderChoice
from edge_runtime.blocks.prepared import WHOLE, PreparedWhole
from edge_runtime.blocks.storage import FileStorage
from edge_runtime.blocks.sums import sound_graph
from edge_runtime.bundle.bundle import Bundle
from edge_runtime.bundle.facts import TensorSpec
from edge_runtime.errors import BundleError, ModelError
from edge_runtime.opening.sound import Check, SoundRunner
from edge_runtime.ort.affinity import staying_on
from edge_runtime.ort.lanes import cores_of_lane, laned
from edge_runtime.ort.providers.choose import CPU
from edge_runtime.ort.runner import Runner, shapes_agree
from edge_runtime.ort.session import SessionOptions, SessionRunner, usable_threads

__all__ = ["PreparedGraph", "check_graph", "checked", "give_up", "open_whole", "prepared_graph"]

_LOG = logging.getLogger(__name__)


@dataclass(frozen=True)
class PreparedGraph:
    """The whole graph as it was prepared: its file, the file's sound bytes, and the look at its weights."""

    path: Path
    data: bytes
    weights: Check


def prepared_graph(folder: Path, whole: PreparedWhole) -> PreparedGraph:
    """Look at the graph, and begin to look at its weights. Raises EngineError for files that are damaged."""
    data, weights = sound_graph(folder / whole.graph), whole.weights

    def look() -> None:
        if weights is not None:
            FileStorage(folder).check(weights)

    return PreparedGraph(folder / whole.graph, data, Check(look, weights.size if weights else 0))


def open_whole(bundle: Bundle, graph: PreparedGraph | None, options: SessionOptions) -> Runner:
    """Return one session for each lane: of the prepared `graph` if there is one, which starts faster.

    Weights are looked at beside that; what `open_whole` returns gives no answer before. Where prepared ones turn out to
    be damaged it goes on with the bundle's own. Raises ModelError for a graph that does not load, BundleError for one
    that is not what the manifest says, and for weights that are damaged.
    """
    check = _bundle_check(bundle) if graph is None else graph.weights
    try:
        runner = _opened(bundle, graph, options)
    except ModelError:  # which a graph that is damaged may be, too
        check.wait()
        raise
    if check.done:
        return runner

    def instead() -> Runner:
        if graph is not None:
            give_up(graph.path.parent)
        return open_whole(bundle, None, options)

    return SoundRunner(runner, check, instead if graph else None)


def checked(runner: Runner, bundle: Bundle) -> Runner:
    """What was opened of the bundle itself, giving no answer before its weights were looked at.

    Closes it and raises BundleError where small ones are damaged.
    """
    try:
        check = _bundle_check(bundle)
    except BundleError:
        runner.close()
        raise
    return runner if check.done else SoundRunner(runner, check)


def give_up(folder: Path) -> None:
    """Say that prepared files are damaged, and have them made again at the next start."""
    try:
        (folder / WHOLE).unlink()
        cure = "they are made again at the next start"
    except OSError:
        cure = "remove that folder"
    _LOG.warning("the prepared files in %s are damaged and not used: %s", folder, cure)


def _bundle_check(bundle: Bundle) -> Check:
    return Check(bundle.check_weights, bundle.manifest.files["weights.bin"].size)


def _opened(bundle: Bundle, graph: PreparedGraph | None, options: SessionOptions) -> Runner:
    def another() -> SessionRunner:
        if graph is not None:
            with contextlib.suppress(ModelError):  # of a bundle that onnxruntime takes as it is
                return SessionRunner(graph.path, options, optimize=False, provider=ProviderChoice(CPU), data=graph.data)
        return SessionRunner(
            bundle.file("model.onnx"), options, provider=ProviderChoice(CPU), data=bundle.graph("model.onnx")
        )

    # The first lane's threads stay where that lane's runs do.
    with staying_on(cores_of_lane(options, usable_threads(options.threads), 0)):
        first = another()
    check_graph(bundle, first)
    return laned(first, another, options) if options.lanes > 1 else first


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
