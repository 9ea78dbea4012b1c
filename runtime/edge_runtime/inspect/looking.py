"""How a picture is looked at that is not judged as it is: in pieces, which may go on from the answers for others."""

from __future__ import annotations

from collections.abc import Generator, Sequence
from typing import TYPE_CHECKING, Any, Protocol

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from edge_runtime.results import Result

__all__ = ["Looking"]


class Looking(Protocol):
    """Goes with a frame. Its pieces are judged together with those of others, as many at once as the policy says."""

    def steps(self, image: NDArray[np.uint8]) -> Generator[Sequence[NDArray[np.uint8]], Sequence[Result], Result]:
        """Yield pictures to be judged, be sent a result for each, and so on; return the result for the whole picture.

        Nothing is kept of it before it returns: it is begun anew where another picture was refused. Raises DataError
        for a picture that cannot be looked at so.
        """
        ...

    def to_json(self) -> dict[str, Any]:
        """What a record says of it."""
        ...
