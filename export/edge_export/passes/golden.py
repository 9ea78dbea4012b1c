"""Golden: a few calibration samples with the finished bundle's own answers, for the device to check itself by."""

from __future__ import annotations

import dataclasses
import itertools
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from edge_export.data.calibration import ImageCalibration, SmoothImages
from edge_export.draft import Draft, Feeds, Golden, Progress
from edge_export.ort import open_session, run
from edge_runtime.golden import decode_feeds, encode_image, sampled_index
from edge_runtime.preprocess import Preprocessor

__all__ = ["make_golden"]

SAMPLES = 2
# Raw tensors hardly compress: beyond this, one sample has to do.
LARGE_BYTES = 1 << 20


def make_golden(draft: Draft, progress: Progress) -> Draft:
    """Fill `golden` from the first samples of the calibration set."""
    arrays: Feeds = {}
    feeds = list(_image_feeds(draft, arrays)) or _tensor_feeds(draft, arrays)
    session = open_session(draft.model)
    answers = [run(session, feed) for feed in feeds]
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
    return replace(draft, golden=Golden(arrays))


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
    batch = draft.inputs[0].shape[0]
    for image in itertools.islice(calibration.images(), SAMPLES):
        fitted: NDArray[np.uint8] = np.empty(canvas.shape, np.uint8)
        canvas.write(image, fitted)
        encoded = encode_image(fitted)
        arrays[f"image_{len(feeds):02d}"] = encoded
        tensor = decode_feeds(encoded, preprocess)
        feeds.append({draft.inputs[0].name: tensor if isinstance(batch, str) else np.repeat(tensor, batch, axis=0)})
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
