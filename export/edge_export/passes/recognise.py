"""Recognise: which row of the families table the model is of, confirmed on a few of the pictures that there are."""

from __future__ import annotations

import dataclasses
import functools
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from edge_export.evaluate.data.calibration import SmoothImages, list_images
from edge_export.evaluate.data.images import find_images, read_image, spread
from edge_export.model.families import Reading
from edge_export.model.families.plausible import Look, Opinion, judge
from edge_export.model.flags import NO_VERDICT, label_count, lay_over
from edge_export.model.interface import check_interface
from edge_export.model.metadata import GUESS, GUESSED_OUTPUTS, RAW, look
from edge_export.model.metadata.guess import Found
from edge_export.run import ProtoSession, open_session
from edge_export.state import Draft, ExportOptions, KnownFacts, Progress
from edge_runtime.bundle.facts import ModelFacts
from edge_runtime.bundle.preprocess_spec import Preprocess
from edge_runtime.vision.preprocess import Preprocessor

__all__ = ["confirm_on_pictures"]

_PICTURES = 4
_Images = Sequence[NDArray[np.uint8]]


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
    eyes = _Eyes(draft, images or _made_up(draft), bool(images))
    with progress.step("recognise", 1) as advance:
        by_flags = facts.origin.get("postprocess") not in (GUESS, *(reading.told for reading in found.readings))
        checked = _checked(draft, eyes) if by_flags or not found.readings else _chosen(draft, found, eyes)
        advance()
    return checked


class _Eyes:
    """FP32's answers to pictures, once for each pre-processing."""

    def __init__(self, draft: Draft, images: _Images, real: bool) -> None:
        self._draft, self._images, self.real = draft, images, real
        self._looks: dict[Preprocess, list[Look]] = {}

    @functools.cached_property
    def _session(self) -> ProtoSession:
        """Opened when the first question is asked: of what flags have told, without pictures, there is none."""
        return ProtoSession(open_session(self._draft.reference))

    def judge(self, known: KnownFacts, reading: Reading | None = None) -> Opinion:
        """What the pictures say of the facts' way to read the model."""
        facts = dataclasses.replace(self._draft, facts=known).model_facts()
        return judge(facts, self._see(facts), reading, self.real)

    def _see(self, facts: ModelFacts) -> list[Look]:
        spec = facts.preprocess
        if spec is None:
            return []
        if spec not in self._looks:
            preprocessor, name, batch = Preprocessor(spec), facts.inputs[0].name, facts.batch or 1
            looks = []
            for image in self._images:
                tensor, places = preprocessor.batch([image])
                looks.append(Look(self._session.run({name: np.repeat(tensor, batch, axis=0)}), places[0]))
            self._looks[spec] = looks
        return self._looks[spec]


def _chosen(draft: Draft, found: Found, eyes: _Eyes) -> Draft:
    """The draft read as pictures leave it: rows that the file names first, those in which something was found next."""
    tried = [(one, eyes.judge(_facts(draft, found, [one], {}), one)) for one in found.readings]
    left = [(one, opinion) for one, opinion in tried if not opinion.against]
    told = [one for one, _ in left if one.told]
    doubted = next(((one, opinion) for one, opinion in tried if one.told and opinion.against), None)
    wrong = ""
    if doubted is not None and not told:
        wrong = f"the file names {doubted[0].family.name}, but {doubted[1].against}"
        left = [(one, opinion) for one, opinion in left if opinion.found]
        if not left and not doubted[1].unread:
            # What the file says is kept where pictures show no other way to read it: it may be poorly trained.
            return _unjudged(draft, wrong)
    if not left:
        return _raw(draft, [f"{one.family.name}: {opinion.against}" for one, opinion in tried], wrong)
    if told and told[0] is found.readings[0]:
        return draft
    left.sort(key=lambda pair: (not pair[0].told, pair[1].found == 0))
    readings, pictures = [one for one, _ in left], max(opinion.found for _, opinion in left)
    first, rivals = readings[0], told or readings
    where = first.told or (f"{pictures} pictures" if pictures else GUESS)
    same = all(one.postprocess == first.postprocess for one in rivals)
    pixels = all(one.preprocess == first.preprocess for one in rivals) and not first.family.unsure
    origins = {"preprocess": where if pixels else GUESS, "postprocess": where if same else GUESS}
    facts = _facts(draft, found, readings, origins)
    check_interface(facts, draft.inputs, draft.outputs)
    notes = [note for note in draft.notes if note not in draft.facts.notes]
    if pictures and same and not first.told:
        notes.append(
            f"the outputs are those of {first.family.name} ({first.family.source}), as {pictures} pictures show"
        )
    warnings = (f"{wrong}: it is read as {first.family.name}",) if wrong else ()
    return dataclasses.replace(draft, facts=facts, notes=(*notes, *facts.notes), warnings=(*draft.warnings, *warnings))


def _facts(draft: Draft, found: Found, readings: Sequence[Reading], origins: dict[str, str]) -> KnownFacts:
    """What is known with the first of `readings`, flags on top."""
    several = origins.get("postprocess") == GUESS
    base = found.read_as(readings, {**origins, "thresholds": origins.get("postprocess", GUESS)}, looked=bool(origins))
    facts = lay_over(base, draft.options.flags, draft.inputs, several)
    pre = facts.preprocess
    if pre is not None and pre.dtype == "float16" and draft.inputs[0].dtype == "float32":
        facts = dataclasses.replace(facts, preprocess=dataclasses.replace(pre, dtype="float32"))
    return facts


def _checked(draft: Draft, eyes: _Eyes) -> Draft:
    """The draft as it is, with a warning where what flags or the file say of the outputs can hardly be true."""
    against = eyes.judge(draft.facts).against if eyes.real else ""
    if not against:
        return draft
    origin = draft.facts.origin.get("postprocess", "")
    warning = f"the outputs are read as {origin or 'flags'} say{'s' if origin else ''}, but {against}"
    if origin == "flag" or origin.startswith("file ") or origin == "edgeline metadata":
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
