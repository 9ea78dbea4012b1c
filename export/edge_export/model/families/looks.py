"""FP32's answers to a few pictures as they are, and moved a little: what the pass that recognises asks of a reading."""

from __future__ import annotations

import dataclasses
import functools
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from edge_export.model.families.family import Reading
from edge_export.model.families.moves import Order, order_of, shifted, step_of
from edge_export.model.families.plausible import Look, Opinion, judge
from edge_export.run import ProtoSession, open_session
from edge_export.state import Draft, KnownFacts
from edge_runtime.bundle.facts import ModelFacts
from edge_runtime.bundle.postprocess_spec import Detect
from edge_runtime.bundle.preprocess_spec import Preprocess
from edge_runtime.errors import EngineError
from edge_runtime.vision.postprocess.candidates import Candidates
from edge_runtime.vision.postprocess.detect import candidates
from edge_runtime.vision.preprocess import Preprocessor

__all__ = ["Eyes", "Images"]

Images = Sequence[NDArray[np.uint8]]
_MOVED = 2  # pictures, each to the right and downwards
_LEAST = 0.02
_CLEAR = 0.25


class Eyes:
    """FP32's answers to pictures, once for each pre-processing. Those that are not `real` were made up."""

    def __init__(self, draft: Draft, images: Images, real: bool) -> None:
        self._draft, self._images, self.real = draft, images, real
        self._looks: dict[Preprocess, list[Look]] = {}
        self._moved: dict[tuple[Preprocess, int, int], Look] = {}

    def judge(self, known: KnownFacts, reading: Reading | None = None) -> Opinion:
        """What the pictures say of the facts' way to read the model."""
        facts = dataclasses.replace(self._draft, facts=known).model_facts()
        return judge(facts, self._see(facts), reading, self.real)

    def order(self, known: KnownFacts) -> Order:
        """In which order a box's numbers are, as pictures tell that are moved; "" where they do not."""
        facts = dataclasses.replace(self._draft, facts=known).model_facts()
        post, spec = facts.postprocess, facts.preprocess
        if not self.real or spec is None or not isinstance(post, Detect):
            return ""
        size = (spec.width, spec.height)
        axes = (3, 2) if spec.layout == "nchw" else (2, 1)
        seen = []
        try:
            before = [_read(post, facts, look) for look in self._see(facts)]
            clear = [index for index, found in enumerate(before) if (found.scores >= _CLEAR).any()]
            for index in clear[:_MOVED]:
                for axis, side, way in zip(axes, size, (1, -1), strict=True):
                    step = step_of(side)
                    if step * 2 <= side:
                        after = _read(post, facts, self._see_moved(facts, spec, index, axis, step))
                        seen.append((before[index], after, size, way * step))
        except EngineError:  # it cannot be read so
            return ""
        return order_of(post, seen)

    def all_fit(self, spec: Preprocess) -> bool:
        """Whether all pictures have the input's own form, so that to stretch or to letterbox them is the same."""
        wanted = spec.width / spec.height
        return self.real and all(abs(image.shape[1] / image.shape[0] / wanted - 1) < 0.01 for image in self._images)

    @functools.cached_property
    def _session(self) -> ProtoSession:
        """Opened when the first question is asked: of what flags have told, without pictures, there is none."""
        return ProtoSession(open_session(self._draft.reference))

    def _see(self, facts: ModelFacts) -> list[Look]:
        spec = facts.preprocess
        if spec is None:
            return []
        if spec not in self._looks:
            preprocessor = Preprocessor(spec)
            looks = []
            for image in self._images:
                tensor, places = preprocessor.batch([image])
                looks.append(Look(self._run(facts, tensor), places[0]))
            self._looks[spec] = looks
        return self._looks[spec]

    def _see_moved(self, facts: ModelFacts, spec: Preprocess, index: int, axis: int, step: int) -> Look:
        if (spec, index, axis) not in self._moved:
            tensor, places = Preprocessor(spec).batch([self._images[index]])
            self._moved[spec, index, axis] = Look(self._run(facts, shifted(tensor, axis, step)), places[0])
        return self._moved[spec, index, axis]

    def _run(self, facts: ModelFacts, tensor: NDArray[np.generic]) -> dict[str, NDArray[np.generic]]:
        return self._session.run({facts.inputs[0].name: np.repeat(tensor, facts.batch or 1, axis=0)})


def _read(post: Detect, facts: ModelFacts, look: Look) -> Candidates:
    return candidates(post, facts, look.answers, [look.place] * (facts.batch or 1), _LEAST)[0]
