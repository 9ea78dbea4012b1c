"""Recognise: which row of the families table the model is of, confirmed on a few of the pictures that there are."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from edge_export.evaluate.data.calibration import SmoothImages, list_images
from edge_export.evaluate.data.images import find_images, read_image, spread
from edge_export.model.families import FAMILIES, Reading
from edge_export.model.families.common import FIT_UNTOLD, tells_pixels
from edge_export.model.families.looks import Eyes
from edge_export.model.families.moves import as_moved, objection, spoken
from edge_export.model.families.plausible import Opinion
from edge_export.model.families.unpublished import unpublished
from edge_export.model.flags import NO_VERDICT, background_untold, label_count, lay_over
from edge_export.model.interface import check_interface
from edge_export.model.metadata import GRAPH, GUESS, GUESSED_OUTPUTS, RAW, look
from edge_export.model.metadata.guess import Found
from edge_export.state import Draft, ExportOptions, KnownFacts, Progress
from edge_runtime.bundle.postprocess_spec import Detect
from edge_runtime.vision.preprocess import Preprocessor

__all__ = ["confirm_on_pictures"]

_PICTURES = 4


def confirm_on_pictures(draft: Draft, progress: Progress) -> Draft:
    """Try each reading of the answers on FP32's answers to real pictures; the one that can be true is known then.

    Two that both can be are named and judge nothing; where none can be, the model answers with raw tensors. Without
    pictures a guess stays one, less the readings that cannot even read what the model answers to made-up pictures.
    """
    facts, options = draft.facts, draft.options
    if len(draft.inputs) != 1 or facts.preprocess is None or facts.postprocess is None:
        return draft
    found = look(draft.model, draft.source.facts, options.flags, label_count(options.flags))
    images = _pictures(options)
    eyes = Eyes(draft, images or _made_up(draft), bool(images))
    with progress.step("recognise", 1) as advance:
        by_flags = facts.origin.get("postprocess") not in (GUESS, *(reading.told for reading in found.readings))
        checked = _checked(draft, eyes) if by_flags or not found.readings else _chosen(draft, found, eyes)
        advance()
    return checked


@dataclass(frozen=True)
class _Tried:
    """A reading, what pictures say of it, and what of its boxes was turned round because they move so ("" for none)."""

    reading: Reading
    opinion: Opinion
    turned: str = ""


def _chosen(draft: Draft, found: Found, eyes: Eyes) -> Draft:
    """The draft read as pictures leave it: rows that the file names first, those in which something was found next."""
    tried = [part for one in found.readings for part in _try(draft, found, eyes, one)]
    left = [one for one in tried if not one.opinion.against]
    told = [one for one in left if one.reading.told]
    doubted = next((one for one in tried if one.reading.told and one.opinion.against), None)
    wrong = ""
    if doubted is not None and not told:
        wrong = f"the file names {doubted.reading.family.name}, but {doubted.opinion.against}"
        left = [one for one in left if one.opinion.found]
        if not left and not doubted.opinion.unread:
            # What the file says is kept where pictures show no other way to read it: it may be poorly trained.
            return _unjudged(draft, wrong)
    if not left:
        other = _as_nobody_publishes(draft, found, eyes) if eyes.real else None
        against = [f"{one.reading.family.name}: {one.opinion.against}" for one in tried]
        return _raw(draft, against, wrong) if other is None else _read_as(draft, found, eyes, other, wrong)
    if told and told[0].reading is found.readings[0]:
        doubt = told[0].opinion.doubt
        return _unjudged(draft, f"the file names {told[0].reading.family.name}, but {doubt}") if doubt else draft
    left.sort(key=lambda one: (not one.reading.told, one.opinion.found == 0))
    return _read_as(draft, found, eyes, left, wrong)


def _as_nobody_publishes(draft: Draft, found: Found, eyes: Eyes) -> list[_Tried] | None:
    """The one order of columns in which the pictures find something; None where there is none, or another as well.

    What flags say of the layout is not tried otherwise.
    """
    if draft.options.flags.postprocess or draft.options.flags.family or not found.readings:
        return None
    tried = [part for one in unpublished(found.readings[0].match.shown) for part in _try(draft, found, eyes, one)]
    left = [one for one in tried if not one.opinion.against and one.opinion.found]
    return left[:1] if left and all(one.reading.postprocess == left[0].reading.postprocess for one in left) else None


def _read_as(draft: Draft, found: Found, eyes: Eyes, left: Sequence[_Tried], wrong: str) -> Draft:
    """The draft read as the first of those that are left; `wrong` is why not as the file says, "" where it says it."""
    readings, pictures = [one.reading for one in left], max(one.opinion.found for one in left)
    first, rivals = readings[0], [one for one in readings if one.told] or readings
    where = first.told or (f"{pictures} pictures" if pictures else GUESS)
    same = all(one.postprocess == first.postprocess for one in rivals)
    pixels = all(one.preprocess == first.preprocess for one in rivals) and not _unsure(first, eyes)
    inside = GRAPH if where == GUESS and tells_pixels(first.match.shown) else where
    origins = {"preprocess": inside if pixels else GUESS, "postprocess": where if same else GUESS}
    facts = _facts(draft, found, readings, origins)
    check_interface(facts, draft.inputs, draft.outputs)
    notes = [note for note in draft.notes if note not in draft.facts.notes]
    turned = left[0].turned
    if pictures and same and not first.told:
        order = f", but {turned}: so its boxes move where the pictures do" if turned else ""
        notes.append(
            f"the outputs are those of {first.family.name} ({first.family.source}){order}, as {pictures} pictures show"
        )
    warnings = (f"{wrong}: it is read as {first.family.name}{', turned' if turned else ''}",) if wrong else ()
    read = dataclasses.replace(draft, facts=facts, notes=(*notes, *facts.notes), warnings=(*draft.warnings, *warnings))
    if first.family.name not in {family.name for family in FAMILIES}:
        return _unjudged(read, f"only the pictures tell that the outputs are {first.family.name}")
    if wrong and turned:
        return _unjudged(read, "what the file says of its boxes is not how they move")
    doubt = left[0].opinion.doubt
    return _unjudged(read, f"the outputs are read as {first.family.name}, but {doubt}") if doubt else read


def _try(draft: Draft, found: Found, eyes: Eyes, one: Reading) -> Iterator[_Tried]:
    """Yield a reading and what pictures say of it, and after it the same with boxes in the order that these move in."""
    known, post = _facts(draft, found, [one], {}), one.postprocess
    opinion = eyes.judge(known, one)
    if open_question := background_untold(known, draft.outputs, draft.options.flags):
        opinion = dataclasses.replace(opinion, doubt=open_question)
    order = eyes.order(known) if opinion.found and isinstance(post, Detect) else ""
    against = objection(order)
    if not against or not isinstance(post, Detect):
        yield _Tried(one, dataclasses.replace(opinion, doubt="") if order else opinion)
        return
    if "box" in draft.options.flags.postprocess:
        yield _Tried(one, dataclasses.replace(opinion, doubt=against))
        return
    yield _Tried(one, Opinion(against))
    wanted = as_moved(post, order)
    if wanted is not None and all(wanted != other.postprocess for other in found.readings):
        other = dataclasses.replace(one, postprocess=wanted, told="")
        said = eyes.judge(_facts(draft, found, [other], {}), other)
        yield _Tried(other, dataclasses.replace(said, doubt=""), spoken(order))


def _unsure(reading: Reading, eyes: Eyes) -> bool:
    same = reading.unsure == FIT_UNTOLD and reading.preprocess is not None and eyes.all_fit(reading.preprocess)
    return bool(reading.unsure) and not same


def _facts(draft: Draft, found: Found, readings: Sequence[Reading], origins: dict[str, str]) -> KnownFacts:
    """What is known with the first of `readings`, flags on top."""
    several = origins.get("postprocess") == GUESS
    base = found.read_as(readings, {**origins, "thresholds": origins.get("postprocess", GUESS)}, looked=bool(origins))
    facts = lay_over(base, draft.options.flags, draft.inputs, several)
    pre = facts.preprocess
    if pre is not None and pre.dtype == "float16" and draft.inputs[0].dtype == "float32":
        facts = dataclasses.replace(facts, preprocess=dataclasses.replace(pre, dtype="float32"))
    return facts


def _checked(draft: Draft, eyes: Eyes) -> Draft:
    """The draft as it is, with a warning where what flags or the file say of the outputs can hardly be true."""
    opinion = eyes.judge(draft.facts) if eyes.real else Opinion("")
    against = opinion.against
    origin = draft.facts.origin.get("postprocess", "")
    by_author = origin.startswith("file ") or origin == "edgeline metadata"
    if opinion.found and not against:
        against = objection(eyes.order(draft.facts))
    if not against:
        untold = background_untold(draft.facts, draft.outputs, draft.options.flags)
        untold = "" if by_author else untold
        return _unjudged(draft, f"the answers are a segmentation's, but {untold}") if untold else draft
    warning = f"the outputs are read as {origin or 'flags'} say{'s' if origin else ''}, but {against}"
    if origin == "flag" or by_author:
        return dataclasses.replace(draft, warnings=(*draft.warnings, warning))
    return _unjudged(draft, warning)


def _unjudged(draft: Draft, warning: str) -> Draft:
    """The draft without its verdict rule, which labelled images may give back."""
    wanted = draft.facts.verdict or draft.facts.unconfirmed
    facts = dataclasses.replace(draft.facts, verdict=None, unconfirmed=wanted)
    without = f"{warning}: the bundle has no verdict rule; labelled images that it is right on (--evaluate) give it one"
    return dataclasses.replace(draft, facts=facts, warnings=(*draft.warnings, without))


def _raw(draft: Draft, against: Sequence[str], wrong: str = "") -> Draft:
    """The draft as of a model that answers with raw tensors; what was noted of its guess goes with it."""
    facts = draft.facts
    note = f"{RAW}, no guess of what they mean fits; set --task and its flags: {'; '.join(against[:4])}"
    kept = (
        kept for kept in draft.notes if kept not in facts.notes or not kept.startswith((GUESSED_OUTPUTS, NO_VERDICT))
    )
    facts = dataclasses.replace(facts, postprocess=None, thresholds=None, verdict=None, unconfirmed=None)
    warnings = (f"{wrong}: the bundle answers with raw tensors",) if wrong else ()
    return dataclasses.replace(draft, facts=facts, notes=(*kept, note), warnings=(*draft.warnings, *warnings))


def _pictures(options: ExportOptions) -> list[NDArray[np.uint8]]:
    """A few of the calibration's pictures, else of those to evaluate on."""
    paths = []
    if options.calibrate is not None and options.calibrate.suffix.lower() != ".npz":
        paths = list_images(options.calibrate)
    elif options.evaluate is not None and options.evaluate.is_dir():
        paths = find_images(options.evaluate)
    read = (read_image(paths[index]) for index in spread(len(paths), _PICTURES, options.seed))
    return [image for image in read if image is not None]


def _made_up(draft: Draft) -> list[NDArray[np.uint8]]:
    spec = draft.facts.preprocess
    return list(SmoothImages(draft.inputs[0], Preprocessor(spec), draft.options.seed, 2).images()) if spec else []
