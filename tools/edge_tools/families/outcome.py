"""What becomes of one model: exported without a flag, its bundle answers rightly, says that it cannot, or is wrong.

Rightly: FP32's answers are the family's own, which tells whether the layout was read. Of int8 the bundle's answers are
as near to these as its certificate says; what rounding moves is the certificate's to tell.
"""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Literal

import cv2
import numpy as np
from numpy.typing import NDArray

from edge_export.certificate.findings import findings_of
from edge_export.certificate.headline import headline
from edge_export.evaluate.runners import runner_of
from edge_export.evaluate.scores import Options
from edge_export.pipeline import export_bundle
from edge_export.state import Draft, ExportOptions, FactFlags
from edge_runtime.engine import open_bundle
from edge_runtime.errors import DataError, EdgelineError
from edge_runtime.results import Mask, Prediction, Result
from edge_runtime.vision.postprocess.oriented import upright
from edge_runtime.vision.settings import Settings
from edge_tools.families.certified import Answers, Promise, kept, promises_of
from edge_tools.families.compare import Likeness, compare
from edge_tools.families.truth import Truth

__all__ = ["FORMS", "Form", "Outcome", "certified", "clipped", "exported", "judged", "outcome", "picture", "truths_of"]

_BACKGROUND = 0
_VOID = 255  # of a mask: pixels that the model did not see

Word = Literal["right", "said", "WRONG"]


@dataclass(frozen=True)
class Form:
    """How a bundle is made."""

    quantize: Literal["fp32", "int8"]
    effort: Literal["fast", "good", "best"]


FORMS = {
    "fp32": Form("fp32", "fast"),
    "fast": Form("int8", "fast"),
    "good": Form("int8", "good"),
    "best": Form("int8", "best"),
}
# In FP32: how alike (F1) answers are to the right ones, how much a pair overlaps at least, masks do on average, how far
# scores differ at most, and points in pixels.
_ALIKE, _OVERLAP, _MASKS, _SCORE, _POINT = 0.99, 0.9, 0.85, 0.02, 1.0


@dataclass(frozen=True)
class Outcome:
    """`word` is "said" where the export refused, the bundle is raw, or it judges no picture; `why` says which.

    `promise` is what an int8 bundle's certificate says, `told` the word that the export ends with.
    """

    word: Word
    why: str
    verdicts: str = ""
    likeness: Likeness | None = None
    promise: Promise | None = None
    told: str = ""


def exported(model: Path, pictures: Path, form: Form, output: Path) -> Draft | str:
    """Export `model` without a flag but its size where that is free; return why that was refused where it was."""
    options = ExportOptions(
        str(model), output, _flags(model), pictures, form.quantize, effort=form.effort, target="none"
    )
    try:
        return export_bundle(options)[1]
    except EdgelineError as error:
        return f"refused: {error}"


def _flags(model: Path) -> FactFlags:
    """Say the size of a model whose file leaves it free: NAME@WIDTHxHEIGHT.onnx, or a folder of that name."""
    name = model.parent.name if model.name == "model.onnx" else model.stem
    width, _, height = name.rpartition("@")[2].partition("x")
    if "@" not in name:
        return FactFlags()
    return FactFlags(preprocess={"width": int(width), "height": int(height)})


def outcome(
    model: Path,
    right: Mapping[str, Sequence[Truth]],
    pictures: Path,
    form: Form,
    *,
    first_id: int = 0,
    calibrate: Path | None = None,
) -> Outcome:
    """Export `model`, run it on the pictures that `right` names, and compare.

    It is calibrated on `calibrate`, or on `pictures` where that is not given.
    `first_id` is what the model calls its first class: a bundle without names may keep that.
    """
    with tempfile.TemporaryDirectory(prefix="edge-families-") as work:
        bundle = Path(work) / "model.edge"
        draft = exported(model, calibrate or pictures, form, bundle)
        if isinstance(draft, str):
            return Outcome("said", draft)
        told = "" if draft.manifest is None else headline(findings_of(draft, draft.manifest, 0)).word
        with open_bundle(bundle, use_cache=False) as engine:
            if engine.manifest.postprocess.task == "raw":
                return Outcome("said", "raw tensors")
            confidence = engine.manifest.thresholds.confidence
            named = bool(engine.manifest.labels)
            results = _answered(right, pictures, lambda image: engine.run([image])[0])
    if form.quantize == "int8":
        facts = draft.model_facts()
        fp32 = runner_of(draft, True, Settings.of(facts))
        reference = _answered(right, pictures, lambda image: fp32([image])[0])
        found = certified(results, reference, promises_of(draft), Options.of(facts))
        return replace(found, told=told)
    tries = [judged(results, confidence)]
    if first_id and not named:
        tries.append(judged([(_shifted(truths, first_id), r) for truths, r in results], confidence))
    return next((one for one in tries if one.word == "right"), tries[0])


def _answered(
    right: Mapping[str, Sequence[Truth]], pictures: Path, run: Callable[[NDArray[np.uint8]], Result]
) -> list[tuple[list[Truth], Result]]:
    results = []
    for name in right:
        image = picture(pictures / name)
        height, width = image.shape[:2]
        seen = [clipped(one, width, height) for one in right[name]]
        results.append((seen, run(image)))
    return results


def certified(bundle: Answers, fp32: Answers, promises: Sequence[Promise], options: Options) -> Outcome:
    """Say what an int8 bundle's answers are worth: wrong where FP32's are, and where the certificate promises more than
    is measured.
    """
    read = judged(fp32, options.confidence)
    likeness = _likeness(bundle, options.confidence)
    verdicts = _verdicts(bundle)
    if read.word != "right":
        # FP32 gives the verdicts that the bundle's rule makes of its answers.
        return replace(read, why=f"in FP32: {read.why}", verdicts=verdicts, likeness=likeness)
    promise = kept(promises, bundle, fp32, options)
    if promise is None or promise.kept:
        return Outcome("right", "", verdicts, likeness, promise)
    why = (
        f"the certificate states {promise.metric} {promise.stated:.2f}, at least {promise.bound:.2f}, and "
        f"{promise.measured:.2f} was measured"
    )
    return Outcome("WRONG", why, verdicts, likeness, promise)


def judged(results: Answers, confidence: float) -> Outcome:
    """Say what FP32's answers are worth: wrong ones are silent wherever a verdict came with them."""
    likeness, verdicts = _likeness(results, confidence), _verdicts(results)
    # Boxes are in pixels of the input, of which a picture may have many for each: a known one may lie a few beside.
    apart = likeness.box < _OVERLAP or likeness.mask < _MASKS or likeness.score > _SCORE or likeness.point > _POINT
    if likeness.f1 >= _ALIKE and not apart:
        return Outcome("right", "", verdicts, likeness)
    told = f"{likeness.found} of {likeness.right} found, {likeness.wrong} wrong{_worst(likeness)}"
    if verdicts == "NO_READ":
        return Outcome("said", f"judges nothing ({told})", verdicts, likeness)
    return Outcome("WRONG", told, verdicts, likeness)


def _likeness(results: Answers, confidence: float) -> Likeness:
    return compare([(truths, _answers(result, confidence)) for truths, result in results], confidence)


def _verdicts(results: Answers) -> str:
    return "/".join(sorted({result.verdict for _, result in results}))


def _worst(likeness: Likeness) -> str:
    """The worst of what was compared, as far as it is not exact."""
    found = [f"overlap {likeness.box:.2f}"] if likeness.box < 0.995 else []
    found += [f"masks {likeness.mask:.2f}"] if likeness.mask < 0.995 else []
    found += [f"score {likeness.score:.2f}"] if likeness.score > 0.005 else []
    found += [f"points {likeness.point:.1f} px"] if likeness.point > _POINT else []
    return "".join(f", {one}" for one in found)


def picture(path: Path) -> NDArray[np.uint8]:
    """Read a picture as BGR."""
    image = cv2.imread(str(path))
    if image is None:
        raise DataError(f"{path}: cannot be read as a picture")
    return image.astype(np.uint8, copy=False)


def truths_of(result: Result) -> list[Truth]:
    """Return a bundle's answers as the right ones for a model that must answer the same; of anomalies the score."""
    found = _answers(result)
    return [_truth(one) for one in found if one.mask is None or result.score is None]


def _answers(result: Result, limit: float = 0.5) -> Sequence[Prediction]:
    """Return the predictions: the area of each class of pixels, small ones too, where they have classes; one of class 0
    with the score of the picture where a model gives that, and of class 1 the pixels of its map from `limit` on.
    """
    if result.score is not None:
        whole = Prediction(class_id=0, name="", confidence=result.score)
        if result.mask is None:
            return [whole]
        return [
            whole,
            Prediction(class_id=1, name="", confidence=1.0, mask=Mask(0, 0, result.mask >= round(limit * 255))),
        ]
    objects = any(found.area is None or found.mask is not None for found in result.predictions)
    if result.mask is not None and not objects:
        return [
            Prediction(name="", class_id=number, confidence=1.0, mask=Mask(0, 0, result.mask == number))
            for number in np.unique(result.mask).tolist()
            if number not in (_BACKGROUND, _VOID)
        ]
    return result.predictions


def clipped(truth: Truth, width: int, height: int) -> Truth:
    """Clip its box to the picture, as a bundle does; some families' own code does not.

    A turned box outside is clipped to nothing: it counts for nobody, but is one of the most that its package gives.
    """
    if _beside(truth, width, height):
        return replace(truth, oriented=(), box=(0.0, 0.0, 0.0, 0.0))
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
