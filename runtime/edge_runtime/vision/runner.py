"""Images through a runner: pre-process, infer, interpret. Shared by the device's engine and the export's FP32 runs."""

from __future__ import annotations

import dataclasses
import time
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from edge_runtime.bundle.facts import ModelFacts
from edge_runtime.bundle.postprocess_spec import Detect
from edge_runtime.errors import DataError, EngineError, ModelError
from edge_runtime.ort.runner import Runner
from edge_runtime.results import Result
from edge_runtime.vision.postprocess import interpret
from edge_runtime.vision.postprocess.detect import load_reader
from edge_runtime.vision.postprocess.images import rows_of_all_images
from edge_runtime.vision.preprocess import Preprocessor
from edge_runtime.vision.settings import Settings

__all__ = ["VisionRunner"]


class VisionRunner:
    """Runs images of any sizes through one runner, in batches that the graph accepts."""

    def __init__(
        self,
        facts: ModelFacts,
        runner: Runner,
        settings: Settings,
        most: int | None = None,
    ) -> None:
        """A batch has at most `most` images, and is pre-processed where the runner has room for it.

        Raises ModelError when the facts do not tell how an image becomes the model's input.
        """
        if facts.preprocess is None or len(facts.inputs) != 1:
            raise ModelError(
                "this model takes tensors, not images: its bundle declares no pre-processing; "
                "export it again with --size and the other pre-processing flags, or call engine.infer"
            )
        self.facts, self.settings = facts, settings
        self._runner, self._most = runner, most
        self._preprocessor = Preprocessor(facts.preprocess)
        self._fixed_batch = facts.batch
        if isinstance(facts.postprocess, Detect):
            load_reader(facts.postprocess)

    def __call__(self, images: Sequence[NDArray[np.uint8]]) -> list[Result]:
        """Return one Result for each uint8 image [height, width, 3] (BGR) or [height, width] (gray), in order.

        One array [N, height, width, 3] is N images. Raises DataError for anything else, a single image among them.
        """
        images = _listed(images)
        size = self._fixed_batch or self._most or max(len(images), 1)
        results: list[Result] = []
        for start in range(0, len(images), size):
            results.extend(self._run(images[start : start + size]))
        return results

    def _run(self, images: Sequence[NDArray[np.uint8]]) -> list[Result]:
        started = time.perf_counter()
        size = self._fixed_batch or len(images)
        shape = (size, *self._preprocessor.shape)
        tensor = self._runner.room(self.facts.inputs[0].name, shape, self._preprocessor.dtype)
        placements = [self._preprocessor.write(image, out) for image, out in zip(images, tensor, strict=False)]
        # A graph with a fixed batch gets its last image again in the places that are left over.
        tensor[len(images) :] = tensor[len(images) - 1]
        prepared = time.perf_counter()
        outputs = self._runner.run({self.facts.inputs[0].name: tensor})
        inferred = time.perf_counter()
        if size != len(images):
            rows = rows_of_all_images(self.facts, outputs)
            outputs = {
                name: values[: len(images)] if values.ndim and values.shape[0] == size and name not in rows else values
                for name, values in outputs.items()
            }
        results = interpret(self.facts, outputs, placements, self.settings)
        if len(results) != len(images):
            raise EngineError(f"{len(images)} images gave {len(results)} results; the model's batch dimension is wrong")
        ended = time.perf_counter()
        share = 1000.0 / len(images)
        timing = {
            "preprocess": (prepared - started) * share,
            "inference": (inferred - prepared) * share,
            "postprocess": (ended - inferred) * share,
        }
        return [dataclasses.replace(result, timing_ms=dict(timing)) for result in results]


def _listed(images: Sequence[NDArray[np.uint8]]) -> list[NDArray[np.uint8]]:
    found = f"an array {list(images.shape)}" if isinstance(images, np.ndarray) else type(images).__name__
    if isinstance(images, np.ndarray) and images.ndim > 3:
        return list(images)
    if not isinstance(images, Sequence) or isinstance(images, (str, bytes)):
        raise DataError(f"expected a list of images, found {found}; for one image write engine.run([image])")
    return list(images)
