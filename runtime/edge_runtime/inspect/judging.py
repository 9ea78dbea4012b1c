"""The model's part of the way of a frame: images in, results out."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence

from edge_runtime.errors import DataError
from edge_runtime.inspect.sources.base import Frame
from edge_runtime.results import Result, RunCall

__all__ = ["judge"]


def judge(run_images: RunCall, frames: Sequence[Frame]) -> list[tuple[Frame, Result]]:
    """Return each frame with its result. One without an image is NO_READ and never reaches the model.

    When the engine refuses a picture, that one alone becomes a frame with an error.
    """
    images = [frame.image for frame in frames if frame.image is not None]
    try:
        results = iter(run_images(images) if images else ())
    except DataError as error:
        if len(frames) == 1:
            return judge(run_images, [dataclasses.replace(frames[0], image=None, error=str(error))])
        return [pair for frame in frames for pair in judge(run_images, [frame])]
    return [(frame, _no_read(frame) if frame.image is None else next(results)) for frame in frames]


def _no_read(frame: Frame) -> Result:
    return Result("NO_READ", (frame.error or "no image",), ())
