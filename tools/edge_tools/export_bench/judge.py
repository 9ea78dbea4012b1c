"""Judges .onnx files of one subject: the child process that runs them, whoever wrote them, through the same code.

Reads one line of JSON for each file from standard input, writes one line for each to standard output. A graph that
takes onnxruntime down takes this process down, and nothing else.
"""

from __future__ import annotations

import dataclasses
import json
import math
import sys
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from edge_export.evaluate.data.calibration import choose_images
from edge_export.evaluate.scores import Options, compare, fidelity, measuring_settings, tensor_fidelity
from edge_export.state import Score
from edge_runtime.bundle.facts import ModelFacts, VerdictRule
from edge_runtime.bundle.postprocess_spec import Raw
from edge_runtime.errors import EdgelineError
from edge_runtime.ort.session import SessionOptions, SessionRunner
from edge_runtime.results import Result
from edge_runtime.vision.preprocess import Preprocessor
from edge_runtime.vision.runner import VisionRunner
from edge_tools.export_bench.images import judged_images, labelled_images
from edge_tools.export_bench.places import Places
from edge_tools.export_bench.subjects import SUBJECTS, Subject

__all__ = ["Judge", "Judged", "Remembered", "facts_for"]

_SQNR_IMAGES = 16
_LEADING = ("map33", "map50", "top1", "miou")
_THREADS = 2


@dataclass(frozen=True)
class Judged:
    """The leading figure of a model; `change` is that less FP32's, with its 95 % interval (paired bootstrap).

    Without labels the leading figure is the fidelity itself, and `fp32` is None. `sqnr_db`: of the worst output.
    """

    metric: str
    value: float
    images: int
    fp32: float | None = None
    change: float | None = None
    low: float | None = None
    high: float | None = None
    fidelity: dict[str, float] = field(default_factory=dict)
    sqnr_db: float | None = None


class Remembered:
    """A runner that keeps its answers: FP32 is asked the same for each exporter."""

    def __init__(self, runner: VisionRunner) -> None:
        self._runner = runner
        self._answers: dict[bytes, Result] = {}

    def __call__(self, images: list[NDArray[np.uint8]]) -> list[Result]:
        """Return the answers, each image run only once."""
        answers = []
        for image in images:
            key = image.tobytes()[:: max(1, image.size // 4096)] + str(image.shape).encode()
            if key not in self._answers:
                self._answers[key] = self._runner([image])[0]
            answers.append(self._answers[key])
        return answers


class Judge:
    """One subject's FP32 graph and the images that others' answers are compared on."""

    def __init__(self, subject: Subject, fp32: Path, places: Places, seen: Sequence[Path], limit: int) -> None:
        self._session = _open(fp32)
        self._facts = facts_for(subject, self._session)
        self._reference = Remembered(_runner(self._facts, self._session))
        self._labelled = labelled_images(subject, places, seen, limit)
        self._images = (
            judged_images(subject, places, seen)
            if self._labelled is None
            else [item.path for item in self._labelled.items]
        )

    def judge(self, model: Path) -> Judged:
        """Return a model's figures. Raises an EdgelineError for one that does not run or answers in another form."""
        session = _open(model)
        noise = self._noise(session)
        if isinstance(self._facts.postprocess, Raw):
            return Judged("sqnr_db", noise, min(len(self._images), _SQNR_IMAGES), sqnr_db=noise)
        runner = _runner(self._facts, session)
        task = self._facts.postprocess.task
        options = Options(self._facts.labels, self._facts.thresholds.confidence, task=task)
        if self._labelled is None:
            scores = fidelity(self._reference, runner, self._images, task, options).scores
            lead = scores[0]
            return Judged(lead.metric, lead.value, lead.images, fidelity=_by_name(scores), sqnr_db=noise)
        both = compare(self._reference, runner, self._labelled, options)
        place = next(index for index, score in enumerate(both.fp32) if score.metric in _LEADING)
        before, after, change = both.fp32[place], both.bundle[place], both.difference[place]
        return Judged(
            after.metric, after.value, after.images, before.value, change.value, change.low, change.high,
            _by_name(both.fidelity), noise,
        )  # fmt: skip

    def _noise(self, session: SessionRunner) -> float:
        """Return the SQNR in dB of the output that suffers most, on the first images."""
        assert self._facts.preprocess is not None  # every subject takes images
        spec, chosen = self._facts.inputs[0], self._images[:_SQNR_IMAGES]
        preprocessor = Preprocessor(self._facts.preprocess)
        samples = choose_images(chosen[0].parent, chosen, spec, preprocessor, 0, 0)
        scores = tensor_fidelity(self._session.run, session.run, samples)
        return min((score.value for score in scores if not math.isnan(score.value)), default=math.nan)


def facts_for(subject: Subject, session: SessionRunner) -> ModelFacts:
    """Return the facts that tell the runner how images go in and answers come out."""
    return ModelFacts(
        inputs=session.inputs,
        outputs=session.outputs,
        preprocess=subject.preprocess,
        postprocess=subject.postprocess,
        labels=subject.labels,
        thresholds=subject.thresholds,
        verdict=VerdictRule(),
    )


def _open(path: Path) -> SessionRunner:
    return SessionRunner(path, SessionOptions(device="cpu", threads=_THREADS))


def _runner(facts: ModelFacts, session: SessionRunner) -> VisionRunner:
    # An exporter may have fixed a free batch dimension; images go one by one.
    first = dataclasses.replace(facts.inputs[0], shape=(1, *facts.inputs[0].shape[1:]))
    return VisionRunner(dataclasses.replace(facts, inputs=(first,)), session, measuring_settings(facts))


def _by_name(scores: Sequence[Score]) -> dict[str, float]:
    return {score.metric: score.value for score in scores}


def main() -> None:
    """Answer until standard input ends. Arguments: one JSON object."""
    asked = json.loads(sys.argv[1])
    places = Places(Path(asked["data"]), Path(asked["cache"]))
    seen = [Path(path) for path in Path(asked["seen"]).read_text().splitlines()]
    judge = Judge(SUBJECTS[asked["subject"]], Path(asked["fp32"]), places, seen, asked["limit"])
    for line in sys.stdin:
        try:
            answer: dict[str, object] = {"judged": asdict(judge.judge(Path(json.loads(line))))}
        except EdgelineError as error:
            answer = {"problem": str(error)}
        sys.stdout.write(json.dumps(answer) + "\n")
        sys.stdout.flush()


if __name__ == "__main__":
    main()
