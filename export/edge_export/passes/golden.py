"""Golden: a few calibration samples with the finished bundle's own answers, for the device to check itself by.

FP32's answers to them lie beside, so that a device can tell its own distance from FP32 (verify.py of the runtime).
"""

from __future__ import annotations

import dataclasses
import itertools
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from edge_export.evaluate.data.calibration import ImageCalibration, SmoothImages
from edge_export.run import run_each
from edge_export.state import Draft, Feeds, Golden, Progress
from edge_runtime.errors import EngineError
from edge_runtime.verify.answer import read_answer
from edge_runtime.verify.golden import decode_feeds, encode_image, sampled_index, sampled_within
from edge_runtime.vision.preprocess import Preprocessor

__all__ = ["make_golden"]

SAMPLES = 2
# What images may take of a small model's bundle: beyond this, one has to do.
ROOM_BYTES, ROOM_SHARE = 24_000, 0.01
# Raw tensors hardly compress: beyond this, one sample has to do.
LARGE_BYTES = 1 << 20


def make_golden(draft: Draft, progress: Progress) -> Draft:
    """Fill `golden` from the first samples of the calibration set."""
    arrays: Feeds = {}
    feeds = list(_image_feeds(draft, arrays)) or _tensor_feeds(draft, arrays)
    answers, truths = run_each(draft.model, feeds), run_each(draft.reference, feeds)
    for name in answers[0] if answers else ():
        # An output whose size depends on the data (boxes after NMS) keeps what all samples have.
        flat = [np.asarray(answer[name]).reshape(-1) for answer in answers]
        size = min(len(values) for values in flat)
        if flat[0].dtype.kind not in "fiub":
            continue
        if len({len(values) for values in flat}) > 1:
            size = min(size, 2048)
        index = sampled_index(size)
        if index is None:
            arrays[f"output_{name}"] = np.stack([values[:size] for values in flat])
            if any(len(values) != size for values in flat):
                arrays[f"index_{name}"] = np.arange(size, dtype=np.int64)
        else:
            arrays[f"output_{name}"] = np.stack([values[index] for values in flat])
            arrays[f"index_{name}"] = index
        arrays.update(_references(name, arrays, [np.asarray(truth[name]).reshape(-1) for truth in truths]))
    arrays.update(_meanings(draft, answers, arrays))
    return replace(draft, golden=Golden(arrays))


def _references(name: str, arrays: Feeds, truths: list[NDArray[np.generic]]) -> Feeds:
    """FP32's values of an output; {} where their number depends on the data and they are fewer."""
    kept = arrays[f"output_{name}"].shape[1]
    within = sampled_within(kept)
    index = arrays.get(f"index_{name}")
    positions = within.astype(np.int64) if index is None else np.asarray(index, np.int64)[within]
    if any(positions.max(initial=-1) >= len(values) for values in truths):
        return {}
    return {f"reference_{name}": np.stack([values[positions] for values in truths]), f"within_{name}": within}


def _meanings(draft: Draft, answers: list[Feeds], arrays: Feeds) -> Feeds:
    """What the answers to images mean; {} where the bundle does not tell, or they cannot be read."""
    if "image_00" not in arrays:
        return {}
    facts = draft.model_facts()
    try:
        found = [read_answer(facts, answer) for answer in answers]
    except EngineError:  # what cannot be read here (NaN, as in FP32) is not asked of a device
        return {}
    return {f"answer_{number:02d}": answer for number, answer in enumerate(found) if answer is not None}


def _image_feeds(draft: Draft, arrays: Feeds) -> list[Feeds]:
    calibration, preprocess = draft.calibration, draft.facts.preprocess
    if not isinstance(calibration, (ImageCalibration, SmoothImages)) or preprocess is None:
        return []
    gray = preprocess.colour == "gray"
    channels = 1 if gray else 3
    canvas = Preprocessor(
        dataclasses.replace(
            preprocess,
            colour="gray" if gray else "bgr",
            scale=1.0,
            mean=(0.0,) * channels,
            std=(1.0,) * channels,
            layout="nhwc",
            dtype="uint8",
        )
    )
    feeds: list[Feeds] = []
    room = max(ROOM_BYTES, int(ROOM_SHARE * draft.source.fp32_bytes))
    batch = draft.inputs[0].batch
    for image in itertools.islice(calibration.images(), SAMPLES):
        fitted: NDArray[np.uint8] = np.empty(canvas.shape, np.uint8)
        canvas.write(image, fitted)
        encoded = encode_image(fitted)
        room -= encoded.nbytes
        if feeds and room < 0:
            break
        arrays[f"image_{len(feeds):02d}"] = encoded
        tensor = decode_feeds(encoded, preprocess)
        feeds.append({draft.inputs[0].name: tensor if batch is None else np.repeat(tensor, batch, axis=0)})
    return feeds


def _tensor_feeds(draft: Draft, arrays: Feeds) -> list[Feeds]:
    # Noise proves as much with one sample, and it does not compress.
    feeds = list(draft.samples(SAMPLES if draft.options.calibrate else 1))
    if sum(array.nbytes for feed in feeds for array in feed.values()) > LARGE_BYTES:
        feeds = feeds[:1]
    for spec in draft.inputs:
        values = [feed[spec.name] for feed in feeds]
        # One sample when their shapes differ: the file stacks them.
        if len({value.shape for value in values}) > 1:
            feeds = feeds[:1]
    for spec in draft.inputs:
        arrays[f"input_{spec.name}"] = np.stack([feed[spec.name] for feed in feeds])
    return feeds
