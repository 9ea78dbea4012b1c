"""The models whose layouts are mutated, and the right answers to them."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from edge_tools.families.truth import SUFFIX, Truth, read_truth

__all__ = ["Base", "bases"]

_LETTERBOXED = ((160.0, 100.0, 480.0, 380.0), (20.0, 40.0, 140.0, 160.0))
_STRETCHED = ((160.0, 135.0, 480.0, 345.0), (20.0, 90.0, 140.0, 180.0))
# The known objects of small models that answer every picture of 640x480 alike: boxes, and the classes of both.
KNOWN: Mapping[str, tuple[tuple[tuple[float, ...], ...], tuple[int, int]]] = {
    "yolov10_nc1": (_LETTERBOXED, (0, 0)),
    "yolov10_nc2": (_LETTERBOXED, (1, 0)),
    "rtdetr_ultra_6": (_STRETCHED, (2, 0)),
    "yolov8_pose": (_LETTERBOXED, (0, 0)),
    "mmdeploy": (_STRETCHED, (2, 0)),
    "ppyoloe": (_STRETCHED, (2, 0)),
    "yolov7_end2end": (_LETTERBOXED, (2, 0)),
    "yolov6": (_LETTERBOXED, (2, 0)),
    "hf_rtdetr_bare": (_STRETCHED, (2, 0)),
    "ssd_tf": (_STRETCHED, (2, 0)),  # counted from 1 in the model
    "rfdetr": (_STRETCHED, (3, 1)),
    "torchvision_det": (_STRETCHED, (2, 0)),
}


@dataclass(frozen=True)
class Base:
    """A model; `right` is None where the answers of its own bundle are taken for right."""

    model: Path
    right: Mapping[str, Sequence[Truth]] | None

    @property
    def name(self) -> str:
        """What it is called."""
        return self.model.stem


def bases(folder: Path, patterns: Sequence[str], picture: str) -> Iterator[Base]:
    """Yield the models of a folder: with answers beside them, with known ones to `picture`, or with none."""
    for model in sorted({path for pattern in patterns for path in folder.glob(f"{pattern}.onnx")}):
        answers = model.with_name(f"{model.stem}{SUFFIX}")
        if answers.exists():
            yield Base(model, read_truth(answers))
        elif model.stem in KNOWN:
            boxes, classes = KNOWN[model.stem]
            truths = [Truth(c, s, box) for c, s, box in zip(classes, (0.9, 0.6), boxes, strict=True)]
            yield Base(model, {picture: truths})
        else:
            yield Base(model, None)
