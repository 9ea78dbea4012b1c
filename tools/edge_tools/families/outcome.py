"""What becomes of one model: exported without a flag, its bundle answers rightly, says that it cannot, or is wrong."""

from __future__ import annotations

import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Literal

import cv2
import numpy as np
from numpy.typing import NDArray

from edge_export.pipeline import export_bundle
from edge_export.state import ExportOptions, FactFlags
from edge_runtime.engine import open_bundle
from edge_runtime.errors import DataError, EdgelineError
from edge_runtime.results import Mask, Prediction, Result
from edge_runtime.vision.postprocess.oriented import upright
from edge_tools.families.compare import Likeness, compare
from edge_tools.families.truth import Truth

__all__ = ["FORMS", "Form", "Outcome", "exported", "judged", "outcome", "picture", "truths_of"]

_BACKGROUND = 0
_VOID = 255  # of a mask: pixels that the model did not see

Word = Literal["right", "said", "WRONG"]


@dataclass(frozen=True)
class Form:
    """How a bundle is made; how alike (F1) its answers are to the right ones, how much a pair overlaps at least, masks
    do on average, and how far scores differ at most.

    Rounding moves answers across the threshold; a layout that is misread leaves next to none.
    """

    quantize: Literal["fp32", "int8"]
    effort: Literal["fast", "good", "best"]
    alike: float
    overlap: float = 0.0
    masks: float = 0.0
    score: float = 1.0


FORMS = {
    "fp32": Form("fp32", "fast", 0.99, 0.85, 0.85, 0.02),
    "fast": Form("int8", "fast", 0.6),
    "good": Form("int8", "good", 0.6),
    "best": Form("int8", "best", 0.6),
}


@dataclass(frozen=True)
class Outcome:
    """`word` is "said" where the export refused, the bundle is raw, or it judges no picture; `why` says which."""

    word: Word
    why: str
    verdicts: str = ""
    likeness: Likeness | None = None


def exported(model: Path, pictures: Path, form: Form, output: Path) -> str:
    """Export `model` without a flag but its size where that is free; return why that was refused, "" where not."""
    options = ExportOptions(
        str(model), output, _flags(model), pictures, form.quantize, effort=form.effort, target="none"
    )
    try:
        export_bundle(options)
    except EdgelineError as error:
        return f"refused: {error}"
    return ""


def _flags(model: Path) -> FactFlags:
    """Say the size of a model whose file leaves it free: NAME@WIDTHxHEIGHT.onnx."""
    width, _, height = model.stem.rpartition("@")[2].partition("x")
    if "@" not in model.stem:
        return FactFlags()
    return FactFlags(preprocess={"width": int(width), "height": int(height)})


def outcome(
    model: Path,
    right: Mapping[str, Sequence[Truth]],
    pictures: Path,
    form: Form,
    *,
    first_id: int = 0,
) -> Outcome:
    """Export `model`, run it on the pictures that `right` names, and compare.

    `first_id` is what the model calls its first class: a bundle without names may keep that.
    """
    with tempfile.TemporaryDirectory(prefix="edge-families-") as work:
        bundle = Path(work) / "model.edge"
        refused = exported(model, pictures, form, bundle)
        if refused:
            return Outcome("said", refused)
        with open_bundle(bundle, use_cache=False) as engine:
            if engine.manifest.postprocess.task == "raw":
                return Outcome("said", "raw tensors")
            confidence = engine.manifest.thresholds.confidence
            named = bool(engine.manifest.labels)
            results = []
            for name in right:
                image = picture(pictures / name)
                height, width = image.shape[:2]
                seen = [_inside(one, width, height) for one in right[name] if not _beside(one, width, height)]
                results.append((seen, engine.run([image])[0]))
    tries = [judged(results, confidence, form)]
    if first_id and not named:
        tries.append(judged([(_shifted(truths, first_id), r) for truths, r in results], confidence, form))
    return next((one for one in tries if one.word == "right"), tries[0])


def judged(results: Sequence[tuple[Sequence[Truth], Result]], confidence: float, form: Form) -> Outcome:
    """Say what answers are worth: wrong ones are silent wherever a verdict came with them."""
    likeness = compare([(truths, _answers(result)) for truths, result in results], confidence)
    verdicts = "/".join(sorted({result.verdict for _, result in results}))
    # Boxes are in pixels of the input, of which a picture may have many for each: a known one may lie a few beside.
    apart = likeness.box < form.overlap or likeness.mask < form.masks or likeness.score > form.score
    if likeness.f1 >= form.alike and not apart:
        return Outcome("right", "", verdicts, likeness)
    told = f"{likeness.found} of {likeness.right} found, {likeness.wrong} wrong{_worst(likeness)}"
    if verdicts == "NO_READ":
        return Outcome("said", f"judges nothing ({told})", verdicts, likeness)
    return Outcome("WRONG", told, verdicts, likeness)


def _worst(likeness: Likeness) -> str:
    """The worst of what was compared, as far as it is not exact."""
    found = [f"overlap {likeness.box:.2f}"] if likeness.box < 0.995 else []
    found += [f"masks {likeness.mask:.2f}"] if likeness.mask < 0.995 else []
    found += [f"score {likeness.score:.2f}"] if likeness.score > 0.005 else []
    return "".join(f", {one}" for one in found)


def picture(path: Path) -> NDArray[np.uint8]:
    """Read a picture as BGR."""
    image = cv2.imread(str(path))
    if image is None:
        raise DataError(f"{path}: cannot be read as a picture")
    return image.astype(np.uint8, copy=False)


def truths_of(result: Result) -> list[Truth]:
    """Return a bundle's answers as the right ones for a model that must answer the same."""
    return [_truth(found) for found in _answers(result)]


def _answers(result: Result) -> Sequence[Prediction]:
    """Return the predictions: the area of each class of pixels, small ones too, where they have classes; one of class 0
    with the score of the picture where a model gives only that.
    """
    objects = any(found.area is None or found.mask is not None for found in result.predictions)
    if result.mask is not None and not objects and result.score is None:
        return [
            Prediction(name="", class_id=number, confidence=1.0, mask=Mask(0, 0, result.mask == number))
            for number in np.unique(result.mask).tolist()
            if number not in (_BACKGROUND, _VOID)
        ]
    if result.predictions or result.score is None:
        return result.predictions
    return [Prediction(class_id=0, name="", confidence=result.score)]


def _inside(truth: Truth, width: int, height: int) -> Truth:
    """Clip its box to the picture, as a bundle does; some families' own code does not."""
    if not truth.box:
        return truth
    x1, y1, x2, y2 = truth.box
    return replace(
        truth, box=(min(max(x1, 0), width), min(max(y1, 0), height), min(max(x2, 0), width), min(max(y2, 0), height))
    )


def _beside(truth: Truth, width: int, height: int) -> bool:
    """Whether a turned box lies outside of the picture: a bundle drops it, some families' own code does not."""
    if not truth.oriented:
        return False
    x1, y1, x2, y2 = upright(np.array([truth.oriented]))[0]
    return bool(x2 <= 0 or y2 <= 0 or x1 >= width or y1 >= height)


def _truth(found: Prediction) -> Truth:
    box = () if found.box is None else (found.box.x1, found.box.y1, found.box.x2, found.box.y2)
    turned = found.oriented
    return Truth(
        found.class_id,
        found.confidence,
        box,
        () if turned is None else (turned.x, turned.y, turned.width, turned.height, turned.angle),
        tuple((point.x, point.y, point.confidence) for point in found.points),
    )


def _shifted(truths: Sequence[Truth], first: int) -> list[Truth]:
    return [replace(truth, class_id=truth.class_id + first) for truth in truths]
