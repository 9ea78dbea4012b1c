"""Training data: batches out of a stream of samples, shuffled in a buffer of bounded size; a few samples held back."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from edge_export.qat.ops.resize import linear_along
from edge_runtime.bundle.preprocess_spec import Preprocess
from edge_runtime.errors import DataError

__all__ = ["Batches", "as_tensors", "image_axes"]

_BUFFER_BYTES = 256 << 20
_SMALLEST_PART = 0.6  # of an image's sides, when a part is shown in full size
Sample = Mapping[str, NDArray[np.generic]]


class Batches:
    """Endless shuffled batches of `size` samples from `samples`, which is iterated again and again.

    Samples are shuffled within what fits _BUFFER_BYTES; data that fits as a whole is read once. `axes`: the dimensions
    (height, width) of images that may be varied, None for data that is taken as it is. A teacher answers whatever it
    is shown, so images are varied boldly (Beyer et al., "A good teacher is patient and consistent", arXiv 2106.05237):
    half are mirrored, all are zoomed, half are mixed with another.
    """

    def __init__(self, samples: Iterable[Sample], size: int, seed: int, axes: tuple[int, int] | None = None) -> None:
        self._samples, self._size, self._axes = samples, size, axes
        self._random = np.random.default_rng(seed)

    def __iter__(self) -> Iterator[dict[str, Tensor]]:
        left: list[Sample] = []
        for chunk in self._chunks():
            left += chunk
            left = [left[i] for i in self._random.permutation(len(left))]
            while len(left) >= self._size:
                yield self._batch(left[: self._size])
                left = left[self._size :]

    def _chunks(self) -> Iterator[list[Sample]]:
        """Yield the samples for ever, as many at once as the buffer holds."""
        while True:
            chunk: list[Sample] = []
            parts, held = 0, 0
            for sample in self._samples:
                chunk.append(sample)
                held += sum(array.nbytes for array in sample.values())
                if held >= _BUFFER_BYTES:
                    yield chunk
                    chunk, held, parts = [], 0, parts + 1
            if not chunk and not parts:
                raise DataError(
                    "the training data holds no samples; an iterator gives them once, use a list or a loader"
                )
            yield chunk
            while not parts:  # all of it is in memory
                yield chunk

    def _batch(self, chosen: list[Sample]) -> dict[str, Tensor]:
        rows = [{name: self._varied(value) for name, value in as_tensors(sample).items()} for sample in chosen]
        batch = {name: torch.cat([row[name] for row in rows]) for name in rows[0]}
        return {name: self._mixed(value) for name, value in batch.items()}

    def _varied(self, image: Tensor) -> Tensor:
        """Return an image mirrored by chance, and a part of it in its full size."""
        if self._axes is None:
            return image
        if self._random.random() < 0.5:
            image = image.flip(self._axes[1])
        if image.is_floating_point():
            share = self._random.uniform(_SMALLEST_PART, 1.0)
            for axis in self._axes:
                length = (image.shape[axis] - 1) * share
                start = self._random.uniform(0, image.shape[axis] - 1 - length)
                image = linear_along(image, axis, np.linspace(start, start + length, image.shape[axis]))
        return image

    def _mixed(self, images: Tensor) -> Tensor:
        """Return the batch with half of its images mixed with the next one."""
        if self._axes is None or not images.is_floating_point() or len(images) < 2:
            return images
        shares = self._random.uniform(0, 1, len(images)) * (self._random.random(len(images)) < 0.5)
        other = torch.from_numpy(shares.astype(np.float32)).reshape(-1, *[1] * (images.ndim - 1))
        return images * (1 - other) + images.roll(1, 0) * other


def as_tensors(sample: Sample) -> dict[str, Tensor]:
    """Return a sample's arrays as tensors that own their memory."""
    return {name: torch.from_numpy(np.array(array)) for name, array in sample.items()}


def image_axes(preprocess: Preprocess | None) -> tuple[int, int] | None:
    """Return the dimensions of height and width of an image input; None where the input is no image."""
    return None if preprocess is None else ((2, 3) if preprocess.layout == "nchw" else (1, 2))
