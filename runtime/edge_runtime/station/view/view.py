"""How a station looks at a picture: where, in which pieces, and how their answers become the picture's."""

from __future__ import annotations

import dataclasses
import itertools
from collections.abc import Generator, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import cv2
import numpy as np

from edge_runtime.bundle.facts import ModelFacts
from edge_runtime.bundle.postprocess_spec import Anomaly, Segment
from edge_runtime.errors import DataError, UsageError
from edge_runtime.inspect.room import FULL_HD
from edge_runtime.inspect.sources.base import Frame
from edge_runtime.inspect.sources.images import read_image
from edge_runtime.results import Result
from edge_runtime.station.view.gate import Gate, Outcome
from edge_runtime.station.view.joining import Joining, Piece, refusals
from edge_runtime.station.view.masks import mask_picture, masked_pixels, rect_of
from edge_runtime.station.view.register import Ecc, Features, Registering
from edge_runtime.station.view.settings import Reference, ViewSettings
from edge_runtime.station.view.tiling import Rect, tiles_of
from edge_runtime.vision.settings import Settings

if TYPE_CHECKING:
    from numpy.typing import NDArray

__all__ = ["Aim", "View", "facts_for", "moved_by", "referred"]

_MASKS = 4  # as drawn, as bools, as moved, of the picture before
_REGISTERING = 16 << 20  # pyramids, corners and what matches them, of reduced pictures

_METHODS: Mapping[str, type[Registering]] = {"features": Features, "ecc": Ecc}


@dataclass(eq=False)
class Aim:
    """What of one picture is judged (inspect/looking.py): pieces of `region` but for what is `masked`.

    `masked` is bool [height, width] of the whole picture, None where nothing of the region is. `moved`: by how many
    pixels the scene has moved at the most, None where nobody asked; `matrix`: a b c d e f, the reference's (x, y) is at
    (a x + b y + c, d x + e y + f).
    """

    region: Rect
    pieces: tuple[Piece, ...]
    masked: NDArray[np.bool_] | None
    joining: Joining
    moved: float | None = None
    matrix: tuple[float, ...] | None = None
    gate: Gate | None = None
    outcome: Outcome | None = None  # of the gate, once the picture was judged

    def steps(self, image: NDArray[np.uint8]) -> Generator[Sequence[NDArray[np.uint8]], Sequence[Result], Result]:
        """Yield the pieces, take their answers, return the picture's."""
        cuts = [self.cut(image, piece.rect) for piece in self.pieces]
        results: Sequence[Result]
        if self.gate is None:
            results = yield cuts
        else:
            rects, whole = [piece.rect for piece in self.pieces], self.cut(image, self.region)
            results, self.outcome = yield from self.gate.answers(rects, cuts, self.region, whole)
        return self.joining.whole(image.shape, self.region, self.pieces, results, self.masked)

    def cut(self, image: NDArray[np.uint8], rect: Rect) -> NDArray[np.uint8]:
        """A piece as the model sees it."""
        rows, columns = slice(rect.top, rect.bottom), slice(rect.left, rect.right)
        piece: NDArray[np.uint8] = image[rows, columns]
        paint = self.joining.paint
        if self.masked is None or paint is None or not (under := self.masked[rows, columns]).any():
            return piece
        painted: NDArray[np.uint8] = piece.copy()
        painted[under] = paint
        return painted

    def to_json(self) -> dict[str, Any]:
        """What a record says of it."""
        rect = self.region
        told: dict[str, Any] = {"region": [rect.left, rect.top, rect.width, rect.height], "tiles": len(self.pieces)}
        if self.masked is not None:
            told["masked"] = round(float(self.masked[rect.top : rect.bottom, rect.left : rect.right].mean()), 4)
        if self.moved is not None:
            told["moved"] = round(self.moved, 2)
        if self.outcome is not None and not self.outcome.whole:
            told["gate"] = {"judged": self.outcome.judged, "reused": self.outcome.reused, "passed": self.outcome.passed}
        return told


class View:
    """Aims at the pictures of one station. For one thread."""

    def __init__(
        self, wanted: ViewSettings, facts: ModelFacts, settings: Settings | None = None, gate: Gate | None = None
    ) -> None:
        """`gate`: what decides which pieces are judged; None: all are, whatever is wanted.

        `settings`: what of the model's answers the engine reports, where that is not as the bundle says. Raises
        UsageError for what this model cannot do, and for a mask or reference that cannot be read.
        """
        for _, why in refusals(wanted, facts):
            raise UsageError(why)
        self._wanted, self._gate = wanted, gate
        self._joining = Joining(facts, settings or Settings.of(facts))
        try:
            self._mask_picture = None if wanted.mask is None else mask_picture(wanted.mask)
            self._reference = None if wanted.reference is None else referred(wanted.reference)
        except DataError as error:
            raise UsageError(str(error)) from error
        self._still: tuple[tuple[int, ...], Aim] | None = None  # where nothing moves all pictures of a size have one

    @property
    def bytes(self) -> int:
        """What it takes beside pictures: masks, and what finds a reference. A size that nobody knows is full HD."""
        known = [array.shape for array in (self._mask_picture,) if array is not None]
        known += [] if self._reference is None else [self._reference.shape]
        pixels = max((shape[0] * shape[1] for shape in known), default=FULL_HD // 3)
        masks = 0 if self._wanted.mask is None else _MASKS * pixels
        return masks + (0 if self._reference is None else pixels + _REGISTERING)

    def of(self, frame: Frame) -> Frame:
        """Return the frame with what of it is judged; one that cannot be looked at so has the reason as its error."""
        if frame.image is None:
            return frame
        try:
            if frame.size is not None:
                raise DataError(
                    f"the memory limit leaves no room for the picture as it is ({frame.size[1]}x{frame.size[0]}), "
                    "and region, mask and tiles need it so; raise --memory-limit"
                )
            return dataclasses.replace(frame, looking=self._aim(frame.image))
        except DataError as error:
            return dataclasses.replace(frame, image=None, error=str(error), unfit=frame.image)

    def _aim(self, image: NDArray[np.uint8]) -> Aim:
        if self._reference is not None:
            rect = rect_of(self._wanted.region, *image.shape[:2])
            return self._aim_at(image.shape, self._reference.find(image, rect))
        if self._still is None or self._still[0] != image.shape:
            self._still = image.shape, self._aim_at(image.shape, None)
        return dataclasses.replace(self._still[1])  # each frame has its own outcome

    def _aim_at(self, shape: tuple[int, ...], place: _Place | None) -> Aim:
        height, width = shape[:2]
        rect = rect_of(self._wanted.region, height, width)
        if place is not None and self._wanted.region is not None:
            rect = place.rect(rect)
            if not rect.within(Rect(0, 0, width, height)):
                raise DataError(f"moved: by {place.furthest:.1f} pixels, and the region is not all in the picture")
        masked = self._masked(rect, height, width, place)
        pieces = tuple(
            piece
            for piece in _pieces(rect, self._wanted)
            if masked is None
            or not masked[piece.rect.top : piece.rect.bottom, piece.rect.left : piece.rect.right].all()
        )
        if not pieces:
            raise DataError("all of the region is masked: there is nothing to be judged")
        if place is None:
            return Aim(rect, pieces, masked, self._joining, gate=self._gate)
        matrix = tuple(float(value) for value in place.matrix.reshape(-1))
        return Aim(rect, pieces, masked, self._joining, place.furthest, matrix, self._gate)

    def _masked(self, rect: Rect, height: int, width: int, place: _Place | None) -> NDArray[np.bool_] | None:
        if self._wanted.mask is None:
            return None
        masked = masked_pixels(self._wanted.mask, self._mask_picture, height, width)
        if place is not None:
            moved = cv2.warpAffine(masked.view(np.uint8), place.matrix, (width, height), flags=cv2.INTER_NEAREST)
            masked = np.asarray(moved > 0)
        return masked if masked[rect.top : rect.bottom, rect.left : rect.right].any() else None


def moved_by(frame: Frame) -> tuple[float, ...] | None:
    """Return where the reference's places are in a picture (Aim.matrix); None: where they were."""
    return frame.looking.matrix if isinstance(frame.looking, Aim) else None


def facts_for(frame: Frame, facts: ModelFacts) -> ModelFacts:
    """Return a model's facts as they are of a whole picture, of which it saw a part at a time.

    The least area of what counts is a fraction of what the model sees; areas are fractions of the picture.
    """
    spec, aim = facts.postprocess, frame.looking
    if not isinstance(aim, Aim) or frame.image is None or not isinstance(spec, (Segment, Anomaly)):
        return facts
    largest = max(piece.rect.width * piece.rect.height for piece in aim.pieces)
    least = spec.min_area * largest / (frame.image.shape[0] * frame.image.shape[1])
    return dataclasses.replace(facts, postprocess=dataclasses.replace(spec, min_area=least))


def _pieces(rect: Rect, wanted: ViewSettings) -> list[Piece]:
    """The tiles of a region. Of what two of them see, each has the half that is nearer to its middle as its core."""
    if wanted.tiles is None:
        return [Piece(rect, rect)]
    tiles = tiles_of(rect, wanted.tiles.size, wanted.tiles.shared)
    across = _halves([(left, right) for left, right in sorted({(tile.left, tile.right) for tile in tiles})])
    down = _halves([(top, bottom) for top, bottom in sorted({(tile.top, tile.bottom) for tile in tiles})])
    pieces = []
    for tile in tiles:
        (left, right), (top, bottom) = across[tile.left], down[tile.top]
        pieces.append(Piece(tile, Rect(left, top, right, bottom)))
    return pieces


def _halves(spans: Sequence[tuple[int, int]]) -> dict[int, tuple[int, int]]:
    edges = [spans[0][0], *((left + end) // 2 for (_, end), (left, _) in itertools.pairwise(spans)), spans[-1][1]]
    return {left: core for (left, _), core in zip(spans, itertools.pairwise(edges), strict=True)}


@dataclass(frozen=True, eq=False)
class _Place:
    """Where the reference's pixels are in a picture: `matrix` [2, 3]; `furthest`: pixels that a corner has moved."""

    matrix: NDArray[np.float64]
    furthest: float

    def rect(self, rect: Rect) -> Rect:
        """Around what a rectangle of the reference has become, to the nearest pixel."""
        corners = np.rint(_corners(rect) @ self.matrix[:, :2].T + self.matrix[:, 2]).astype(int)
        (left, top), (right, bottom) = corners.min(axis=0), corners.max(axis=0)
        return Rect(int(left), int(top), int(right), int(bottom))


class _Referred:
    """A reference as pictures are held against it."""

    def __init__(self, reference: Reference) -> None:
        image = read_image(reference.picture)
        self._settings, self.shape = reference, image.shape
        self._registering = _METHODS[reference.method](image)

    def find(self, image: NDArray[np.uint8], rect: Rect) -> _Place:
        """Return where the scene is. Raises DataError where it has moved too far, or is not found."""
        height, width = self.shape[:2]
        if image.shape != self.shape:
            raise DataError(
                f"the reference {self._settings.picture} has {width}x{height} pixels, the picture "
                f"{image.shape[1]}x{image.shape[0]}"
            )
        matrix = self._registering.find(image)
        corners = _corners(rect)
        gone = np.hypot(*(corners @ matrix[:, :2].T + matrix[:, 2] - corners).T)
        furthest, most = float(gone.max()), self._settings.most * (width if self._settings.most <= 1 else 1)
        if furthest > most:
            raise DataError(f"moved: by {furthest:.1f} pixels, {most:.1f} are allowed")
        return _Place(matrix, furthest)


def referred(reference: Reference) -> _Referred:
    """Return what finds a reference in pictures. Raises DataError for one that cannot be read or known again."""
    return _Referred(reference)


def _corners(rect: Rect) -> NDArray[np.float64]:
    across, down = (rect.left, rect.right), (rect.top, rect.bottom)
    return np.array([(x, y) for x in across for y in down], np.float64)
