"""golden.npz: a few real inputs with the outputs expected of them, small enough to travel with the bundle.

Arrays in the file:
    image_00, image_01, ...   uint8 [bytes]: an encoded JPEG or PNG of one input, already fitted to the model's size
    input_NAME                [samples, *shape]: the whole tensor of an input that is no image
    output_NAME               [samples, values]: expected values of an output, flattened for each sample
    index_NAME                int64 [values]: which flat positions these are (absent: all of them)
    reference_NAME            [samples, some]: what the FP32 model answers in place of some of the expected values
    within_NAME               uint16 [some]: in place of which of them
    answer_00, answer_01, ... what the bundle's answer to that image means (answer.py)

The last three are absent from bundles of earlier versions.
"""

from __future__ import annotations

import dataclasses
import hashlib
import io
import tokenize
import zipfile
import zlib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray

from edge_runtime.bundle.facts import TensorSpec
from edge_runtime.bundle.preprocess_spec import Preprocess
from edge_runtime.errors import BundleError
from edge_runtime.verify.picture_size import picture_size
from edge_runtime.vision.preprocess import Preprocessor

__all__ = [
    "MAX_REFERENCES",
    "MAX_VALUES",
    "GoldenSample",
    "compare",
    "decode_feeds",
    "encode_image",
    "load_golden",
    "read_golden",
    "sampled_index",
    "sampled_within",
]

Arrays = Mapping[str, NDArray[np.generic]]
_MAX_BYTES = 256 << 20
_MAX_ARRAYS = 4096
_SHOWN = 200  # characters of what zipfile says, which can quote the whole file
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
# FP32's answers only tell how much noise there is, and they double what noise takes in a small bundle.
MAX_REFERENCES = 512


@dataclass(frozen=True)
class GoldenSample:
    """The inputs of one run and, by output name, the expected values at flat `positions` (None: all).

    `reference` holds what FP32 answers in place of the expected values number `within`. `answer` is what the expected
    outputs mean, None where that is not known.
    """

    feeds: dict[str, NDArray[np.generic]]
    expected: dict[str, NDArray[np.generic]]
    positions: dict[str, NDArray[np.generic] | None]
    reference: dict[str, NDArray[np.generic]] = field(default_factory=dict)
    within: dict[str, NDArray[np.generic]] = field(default_factory=dict)
    answer: NDArray[np.generic] | None = None


def encode_image(image: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """Encode a fitted image [H, W, C]: as JPEG (quality 92), or as PNG where that is smaller (binary scans)."""
    jpeg = cv2.imencode(".jpg", image, [cv2.IMWRITE_JPEG_QUALITY, 92])[1]
    png = cv2.imencode(".png", image, [cv2.IMWRITE_PNG_COMPRESSION, 9])[1]
    return np.asarray(png if png.size < jpeg.size else jpeg, np.uint8).reshape(-1)


def load_golden(path: Path, sha256: str = "") -> dict[str, NDArray[np.generic]]:
    """Read every array of a golden.npz; BundleError for one that is damaged or unpacks to more than 256 MiB.

    With a `sha256` the very bytes that have it are parsed, and no others.
    """
    try:
        file: Path | io.BytesIO = path
        if sha256:
            data = path.read_bytes()
            if hashlib.sha256(data).hexdigest() != sha256:
                raise BundleError(f"{path} is damaged: its SHA-256 is not the manifest's; copy the bundle again")
            file = io.BytesIO(data)
        with zipfile.ZipFile(file) as archive:
            members = archive.infolist()
            size = sum(member.file_size for member in members)
            if size > _MAX_BYTES or len(members) > _MAX_ARRAYS:
                raise BundleError(
                    f"{path} unpacks to {len(members)} arrays of {size} bytes, allowed are {_MAX_ARRAYS} and "
                    f"{_MAX_BYTES}; do not use this bundle"
                )
        with np.load(file, allow_pickle=False) as arrays:
            return {name: np.asarray(arrays[name]) for name in arrays.files}
    except _UNREADABLE as error:
        raise BundleError(f"{path} is no readable .npz file ({str(error)[:_SHOWN]}); copy the bundle again") from error


def decode_feeds(encoded: NDArray[np.generic], preprocess: Preprocess) -> NDArray[np.generic]:
    """Return the input tensor [1, ...] of an encoded, already fitted image. Raises BundleError for any other."""
    data = encoded.tobytes() if encoded.dtype == np.uint8 else b""
    size = picture_size(data)
    if size != (preprocess.width, preprocess.height):
        found = "no JPEG or PNG" if size is None else f"an image of {size[0]}x{size[1]}"
        raise BundleError(
            f"golden.npz holds {found}, expected one of {preprocess.width}x{preprocess.height}; copy the bundle again"
        )
    try:
        image = cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_COLOR)
    except cv2.error as error:
        raise BundleError(f"golden.npz holds an image that cannot be decoded ({error.err})") from error
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


def sampled_within(kept: int, seed: int = 1) -> NDArray[np.uint16]:
    """Return which of `kept` expected values, MAX_VALUES at most, have FP32's beside them: seeded ones, or all."""
    if kept <= MAX_REFERENCES:
        return np.arange(kept, dtype=np.uint16)
    return np.sort(np.random.default_rng(seed).choice(kept, MAX_REFERENCES, replace=False)).astype(np.uint16)


def read_golden(arrays: Arrays, image_input: TensorSpec, preprocess: Preprocess | None) -> Iterator[GoldenSample]:
    """Yield the samples of a golden.npz; a graph whose batch is fixed gets its image in every place.

    Raises BundleError for arrays that are not what the file should hold.
    """
    _check_arrays(arrays)
    outputs = _named(arrays, "output_")
    within = _named(arrays, "within_")
    references = {name: values for name, values in _named(arrays, "reference_").items() if name in within}
    count = min((len(values) for values in (*outputs.values(), *references.values())), default=0)
    for sample in range(count):
        feeds = {
            name.removeprefix("input_"): values[sample] for name, values in arrays.items() if name.startswith("input_")
        }
        if (key := f"image_{sample:02d}") in arrays:
            if preprocess is None:
                raise BundleError("golden.npz holds images, but the manifest declares no pre-processing")
            image = decode_feeds(arrays[key], preprocess)
            batch = image_input.batch
            feeds[image_input.name] = image if batch is None else np.repeat(image, batch, axis=0)
        yield GoldenSample(
            feeds,
            {name: values[sample] for name, values in outputs.items()},
            {name: arrays.get(f"index_{name}") for name in outputs},
            {name: values[sample] for name, values in references.items()},
            {name: within[name] for name in references},
            arrays.get(f"answer_{sample:02d}"),
        )


def _check_arrays(arrays: Arrays) -> None:
    for name, values in arrays.items():
        rows = name.startswith(("input_", "output_", "reference_"))
        places = name.startswith(("index_", "within_"))
        if (rows and (not values.ndim or values.dtype.kind not in "fiubc")) or (
            places and (values.ndim != 1 or values.dtype.kind not in "iu")
        ):
            raise BundleError(
                f"golden.npz holds {name!r} of type {values.dtype}, shape {list(values.shape)}; copy the bundle again"
            )


def _named(arrays: Arrays, prefix: str) -> dict[str, NDArray[np.generic]]:
    return {name.removeprefix(prefix): values for name, values in arrays.items() if name.startswith(prefix)}


def compare(sample: GoldenSample, outputs: Arrays) -> Sequence[float]:
    """Return the largest absolute difference from the expected values, one figure for each expected output."""
    found = []
    for name, expected in sample.expected.items():
        flat = np.asarray(outputs[name]).reshape(-1)
        positions = sample.positions[name]
        values = flat if positions is None else flat[np.asarray(positions, np.int64)]
        wide = np.complex128 if np.iscomplexobj(values) or np.iscomplexobj(expected) else np.float64
        found.append(float(np.abs(values.astype(wide) - expected.astype(wide)).max(initial=0.0)))
    return found
