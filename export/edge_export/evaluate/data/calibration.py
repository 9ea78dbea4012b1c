"""Calibration data: what the model is shown so that the ranges of its activations can be measured.

A set is iterated as often as wanted and yields one sample at a time, a dict of arrays by input name with the
batch dimension included, so its memory is one sample whatever the folder's size.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray

from edge_export.evaluate.data.arrays import ArrayMember, open_members, read_samples
from edge_export.evaluate.data.images import IMAGE_SUFFIXES, find_images, listed_lines, read_image, spread
from edge_export.model.interface import check_fit
from edge_export.state import CalibrationSet, Feeds
from edge_export.text import printable
from edge_runtime.bundle.facts import TensorSpec
from edge_runtime.bundle.preprocess_spec import Preprocess
from edge_runtime.errors import DataError, UsageError
from edge_runtime.vision.preprocess import Preprocessor

__all__ = [
    "ImageCalibration",
    "NpzCalibration",
    "RandomCalibration",
    "SmoothImages",
    "choose_images",
    "list_images",
    "open_calibration",
]

Image = NDArray[np.uint8]  # height x width x 3, BGR


@dataclass(frozen=True)
class ImageCalibration:
    """Readable image files, pre-processed exactly as the device will."""

    paths: tuple[Path, ...]
    input: TensorSpec
    preprocessor: Preprocessor
    description: str
    notes: tuple[str, ...]

    def __len__(self) -> int:
        return len(self.paths)

    def images(self) -> Iterator[Image]:
        """Yield the images as they are read."""
        for path in self.paths:
            image = read_image(path)
            if image is None:
                raise DataError(f"{path} was readable a moment ago and is not any more; check the storage it lies on")
            yield image

    def __iter__(self) -> Iterator[Feeds]:
        return (_as_sample(image, self.input, self.preprocessor) for image in self.images())


@dataclass(frozen=True)
class SmoothImages:
    """Made-up images: colours that change slowly, as photographs' do. They show what a model does with pixels
    where there are no real ones; noise would not, its values are far from those that a model ever sees.
    """

    input: TensorSpec
    preprocessor: Preprocessor
    seed: int = 0
    count: int = 4
    notes: tuple[str, ...] = ("calibrated on made-up images: ranges of real ones differ",)

    @property
    def description(self) -> str:
        """Say plainly that these are no photographs."""
        return f"made-up smooth images: {self.count} samples, seed {self.seed}"

    def __len__(self) -> int:
        return self.count

    def images(self) -> Iterator[Image]:
        """Yield seeded images of the model's own size: a few random colours, and the cubic surface through them."""
        generator = np.random.default_rng(self.seed)
        spec = self.preprocessor.spec
        for _ in range(self.count):
            rows, columns = (int(cells) for cells in generator.integers(4, 12, 2))
            coarse = generator.integers(0, 256, (rows, columns, 3), dtype=np.uint8)
            smooth = cv2.resize(coarse, (spec.width, spec.height), interpolation=cv2.INTER_CUBIC)
            yield np.asarray(smooth, np.uint8)

    def __iter__(self) -> Iterator[Feeds]:
        return (_as_sample(image, self.input, self.preprocessor) for image in self.images())


def _as_sample(image: Image, spec: TensorSpec, preprocessor: Preprocessor) -> Feeds:
    tensor, _ = preprocessor.batch([image])
    # A model made for a fixed batch sees the same image that many times: ranges do not change by it.
    return {spec.name: tensor if spec.batch in (None, 1) else np.repeat(tensor, spec.batch, axis=0)}


@dataclass(frozen=True)
class NpzCalibration:
    """Tensors out of an .npz file, for any inputs."""

    path: Path
    members: tuple[ArrayMember, ...]
    chosen: tuple[int, ...]
    description: str
    notes: tuple[str, ...] = ()

    def __len__(self) -> int:
        return len(self.chosen)

    def __iter__(self) -> Iterator[Feeds]:
        return read_samples(self.path, self.members, self.chosen)


@dataclass(frozen=True)
class RandomCalibration:
    """Noise. It runs a model that has no data at hand, but the ranges it gives are not those of real inputs.

    Floats are drawn from a normal distribution, integers evenly from 0..`integer_high` - 1 and bools evenly.
    A named dimension has the size given in `dimensions`, or 1.
    """

    inputs: tuple[TensorSpec, ...]
    seed: int = 0
    count: int = 8
    dimensions: Mapping[str, int] | None = None
    integer_high: int = 256
    notes: tuple[str, ...] = ("calibrated on random noise: ranges of real inputs differ",)

    @property
    def description(self) -> str:
        """Say plainly that this is noise."""
        return f"random noise: {self.count} samples, seed {self.seed}"

    def __len__(self) -> int:
        return self.count

    def __iter__(self) -> Iterator[Feeds]:
        generator = np.random.default_rng(self.seed)
        for _ in range(self.count):
            yield {spec.name: self._draw(generator, spec) for spec in self.inputs}

    def _draw(self, generator: np.random.Generator, spec: TensorSpec) -> NDArray[np.generic]:
        sizes = self.dimensions or {}
        shape = tuple(size if isinstance(size, int) else sizes.get(size, 1) for size in spec.shape)
        dtype = np.dtype(spec.dtype)
        if dtype.kind == "f":
            return np.asarray(generator.standard_normal(shape)).astype(dtype)
        if dtype.kind == "b":
            return np.asarray(generator.integers(0, 2, shape)).astype(dtype)
        if dtype.kind in "iu":
            high = min(self.integer_high, int(np.iinfo(dtype.name).max) + 1)
            return np.asarray(generator.integers(0, high, shape)).astype(dtype)
        raise DataError(f"input {spec.name!r} takes {spec.dtype}, for which no random data can be made; give an .npz")


def open_calibration(
    path: Path, inputs: Sequence[TensorSpec], preprocess: Preprocess | None, limit: int, seed: int
) -> CalibrationSet:
    """Open a folder of images, a text list of image files, or an .npz of tensors by input name.

    At most `limit` samples are taken (0: all), spread over the data by `seed`. Images that cannot be read are
    counted in `notes` and others taken in their place. Raises DataError when nothing usable is there,
    UsageError when images are given to a model that takes none.
    """
    if path.is_file() and path.suffix.lower() == ".npz":
        members = open_members(path, inputs)
        chosen = spread(members[0].count, limit, seed)
        text = f"{path.name}: {len(chosen)} of {members[0].count} samples, seed {seed}"
        return NpzCalibration(path, members, tuple(chosen), printable(text))
    candidates = list_images(path)
    if preprocess is None:
        raise UsageError(
            f"{path} holds images, but how an image becomes this model's input is not known; give --size "
            f"(and the "
            "other pre-processing flags), or an .npz of tensors"
        )
    if len(inputs) != 1:
        raise UsageError(
            f"the model has {len(inputs)} inputs ({', '.join(spec.name for spec in inputs)}) and images can "
            f"fill one; "
            "give --calibrate an .npz with an array for each"
        )
    preprocessor = Preprocessor(preprocess)
    check_fit(inputs[0], preprocessor)
    return choose_images(path, candidates, inputs[0], preprocessor, limit, seed)


def list_images(path: Path) -> list[Path]:
    """The image files of a folder or a text list, or the one that is given. Raises DataError where there are none."""
    if path.is_dir():
        if found := find_images(path):
            return found
        raise DataError(f"no images in {path}; looked for {', '.join(sorted(IMAGE_SUFFIXES))} in it and below")
    if not path.is_file():
        raise DataError(f"{path} is not there; --calibrate takes a folder of images, a list of them, or an .npz")
    if path.suffix.lower() in IMAGE_SUFFIXES:
        return [path]
    listed = []
    for number, text in listed_lines(path):
        # Lines may carry a label behind the file's name ("dog.jpg, 3", "a.jpg a.txt"): the first word that is
        # an image.
        names = [text, *text.replace(",", " ").split()[:1]]
        image = next((path.parent / name for name in names if Path(name).suffix.lower() in IMAGE_SUFFIXES), None)
        if image is None:
            raise DataError(f"{path}:{number}: expected the path of an image, found {text[:60]!r}; mend the line")
        listed.append(image)
    if not listed:
        raise DataError(f"{path} lists no images; expected one path per line")
    return listed


def choose_images(
    path: Path, candidates: list[Path], spec: TensorSpec, preprocessor: Preprocessor, limit: int, seed: int
) -> ImageCalibration:
    """Take at most `limit` readable images (0: all) of those found at `path`. Raises DataError where none is."""
    chosen = spread(len(candidates), limit, seed)
    # Where a chosen image cannot be read, one not chosen takes its place, in a seeded order.
    rest = np.random.default_rng(seed).permutation(sorted(set(range(len(candidates))) - set(chosen))).tolist()
    kept: list[int] = []
    unreadable: list[int] = []
    for index in [*chosen, *rest]:
        if len(kept) == len(chosen):
            break
        (kept if read_image(candidates[int(index)]) is not None else unreadable).append(int(index))
    if not kept:
        raise DataError(f"none of the {len(unreadable)} images in {path} can be read; check the files")
    notes: tuple[str, ...] = ()
    if unreadable:
        names = ", ".join(candidates[index].name for index in unreadable[:3]) + (" ..." if len(unreadable) > 3 else "")
        notes = (f"{len(unreadable)} of {len(candidates)} images cannot be read, skipped: {names}",)
    label = f"{path.parent.name}/{path.name}" if path.parent.name else path.name
    text = f"{label}: {len(kept)} of {len(candidates)} images, seed {seed}"
    paths = tuple(candidates[index] for index in sorted(kept))
    return ImageCalibration(paths, spec, preprocessor, printable(text), notes)
