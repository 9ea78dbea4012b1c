"""The damaged files of a run: kinds x formats x severities, dealt out to the boards. Same seed, same files."""

from __future__ import annotations

import functools
import itertools
import json
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from edge_tools.damage.boards import Board
from edge_tools.damage.encode import FORMATS
from edge_tools.damage.harm import KINDS, Blow
from edge_tools.damage.rows import rows_missing

if TYPE_CHECKING:
    from numpy.typing import NDArray

__all__ = ["FILE_KINDS", "PIXEL_KINDS", "UNDAMAGED", "Variant", "dealt", "made", "undamaged", "write"]

UNDAMAGED = "undamaged"
PIXEL_KINDS = {"gray fill": 128, "black fill": 0}  # a whole file of a picture that an earlier decoder had filled
_TAIL = "tail of another"
FILE_KINDS = (*KINDS, "rows missing", *PIXEL_KINDS)


@dataclass(frozen=True)
class Variant:
    """One file: `board` is a number in the list of boards, 0 <= `severity` <= 1; `seed` draws the places."""

    number: int
    kind: str
    form: str
    board: int
    severity: float
    seed: int

    @property
    def name(self) -> str:
        """The file's name, by which its record is found."""
        return f"{self.number:05d}{FORMATS[self.form].suffix}"


def undamaged(boards: int, each: int = 2) -> list[Variant]:
    """Return every format as it should be, with some boards: what is missed here is no fault of the damage."""
    pairs = itertools.product(FORMATS, range(each))
    return [Variant(n, UNDAMAGED, form, (n * 7 + k) % boards, 0.0, n) for n, (form, k) in enumerate(pairs)]


def dealt(count: int, boards: int, seed: int, forms: Sequence[str] | None = None) -> Iterator[Variant]:
    """Yield variants without end of which `count` are meant to be made: some kinds do not fit some formats."""
    rng = np.random.default_rng(seed)
    cells = list(itertools.product(FILE_KINDS, forms or FORMATS))
    rounds = max(1, -(-count // len(cells)))
    for number in itertools.count():
        turn, place = divmod(number, len(cells))
        if place == 0:
            order = rng.permutation(len(cells))
        kind, form = cells[order[place]]
        share = (turn % rounds + rng.random()) / rounds
        yield Variant(number, kind, form, number % boards, 0.03 + 0.92 * share, int(rng.integers(2**31)))


def made(variant: Variant, boards: Sequence[Board]) -> bytes | None:
    """Return the variant's bytes; None where its kind does not fit its format or changes nothing."""
    board, form = boards[variant.board], FORMATS[variant.form]
    if variant.kind == UNDAMAGED:
        return form(board.picture, board.clean)
    if variant.kind == "rows missing":
        return rows_missing(form, board.picture, variant.severity)
    if variant.kind in PIXEL_KINDS:
        return form(_filled(board.picture, variant), board.clean)
    data = form(board.picture, board.clean)
    rng = np.random.default_rng(variant.seed)
    blow = Blow(data, functools.cache(lambda: form(board.clean, board.clean)), form.suffix, variant.severity, rng)
    damaged = KINDS[variant.kind](blow)
    whole = damaged == data or (variant.kind == _TAIL and damaged == blow.other())  # true of the one or the other
    return None if whole else damaged


def write(variants: Iterator[Variant], count: int, boards: Sequence[Board], folder: Path) -> list[Variant]:
    """Write the first `count` variants that can be made to a folder, and return them.

    A folder that was finished before is taken as it is; then as many variants are passed over.
    """
    listing = folder.with_suffix(".json")
    if listing.exists():
        known = [_variant(told) for told in json.loads(listing.read_text())["files"]]
        for _ in range(json.loads(listing.read_text())["taken"]):
            next(variants)
        return known
    folder.mkdir(parents=True, exist_ok=True)
    found: list[Variant] = []
    taken = 0
    while len(found) < count:
        variant = next(variants)
        taken += 1
        data = made(variant, boards)
        if data is not None:
            named = replace(variant, number=len(found))
            (folder / named.name).write_bytes(data)
            found.append(named)
    listing.write_text(json.dumps({"taken": taken, "files": [asdict(variant) for variant in found]}))
    return found


def _variant(told: dict[str, Any]) -> Variant:
    return Variant(told["number"], told["kind"], told["form"], told["board"], told["severity"], told["seed"])


def _filled(picture: NDArray[np.uint8], variant: Variant) -> NDArray[np.uint8]:
    filled: NDArray[np.uint8] = picture.copy()
    filled[int(len(picture) * (1 - variant.severity)) :] = PIXEL_KINDS[variant.kind]
    return filled
