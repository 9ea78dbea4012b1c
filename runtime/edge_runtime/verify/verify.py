"""Whether a bundle answers on this device as its certificate says: its golden samples, run again, on what runs here.

Another CPU rounds otherwise, and rounding spreads: a ResNet-50 in int8 whose certificate says 20.6 dB is 23 dB from
its own recorded answers once a few roundings differ, while it stays as near to FP32 as it was. So not the bits are
compared but the noise against FP32, part by part of the outputs (boxes and scores apart). It may be twice (3 dB) what
it was where the bundle was exported: what is added by roundings of another kind is as much again at most, where what
must be refuted (8-bit sums that saturate, a damaged cache, a broken kernel) is ten times that and more.

What it was is the larger of the noise recorded on these very samples and the certificate's, on more of them. A figure
from k values scatters by sqrt(2 / k) of itself (chi-squared), so that three times that is granted beside. And nothing
is refuted for less noise than FP16 or TF32 arithmetic of an accelerator makes in a float model (_LEAST_DB). Where
FP32's values were not recorded, the distance from the bundle's own recorded answers is compared, by the same bound.

Beside the noise: no difference from the recorded answers may be far larger than the certificate's largest of that
output, and what the answers mean must be the same, but for what lies near a threshold (answer.py).

Tried with onnxruntime's optimizer off, which rounds otherwise everywhere: 21 to 64 dB from the recorded answers of six
int8 models, all confirmed. And under qemu as a processor without VNNI: a PCB detector whose first sums saturate is 8 dB
from FP32 instead of 39, refuted; with that layer in FP16, and for two models that hardly saturate, confirmed.
"""

from __future__ import annotations

import math
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from edge_runtime.bundle.bundle import Bundle
from edge_runtime.bundle.facts import ModelFacts
from edge_runtime.bundle.manifest import Manifest
from edge_runtime.bundle.parts import row_parts
from edge_runtime.bundle.postprocess_spec import Postprocess
from edge_runtime.errors import DataError, EngineError
from edge_runtime.ort.runner import Runner, check_feeds
from edge_runtime.verify.answer import compare_answers, read_answer
from edge_runtime.verify.golden import GoldenSample, read_golden
from edge_runtime.verify.verification import AnswerCheck, PartCheck, Verification, describe_machine

__all__ = ["verify"]

Array = NDArray[np.generic]
Bools = NDArray[np.bool_]

_MOST_DB = 120.0  # equal to the last bit, as the certificate writes it
_TWICE = 2.0
# Noise that is never refuted. Floats: FP16 and TF32 have 11 bits, 66 dB for one rounding. 8 bits: one step here and
# there. Wider integers are classes and indices, counted: a tenth of them may change places.
_LEAST_DB = {"float": 50.0, "byte": 30.0, "index": 10.0}
# Of a bundle that says nothing of an output: what a ruined one has.
_UNSAID_DB = 10.0
# The certificate's largest difference is over a few samples; roundings on both sides double it, and luck again.
_GAP_TIMES = 4.0
_LEAST_GAP = 0.01  # of the largest value
_RUNS, _SHORT_SECONDS = 5, 0.5


@dataclass
class _Sums:
    """Energies over samples, of one part of the outputs."""

    kind: str
    values: int = 0
    signal: float = 0.0
    noise: float = 0.0  # of what is found here, against what was recorded
    references: int = 0
    true_signal: float = 0.0
    recorded_noise: float = 0.0  # against FP32
    found_noise: float = 0.0
    gap: float = 0.0
    peak: float = 0.0
    strange: int = 0  # values that are NaN or infinite here only


def verify(runner: Runner, bundle: Bundle, arrays: Mapping[str, Array]) -> Verification:
    """Run the samples of a golden.npz (its arrays) through what runs the bundle's tensors, and judge the answers.

    Raises DataError where there is nothing to compare, BundleError
    for samples that cannot be read, EngineError when a run fails.
    """
    manifest, name = bundle.manifest, bundle.path.name
    sums: dict[str, _Sums] = {}
    shares: list[float] = []
    changes: list[str] = []
    seconds: list[float] = []
    count = 0
    feeds: Mapping[str, Array] = {}
    for sample in read_golden(arrays, manifest.inputs[0], manifest.preprocess):
        feeds = sample.feeds
        check_feeds(manifest.inputs, feeds)
        outputs = _timed(runner, feeds, seconds)
        changes += [change for change in _look(manifest.postprocess, sample, outputs, sums) if change]
        if sample.answer is not None:
            share, change = _meaning(manifest, sample.answer, outputs)
            shares.append(share)
            changes += [f"sample {count + 1}: {change}"] if change else []
        count += 1
    if not (sums or shares or changes):
        raise DataError(
            f"nothing can be verified: golden.npz of {name} holds no answers; export it again with edge-export"
        )
    while seconds[0] < _SHORT_SECONDS and len(seconds) < _RUNS:
        _timed(runner, feeds, seconds)
    parts = tuple(_check(manifest, part, found) for part, found in sums.items())
    answers = AnswerCheck(manifest.postprocess.task, sum(shares) / len(shares)) if shares else None
    # The first run is slower: buffers are made.
    warm = sorted(seconds[1:] or seconds)[len(seconds[1:] or seconds) // 2]
    return Verification(
        bundle=name,
        bundle_sha256=bundle.sha256,
        machine=describe_machine(runner.providers),
        samples=count,
        parts=parts,
        answers=answers,
        changes=tuple(dict.fromkeys(changes)),
        ms_per_frame=1000.0 * warm / (manifest.inputs[0].batch or 1),
        certificate=manifest.certificate,
        exported_with=manifest.provenance.onnxruntime,
        integers=any(node.precision == "int8" for node in manifest.precision),
    )


def _timed(runner: Runner, feeds: Mapping[str, Array], seconds: list[float]) -> dict[str, Array]:
    started = time.perf_counter()
    outputs = runner.run(feeds)
    seconds.append(time.perf_counter() - started)
    return outputs


def _meaning(facts: ModelFacts, recorded: Array, outputs: Mapping[str, Array]) -> tuple[float, str]:
    try:
        found = read_answer(facts, outputs)
    except EngineError as error:
        return 0.0, f"the answer cannot be read here ({error})"
    if found is None:
        return 0.0, "the recorded answer means nothing to this bundle"
    likeness = compare_answers(facts, recorded, found)
    return likeness.share, likeness.change


def _look(
    post: Postprocess, sample: GoldenSample, outputs: Mapping[str, Array], sums: dict[str, _Sums]
) -> Iterator[str]:
    """Add one sample's outputs to the sums; yields what cannot be compared, in words."""
    for name, values in sample.expected.items():
        recorded = values.reshape(-1)
        if name not in outputs:
            yield f"there is no output {name!r} here"
            continue
        found = outputs[name]
        if np.iscomplexobj(recorded) and not np.iscomplexobj(found):
            yield f"output {name!r} was {recorded.dtype}, here it is {found.dtype}"
            continue
        positions = sample.positions[name]
        where = np.arange(recorded.size) if positions is None else np.asarray(positions, np.int64)
        if where.size != recorded.size or where.min(initial=0) < 0 or found.size <= where.max(initial=-1):
            # How many boxes a graph gives itself depends on the last bit; what they mean is compared in any case.
            yield "" if sample.answer is not None else f"output {name!r} has only {found.size} values here"
            continue
        for part, chosen in _parts(post, name, found.shape, where):
            kind = "float" if found.dtype.kind in "fc" else "byte" if found.dtype.itemsize == 1 else "index"
            total = sums.setdefault(part, _Sums(kind))
            here = found.reshape(-1)[where]
            _add(total, recorded[chosen], here[chosen])
            if name in sample.reference:
                _add_reference(total, sample, name, here, chosen)


def _add(total: _Sums, recorded: Array, found: Array) -> None:
    a, b = _numbers(recorded, found)
    finite = np.isfinite(a)
    strange = finite & ~np.isfinite(b)
    total.strange += int(strange.sum())
    a, b = a[finite & ~strange], b[finite & ~strange]
    total.values += a.size
    total.signal += _energy(total.kind, a)
    total.noise += _distance(total.kind, a, b)
    total.gap = max(total.gap, float(np.abs(a - b).max(initial=0.0)))
    total.peak = max(total.peak, float(np.abs(a).max(initial=0.0)))


def _add_reference(total: _Sums, sample: GoldenSample, name: str, values: Array, chosen: Bools) -> None:
    within = np.asarray(sample.within[name], np.int64)
    truth = sample.reference[name].reshape(-1)
    if np.iscomplexobj(truth) and not np.iscomplexobj(values):
        return
    if within.size != truth.size or within.max(initial=-1) >= values.size or within.min(initial=0) < 0:
        return  # of a bundle that somebody wrote otherwise: without FP32's values, as a bundle of before
    mine = chosen[within]
    expected = sample.expected[name].reshape(-1)
    t, a, b = _numbers(*(array[mine] for array in (truth, expected[within], values[within])))
    finite = np.isfinite(t) & np.isfinite(a) & np.isfinite(b)
    t, a, b = t[finite], a[finite], b[finite]
    total.references += t.size
    total.true_signal += _energy(total.kind, t)
    total.recorded_noise += _distance(total.kind, t, a)
    total.found_noise += _distance(total.kind, t, b)


def _numbers(*arrays: Array) -> tuple[NDArray[np.float64], ...]:
    """Flat arrays as floats; where one is complex, the parts of each number beside each other."""
    if any(map(np.iscomplexobj, arrays)):
        return tuple(np.ascontiguousarray(array, np.complex128).view(np.float64) for array in arrays)
    return tuple(array.astype(np.float64) for array in arrays)


def _energy(kind: str, values: NDArray[np.float64]) -> float:
    return float(values.size if kind == "index" else np.square(values).sum())


def _distance(kind: str, one: NDArray[np.float64], other: NDArray[np.float64]) -> float:
    return float(np.count_nonzero(one != other) if kind == "index" else np.square(one - other).sum())


def _parts(post: Postprocess, name: str, shape: tuple[int, ...], where: NDArray[np.int64]) -> list[tuple[str, Bools]]:
    """Which of the flat positions belong to which part of an output."""
    rows = row_parts(post, shape)
    if rows is None:
        return [(name, np.ones(where.size, np.bool_))]
    axis, parts = rows
    columns = np.unravel_index(where, shape)[axis]
    return [(f"{name} {part}", np.isin(columns, places)) for part, places in parts.items()]


def _check(manifest: Manifest, part: str, sums: _Sums) -> PartCheck:
    figures = {row.metric: row.bundle for row in manifest.accuracy}
    certified = figures.get(f"sqnr_db {part}")
    largest = figures.get(f"max_abs_diff {part}")  # told of whole outputs: a box's pixels say nothing of a score
    with_fp32 = sums.references > 0
    recorded = _decibels(sums.recorded_noise, sums.true_signal) if with_fp32 else None
    known = [figure for figure in (recorded, certified) if figure is not None] or [_UNSAID_DB]
    count = max(sums.references if with_fp32 else sums.values, 1)
    granted = 10.0 * math.log10(_TWICE * (1.0 + 3.0 * math.sqrt(2.0 / count)))
    allowed_gap = None
    if largest is not None and sums.kind == "float":
        allowed_gap = _GAP_TIMES * max(largest, _LEAST_GAP * sums.peak)
    return PartCheck(
        name=part,
        values=sums.values,
        deviation_db=_decibels(sums.noise, sums.signal),
        fp32_db=_decibels(sums.found_noise, sums.true_signal) if with_fp32 else None,
        recorded_db=recorded,
        certified_db=certified,
        needed_db=min(*known, _LEAST_DB[sums.kind]) - granted,
        largest_gap=sums.gap,
        allowed_gap=allowed_gap,
        not_finite=sums.strange,
    )


def _decibels(noise: float, signal: float) -> float:
    """10 log10(signal / noise), at most _MOST_DB; a signal of nothing counts as 1."""
    ratio = noise / (signal or 1.0)
    return _MOST_DB if ratio <= 10 ** (-_MOST_DB / 10) else round(-10.0 * math.log10(ratio), 2)
