"""From the sources that a user named to limits."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterator, Sequence
from contextlib import closing
from typing import TYPE_CHECKING

from edge_runtime.errors import DataError
from edge_runtime.inspect.health.dead import dead
from edge_runtime.inspect.health.learn import learn
from edge_runtime.inspect.health.limits import Limits
from edge_runtime.inspect.sources.open import open_source
from edge_runtime.inspect.sources.options import SourceOptions

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

__all__ = ["learn_from"]

_MOST = 200  # pictures of a camera, which would go on for ever


def learn_from(texts: Sequence[str], options: SourceOptions, most: int | None, stop: Callable[[], bool]) -> Limits:
    """Learn from all pictures of the sources, `most` of each at most (None: all; 200 of a camera).

    Raises SourceError, and DataError for a picture that cannot be read or shows nothing: such are not good ones.
    """
    return learn(picture for text in texts for picture in _pictures(text, options, most, stop))


def _pictures(
    text: str, options: SourceOptions, most: int | None, stop: Callable[[], bool]
) -> Iterator[NDArray[np.uint8]]:
    with closing(open_source(text, options, stop)) as source:
        limit = most or (_MOST if source.kind == "live" else None)
        for frame in itertools.islice(source, limit):
            if stop():
                return
            if frame.image is None:
                raise DataError(f"{frame.error}; good pictures are learnt from, leave this one out")
            if (reason := dead(frame.image)) is not None:
                raise DataError(
                    f"{frame.path or frame.stem} shows nothing: {reason}; leave it out of the good pictures"
                )
            yield frame.image
