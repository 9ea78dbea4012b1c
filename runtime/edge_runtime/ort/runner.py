"""What runs a model's tensors, whatever is behind it: a whole graph, lanes of it, blocks within a limit, providers."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractContextManager
from typing import Protocol, runtime_checkable

import numpy as np
from numpy.typing import NDArray

from edge_runtime.bundle.facts import TensorSpec
from edge_runtime.errors import DataError

__all__ = ["Arrays", "AtOnce", "Interruptible", "Runner", "Tensors", "Urgent", "check_feeds", "shapes_agree"]

Arrays = Mapping[str, NDArray[np.generic]]
Tensors = dict[str, NDArray[np.generic]]
# Asked between two blocks: gives what to do before the run goes on, which may itself run; None: nothing.
Urgent = Callable[[], "Callable[[], None] | None"]


class Runner(Protocol):
    """Named tensors in, named tensors out. Whoever opened it closes it."""

    @property
    def providers(self) -> tuple[str, ...]:
        """onnxruntime's names of what computes, the first one preferred."""
        ...

    def run(self, feeds: Arrays) -> Tensors:
        """Return every output; it may be a view that holds until the next run. Raises EngineError."""
        ...

    def room(self, name: str, shape: tuple[int, ...], dtype: np.dtype[np.generic]) -> NDArray[np.generic]:
        """Return the array that the next run's input of this name is best written into."""
        ...

    def stop(self) -> None:
        """Make a run that is under way end soon, where it can; from any thread. Nothing runs afterwards."""
        ...

    def close(self) -> None:
        """Free everything, when no run is under way; running again is an error."""
        ...


@runtime_checkable
class Interruptible(Protocol):
    """What a runner of blocks can do beside: let other runs in between two blocks of one."""

    @property
    def preemptible(self) -> bool:
        """Whether it can, as it was opened."""
        ...

    def interruptible(self, urgent: Urgent) -> AbstractContextManager[None]:
        """Let the runs inside be interrupted by what `urgent` gives."""
        ...


class AtOnce:
    """The parts of a Runner for what runs as a whole: inputs lie anywhere, and a run goes on to its end."""

    def room(self, _name: str, shape: tuple[int, ...], dtype: np.dtype[np.generic]) -> NDArray[np.generic]:
        """Return a new array."""
        return np.empty(shape, dtype)

    def stop(self) -> None:
        """Leave a run that is under way to its end."""


def check_feeds(specs: Sequence[TensorSpec], feeds: Arrays) -> None:
    """Raise DataError for an input that is missing, for what is no array, a wrong type or a wrong shape."""
    for spec in specs:
        value = feeds.get(spec.name)
        wanted = f"{spec.dtype} {list(spec.shape)}"
        if value is None:
            found = ", ".join(map(repr, feeds)) or "none"
            raise DataError(f"input {spec.name!r} ({wanted}) is missing; found {found}")
        if not isinstance(value, np.ndarray):
            raise DataError(f"input {spec.name!r}: expected a numpy array, {wanted}, found {type(value).__name__}")
        if str(value.dtype) != spec.dtype or not shapes_agree(spec.shape, value.shape):
            raise DataError(f"input {spec.name!r}: expected {wanted}, found {value.dtype} {list(value.shape)}")


def shapes_agree(shape: tuple[int | str, ...], other: tuple[int | str, ...]) -> bool:
    """Whether two shapes agree where both have numbers."""
    return len(shape) == len(other) and all(
        a == b or isinstance(a, str) or isinstance(b, str) for a, b in zip(shape, other, strict=True)
    )
