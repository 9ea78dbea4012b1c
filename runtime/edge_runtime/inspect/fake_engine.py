"""A complete Judge without a model: it answers with prepared results, to test what is around an engine."""

from __future__ import annotations

import itertools
from collections.abc import Mapping, Sequence

import numpy as np
from numpy.typing import NDArray

from edge_runtime.bundle.facts import TensorSpec, Thresholds, VerdictRule
from edge_runtime.bundle.manifest import Manifest, ModelInfo, Provenance
from edge_runtime.bundle.postprocess_spec import Detect
from edge_runtime.bundle.preprocess_spec import Preprocess
from edge_runtime.bundle.trust import UNSIGNED, Trust
from edge_runtime.results import Box, Prediction, Result, UrgentCall

__all__ = ["FakeEngine", "fake_manifest", "fake_ng", "fake_ok"]

_TIMING = {"preprocess": 1.0, "inference": 10.0, "postprocess": 0.5}


def fake_manifest() -> Manifest:
    """Return a valid manifest of a detector with the classes open and short."""
    return Manifest(
        schema=1,
        model=ModelInfo("fake", "1", "0" * 64, 17, "int8 100 %", 400, 100),
        inputs=(TensorSpec("images", "float32", ("N", 3, 64, 64)),),
        outputs=(TensorSpec("output", "float32", ("N", 6, 84)),),
        preprocess=Preprocess(64, 64),
        postprocess=Detect(),
        labels=("open", "short"),
        thresholds=Thresholds(),
        verdict=VerdictRule("any"),
        precision=(),
        blocks=(),
        accuracy=(),
        provenance=Provenance("2026-01-01T00:00:00Z", "0", "0", "0", "fake", "none", "none"),
    )


def fake_ok() -> Result:
    """Return a result that found nothing."""
    return Result("OK", (), (), timing_ms=dict(_TIMING))


def fake_ng() -> Result:
    """Return a result that found one open, in a box of 10 x 20 pixels at (5, 6)."""
    prediction = Prediction("open", 0, 0.875, Box(5.0, 6.0, 15.0, 26.0))
    return Result("NG", ("open x1",), (prediction,), timing_ms=dict(_TIMING))


class FakeEngine:
    """Answers image after image with `results`, and starts again when they are used up.

    `batches` keeps the number of images of every call, `closed` whether it was closed.
    """

    def __init__(self, results: Sequence[Result] = (), manifest: Manifest | None = None, lanes: int = 1) -> None:
        self.manifest = manifest or fake_manifest()
        self.bundle_sha256 = "f" * 64
        self.trust: Trust = UNSIGNED
        self.batches: list[int] = []
        self.closed = False
        self.lanes = lanes
        self.cores: tuple[int, ...] = ()
        self.preemptible = False
        self.stepped = None
        self._results = itertools.cycle(results or (fake_ok(),))

    def run(self, images: Sequence[NDArray[np.uint8]], urgent: UrgentCall | None = None) -> list[Result]:
        """Return one prepared result per image; `urgent` is never asked: there are no blocks."""
        self.batches.append(len(images))
        return [next(self._results) for _ in images]

    def infer(self, tensors: Mapping[str, NDArray[np.generic]]) -> dict[str, NDArray[np.generic]]:
        """Return zeros for every output, as many as there are tensors; other free axes are 1 long."""
        batch = len(next(iter(tensors.values())))
        self.batches.append(batch)
        return {spec.name: np.zeros((batch, *spec.least_shape[1:]), spec.dtype) for spec in self.manifest.outputs}

    def close(self) -> None:
        """Remember that it was closed."""
        self.closed = True

    def __enter__(self) -> FakeEngine:
        """Return itself."""
        return self

    def __exit__(self, *_exception: object) -> None:
        """Close."""
        self.close()
