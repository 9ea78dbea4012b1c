"""The engine: an opened bundle that answers for images or tensors.

from edge_runtime import open_bundle

with open_bundle("pcb.edge") as engine:
    for result in engine.run([image]):  # uint8 [height, width, 3], BGR
        print(result.verdict, result.predictions)
"""

from __future__ import annotations

import threading
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from edge_runtime.bundle import Bundle, read_bundle
from edge_runtime.errors import BundleError, DataError, EngineError
from edge_runtime.manifest import Manifest, TensorSpec
from edge_runtime.postprocess import Settings
from edge_runtime.results import Result
from edge_runtime.session import OrtSession, SessionOptions
from edge_runtime.vision import VisionRunner

__all__ = ["Engine", "open_bundle"]


def open_bundle(
    path: Path | str,
    device: str = "auto",
    threads: int | None = None,
    confidence: float | None = None,
    iou: float | None = None,
    max_det: int | None = None,
    classes: Sequence[str | int] | None = None,
) -> Engine:
    """Check a bundle completely, load its model and return the engine.

    `confidence` and `iou` (0..1), `max_det` (objects reported for each image) and `classes` (names or ids to report)
    override the bundle's own values where they are given; the last two leave the verdict as it is. `device` is one
    of edge_runtime.session.DEVICES or a GPU ("cuda:0"), `threads` the cores to use (all that this process may use by
    default).

    Raises BundleError for a damaged bundle, ModelError for one that onnxruntime cannot load, UsageError for a
    value out of range, DependencyError where onnxruntime is missing.
    """
    bundle = read_bundle(path)
    settings = Settings.of(bundle.manifest, confidence, iou, max_det, classes)
    return Engine(bundle, SessionOptions(device, threads), settings)


class Engine:
    """Runs one bundle. Safe to use from several threads (calls take turns) and to close at any time."""

    def __init__(self, bundle: Bundle, options: SessionOptions, settings: Settings) -> None:
        self.manifest: Manifest = bundle.manifest
        self.bundle_sha256: str = bundle.sha256
        self.settings = settings
        self._lock = threading.Lock()
        session = OrtSession(bundle.file("model.onnx"), options)
        _check_values("input", self.manifest.inputs, session.inputs)
        _check_values("output", self.manifest.outputs, session.outputs)
        self._session: OrtSession | None = session
        self.providers: tuple[str, ...] = session.providers
        self._vision: VisionRunner | None = None

    def run(self, images: Sequence[NDArray[np.uint8]]) -> list[Result]:
        """Judge images: uint8 [height, width, 3] in BGR as OpenCV reads them, of any sizes; one Result each.

        All images of a call are one batch, where the model's batch is free. Boxes are in pixels of the image
        they belong to. Raises DataError for something that is no image, EngineError when the run fails.
        """
        with self._lock:
            session = self._open_session()
            if self._vision is None:
                self._vision = VisionRunner(self.manifest, session, self.settings)
            return self._vision(images)

    def infer(self, tensors: Mapping[str, NDArray[np.generic]]) -> dict[str, NDArray[np.generic]]:
        """Run prepared tensors by input name and return every output by name, without pre- or post-processing.

        Raises DataError for a missing input, for what is no array, a wrong type or a wrong shape.
        """
        if not isinstance(tensors, Mapping):
            raise DataError(f"expected arrays by input name, {{name: array}}, found {type(tensors).__name__}")
        for spec in self.manifest.inputs:
            _check_tensor(spec, tensors)
        with self._lock:
            return self._open_session().run({spec.name: tensors[spec.name] for spec in self.manifest.inputs})

    def close(self) -> None:
        """Free the model; a call that is running ends first. Closing twice does nothing."""
        with self._lock:
            if self._session is not None:
                self._session.close()
            self._session = self._vision = None

    def __enter__(self) -> Engine:
        return self

    def __exit__(self, *exception: object) -> None:
        self.close()

    def _open_session(self) -> OrtSession:
        if self._session is None:
            raise EngineError("the engine is closed; open the bundle again")
        return self._session


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
        fits = not spec.shape or not other.shape or _fits(spec.shape, other.shape)
        if spec.dtype != other.dtype or not fits:
            raise BundleError(
                f"manifest.json declares the {kind} {spec.name!r} as {spec.dtype} {list(spec.shape)}, "
                f"model.onnx has {other.dtype} {list(other.shape)}; {advice}"
            )


def _fits(shape: tuple[int | str, ...], other: tuple[int | str, ...]) -> bool:
    """Whether two shapes agree where both have numbers."""
    return len(shape) == len(other) and all(
        a == b or isinstance(a, str) or isinstance(b, str) for a, b in zip(shape, other, strict=True)
    )


def _check_tensor(spec: TensorSpec, tensors: Mapping[str, NDArray[np.generic]]) -> None:
    value = tensors.get(spec.name)
    wanted = f"{spec.dtype} {list(spec.shape)}"
    if value is None:
        raise DataError(f"input {spec.name!r} ({wanted}) is missing; found {', '.join(map(repr, tensors)) or 'none'}")
    if not isinstance(value, np.ndarray):
        raise DataError(f"input {spec.name!r}: expected a numpy array, {wanted}, found {type(value).__name__}")
    if str(value.dtype) != spec.dtype or not _fits(spec.shape, value.shape):
        raise DataError(f"input {spec.name!r}: expected {wanted}, found {value.dtype} {list(value.shape)}")
