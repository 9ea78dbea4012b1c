"""What good pictures of one scene look like, as numbers in a file: learnt by learn.py, held by watch.py."""

from __future__ import annotations

import base64
import binascii
import json
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Literal

import numpy as np

from edge_runtime.errors import UsageError
from edge_runtime.files.atomic import write_text
from edge_runtime.files.schema import SchemaError, from_json, to_json
from edge_runtime.inspect.health.measures import CELLS, TONES, VIEW

if TYPE_CHECKING:
    from numpy.typing import NDArray

__all__ = ["Limits", "Place", "read_limits", "write_limits"]

_LISTS = {
    "tones_most": TONES,
    "levels_least": CELLS * CELLS,
    "levels_most": CELLS * CELLS,
    "textures_least": CELLS * CELLS,
}
_LARGEST = 1 << 20  # bytes of a file of limits


@dataclass(frozen=True)
class Place:
    """Where the scene lies: a small picture of it, and by which part of the picture it may lie elsewhere.

    `view`: VIEW x VIEW bytes of gray, base64. Below `sureness` nothing is said: what is seen is too different.
    """

    view: str
    shift: float
    sureness: float

    def __post_init__(self) -> None:
        try:
            size = len(base64.b64decode(self.view, validate=True))
        except (binascii.Error, ValueError) as error:
            raise ValueError("view is not base64") from error
        if size != VIEW * VIEW:
            raise ValueError(f"view has {size} bytes, expected {VIEW * VIEW}")
        if not (0 < self.shift < 1 and 0 < self.sureness <= 1):
            raise ValueError(f"shift {self.shift} and sureness {self.sureness} are not between 0 and 1")

    @cached_property
    def pixels(self) -> NDArray[np.float32]:
        """The view as float32 [VIEW, VIEW]."""
        return np.frombuffer(base64.b64decode(self.view), np.uint8).reshape(VIEW, VIEW).astype(np.float32)


@dataclass(frozen=True)
class Limits:
    """What a picture must keep to; see Measures for the units. Cells go row by row.

    As many as `odd_cells` of a picture may be lighter, darker or duller than they are in any good picture. Where the
    scene moves that is said of few; `dull_cells`: as many may have less contrast than `texture`, wherever they are.
    """

    schema: Literal[1]
    pictures: int
    darkest: float
    brightest: float
    black: float
    white: float
    sharpness: float
    tones_most: tuple[float, ...]
    levels_least: tuple[float, ...]
    levels_most: tuple[float, ...]
    textures_least: tuple[float, ...]
    odd_cells: int
    texture: float
    dull_cells: int
    place: Place | None = None

    def __post_init__(self) -> None:
        for name, count in _LISTS.items():
            if len(getattr(self, name)) != count:
                raise ValueError(f"{name} has {len(getattr(self, name))} values, expected {count}")
        if self.pictures < 1 or min(self.odd_cells, self.dull_cells) < 0:
            raise ValueError("pictures, odd_cells and dull_cells are counts")
        if not self.darkest < self.brightest:
            raise ValueError(f"darkest {self.darkest} is not below brightest {self.brightest}")

    def line(self) -> str:
        """What was learnt, in a sentence."""
        place = "place not learnt, the scene moves" if self.place is None else f"shift {self.place.shift:.1%} at most"
        return (
            f"learnt from {self.pictures} pictures: brightness {max(self.darkest, 0):.0f} to "
            f"{min(self.brightest, 255):.0f}, sharpness {self.sharpness:.2f} or more, {place}, "
            f"{self.odd_cells} of {CELLS * CELLS} fields may differ"
        )

    def cells(self, name: Literal["levels_least", "levels_most", "textures_least"]) -> NDArray[np.float32]:
        """Return one of the lists as float32 [CELLS, CELLS]."""
        return np.array(getattr(self, name), np.float32).reshape(CELLS, CELLS)


def read_limits(path: Path) -> Limits:
    """Read a file of limits. Raises UsageError, which names it."""
    try:
        with path.open("rb") as file:
            text = file.read(_LARGEST + 1)
        if len(text) > _LARGEST:
            raise ValueError(f"larger than {_LARGEST} bytes")
        return from_json(Limits, json.loads(text))
    except OSError as error:
        raise UsageError(f"cannot read the limits in {path}: {error.strerror or error}") from error
    except (SchemaError, ValueError, RecursionError) as error:
        raise UsageError(f"{path} holds no limits of --learn-health: {error}") from error


def write_limits(path: Path, limits: Limits) -> None:
    """Write a file of limits. Raises OutputError."""
    write_text(path, json.dumps(to_json(limits), indent=1) + "\n")
