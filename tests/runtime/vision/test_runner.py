"""Images through a runner, in batches that the graph accepts."""

from __future__ import annotations

import dataclasses
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from edge_runtime.bundle.facts import TensorSpec
from edge_runtime.bundle.postprocess_spec import Detect, Masks
from edge_runtime.inspect.fake_engine import fake_manifest
from edge_runtime.ort.runner import Arrays, AtOnce, Tensors
from edge_runtime.vision.runner import VisionRunner
from edge_runtime.vision.settings import Settings

SIDE = 64


class Known(AtOnce):
    """A runner that gives the same outputs whatever it is given."""

    providers = ("CPUExecutionProvider",)

    def __init__(self, outputs: Tensors) -> None:
        self.outputs = outputs

    def run(self, feeds: Arrays) -> Tensors:
        return self.outputs

    def close(self) -> None:
        pass


def results(post: Detect, outputs: dict[str, NDArray[Any]], batch: int, images: int) -> list[list[float]]:
    """The left edges of each image's boxes."""
    manifest = dataclasses.replace(
        fake_manifest(),
        inputs=(TensorSpec("images", "float32", (batch, 3, SIDE, SIDE)),),
        outputs=tuple(TensorSpec(name, "float32", ("M",)) for name in outputs),
        postprocess=post,
    )
    runner = Known({name: np.asarray(values, np.float32) for name, values in outputs.items()})
    seen = VisionRunner(manifest, runner, Settings.of(manifest))([np.zeros((SIDE, SIDE, 3), np.uint8)] * images)
    return [[p.box.x1 for p in result.predictions if p.box] for result in seen]


@pytest.mark.parametrize("images", [1, 2, 3])
def test_rows_of_all_images_are_kept_where_a_fixed_batch_is_not_full(images: int) -> None:
    # Three rows of a batch of three: the third image's row comes first.
    rows = np.array([[2, 30, 5, 40, 15, 0, 0.9], [0, 10, 5, 20, 15, 0, 0.9], [1, 20, 5, 30, 15, 0, 0.9]])
    post = Detect(format="final", box="xyxy", nms=False, columns=("batch", "box", "class", "score"))
    assert results(post, {"rows": rows}, 3, images) == [[10.0], [20.0], [30.0]][:images]


def test_counts_and_masks_of_rows_are_kept_as_well() -> None:
    rows = np.array([[0, 0.9, 10, 5, 20, 15], [0, 0.8, 40, 5, 50, 15], [0, 0.9, 20, 5, 30, 15]])
    post = Detect(format="final", box="xyxy", nms=False, outputs=("rows", "counts"), columns=("class", "score", "box"))
    assert results(post, {"rows": rows, "counts": np.array([2, 1, 0])}, 3, 2) == [[10.0, 40.0], [20.0]]
    masked = dataclasses.replace(post, masks=Masks("maps", "image", activation="none"))
    outputs = {"rows": rows, "counts": np.array([2, 1, 0]), "maps": np.ones((3, 8, 8))}
    assert results(masked, outputs, 3, 2) == [[10.0, 40.0], [20.0]]


def test_prototypes_are_each_image_s() -> None:
    rows = np.zeros((4, 8))
    rows[:] = [0, 10, 5, 20, 15, 0.9, 0, 1]
    rows[:, 0] = [0, 1, 2, 3]
    post = Detect(
        format="final", box="xyxy", nms=False, outputs=("rows",), columns=("batch", "box", "score", "class", "masks"),
        masks=Masks("protos", count=1),
    )  # fmt: skip
    assert results(post, {"rows": rows, "protos": np.ones((4, 1, 8, 8))}, 4, 2) == [[10.0], [10.0]]
