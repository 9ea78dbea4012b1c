"""golden.npz: a few real inputs with the outputs expected of them, small enough to travel with the bundle.

Arrays in the file:
    image_00, image_01, ...   uint8 [bytes]: an encoded JPEG or PNG of one input, already fitted to the model's size
    input_NAME                [samples, *shape]: the whole tensor of an input that is no image
    output_NAME               [samples, values]: expected values of an output, flattened for each sample
    index_NAME                int64 [values]: which flat positions these are (absent: all of them)
"""

from __future__ import annotations

import dataclasses
import tokenize
import zipfile
import zlib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray

from edge_runtime.errors import BundleError
from edge_runtime.manifest import Preprocess, TensorSpec
from edge_runtime.preprocess import Preprocessor

__all__ = [
    "MAX_VALUES",
    "GoldenSample",
    "compare",
    "decode_feeds",
    "encode_image",
    "load_golden",
    "read_golden",
    "sampled_index",
]

Arrays = Mapping[str, NDArray[np.generic]]
_MAX_BYTES = 256 << 20
_MAX_ARRAYS = 4096
# What a damaged archive or array header makes zipfile and numpy raise.
_UNREADABLE = (
    OSError,
    ValueError,
    SyntaxError,
    LookupError,
    EOFError,
    RuntimeError,
    MemoryError,
    tokenize.TokenError,
    zipfile.BadZipFile,
    zlib.error,
)
# Outputs larger than this are represented by this many of their values.
MAX_VALUES = 2048


@dataclass(frozen=True)
class GoldenSample:
    """The inputs of one run and, by output name, the expected values at flat `positions` (None: all)."""

    feeds: dict[str, NDArray[np.generic]]
    expected: dict[str, NDArray[np.generic]]
    positions: dict[str, NDArray[np.generic] | None]


def encode_image(image: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """Encode a fitted image [H, W, C]: as JPEG (quality 92), or as PNG where that is smaller (binary scans)."""
    jpeg = cv2.imencode(".jpg", image, [cv2.IMWRITE_JPEG_QUALITY, 92])[1]
    png = cv2.imencode(".png", image, [cv2.IMWRITE_PNG_COMPRESSION, 9])[1]
    return np.asarray(png if png.size < jpeg.size else jpeg, np.uint8).reshape(-1)


def load_golden(path: Path) -> dict[str, NDArray[np.generic]]:
    """Read every array of a golden.npz; BundleError for one that is damaged or unpacks to more than 256 MiB."""
    try:
        with zipfile.ZipFile(path) as archive:
            members = archive.infolist()
            size = sum(member.file_size for member in members)
            if size > _MAX_BYTES or len(members) > _MAX_ARRAYS:
                raise BundleError(
                    f"{path} unpacks to {len(members)} arrays of {size} bytes, allowed are {_MAX_ARRAYS} and "
                    f"{_MAX_BYTES}; do not use this bundle"
                )
        with np.load(path, allow_pickle=False) as arrays:
            return {name: np.asarray(arrays[name]) for name in arrays.files}
    except _UNREADABLE as error:
        raise BundleError(f"{path} is no readable .npz file ({error}); copy the bundle again") from error


def decode_feeds(encoded: NDArray[np.generic], preprocess: Preprocess) -> NDArray[np.generic]:
    """Return the input tensor [1, ...] of an encoded, already fitted image."""
    image = cv2.imdecode(np.asarray(encoded, np.uint8), cv2.IMREAD_COLOR)
    if image is None:
        raise BundleError("golden.npz holds an image that cannot be decoded; copy the bundle again")
    # The image has the model's size already: stretching is the identity, fitting it again need not be.
    fitted = dataclasses.replace(preprocess, fit="stretch", resize_short=0)
    return Preprocessor(fitted).batch([np.asarray(image, np.uint8)])[0]


def sampled_index(size: int, seed: int = 0) -> NDArray[np.int64] | None:
    """Return MAX_VALUES seeded positions of a flat output of `size` values, or None when all are kept."""
    if size <= MAX_VALUES:
        return None
    return np.sort(np.random.default_rng(seed).choice(size, MAX_VALUES, replace=False)).astype(np.int64)


def read_golden(arrays: Arrays, image_input: TensorSpec, preprocess: Preprocess | None) -> Iterator[GoldenSample]:
    """Yield the samples of a golden.npz; a graph whose batch is fixed gets its image in every place."""
    batch = image_input.shape[0] if image_input.shape else 1
    outputs = {name.removeprefix("output_"): values for name, values in arrays.items() if name.startswith("output_")}
    count = min((len(values) for values in outputs.values()), default=0)
    for sample in range(count):
        feeds = {
            name.removeprefix("input_"): values[sample] for name, values in arrays.items() if name.startswith("input_")
        }
        if (key := f"image_{sample:02d}") in arrays:
            if preprocess is None:
                raise BundleError("golden.npz holds images, but the manifest declares no pre-processing")
            image = decode_feeds(arrays[key], preprocess)
            feeds[image_input.name] = np.repeat(image, batch, axis=0) if isinstance(batch, int) else image
        yield GoldenSample(
            feeds,
            {name: values[sample] for name, values in outputs.items()},
            {name: arrays.get(f"index_{name}") for name in outputs},
        )


def compare(sample: GoldenSample, outputs: Arrays) -> Sequence[float]:
    """Return the largest absolute difference from the expected values, one figure for each expected output."""
    found = []
    for name, expected in sample.expected.items():
        flat = np.asarray(outputs[name]).reshape(-1)
        positions = sample.positions[name]
        values = flat if positions is None else flat[np.asarray(positions, np.int64)]
        found.append(float(np.abs(values.astype(np.float64) - expected.astype(np.float64)).max(initial=0.0)))
    return found
