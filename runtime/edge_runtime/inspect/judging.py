"""The model's part of the way of a frame: images in, results out."""

from __future__ import annotations

import dataclasses
from collections.abc import Generator, Sequence
from typing import TYPE_CHECKING

from edge_runtime.errors import DataError
from edge_runtime.inspect.sources.base import Frame
from edge_runtime.results import Result, RunCall

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

__all__ = ["judge"]


def judge(run_images: RunCall, frames: Sequence[Frame], most: int | None = None) -> list[tuple[Frame, Result]]:
    """Return each frame with its result. One without an image is NO_READ and never reaches the model.

    When the engine refuses a picture, that one alone becomes a frame with an error. The pieces of frames that are
    looked at in pieces (`Frame.looking`) go to the engine together, `most` at once.
    """
    try:
        if any(frame.looking is not None for frame in frames):
            results = iter(_in_pieces(run_images, [frame for frame in frames if frame.image is not None], most))
        else:
            images = [frame.image for frame in frames if frame.image is not None]
            results = iter(run_images(images) if images else ())
    except DataError as error:
        if len(frames) == 1:
            unread = dataclasses.replace(frames[0], image=None, error=str(error), looking=None)
            return judge(run_images, [unread])
        return [pair for frame in frames for pair in judge(run_images, [frame], most)]
    return [(frame, _no_read(frame) if frame.image is None else next(results)) for frame in frames]


def _no_read(frame: Frame) -> Result:
    return Result("NO_READ", (frame.error or "no image",), ())


def _in_pieces(run_images: RunCall, frames: Sequence[Frame], most: int | None) -> list[Result]:
    """Ask each frame for its pieces until each has its answer; what several ask for runs together."""
    ways = [_steps(frame) for frame in frames]
    answers: dict[int, Result] = {}
    told: dict[int, Sequence[Result] | None] = dict.fromkeys(range(len(frames)))
    while told:
        asked: dict[int, Sequence[NDArray[np.uint8]]] = {}
        for number, results in told.items():
            try:
                asked[number] = next(ways[number]) if results is None else ways[number].send(results)
            except StopIteration as end:
                answers[number] = end.value
        pieces = [piece for each in asked.values() for piece in each]
        size = most or max(len(pieces), 1)
        found = [result for start in range(0, len(pieces), size) for result in run_images(pieces[start : start + size])]
        told, start = {}, 0
        for number, each in asked.items():
            told[number] = found[start : start + len(each)]
            start += len(each)
    return [answers[number] for number in range(len(frames))]


def _steps(frame: Frame) -> Generator[Sequence[NDArray[np.uint8]], Sequence[Result], Result]:
    image = frame.image
    if image is None:
        raise ValueError("a frame without an image is not judged")
    if frame.looking is not None:
        return frame.looking.steps(image)
    return _whole(image)


def _whole(image: NDArray[np.uint8]) -> Generator[Sequence[NDArray[np.uint8]], Sequence[Result], Result]:
    (result,) = yield [image]
    return result
