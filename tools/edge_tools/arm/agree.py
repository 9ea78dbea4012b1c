"""`python -m edge_tools.arm.agree BUNDLE HERE.npz THERE.npz`: whether two processors answer the same.

The files are edge_tools.arm.outputs'. The bound is the bundle's certificate, which says how far its int8 answers are
from FP32's: two processors must be nearer to each other than that, in the noise over all samples (dB) and in the
largest single difference. Both have a floor, for models whose certificate says that nothing was lost: the noise of
FP16 arithmetic, 50 dB, and a hundredth of the largest value.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

import click
import numpy as np
from numpy.typing import NDArray

from edge_runtime.bundle.bundle import read_bundle
from edge_runtime.bundle.manifest import Manifest
from edge_runtime.bundle.parts import row_parts
from edge_runtime.bundle.postprocess_spec import Postprocess
from edge_runtime.cli.console import run_command
from edge_runtime.errors import DataError, VerificationError
from edge_runtime.verify.answer import WORDS, compare_answers

__all__ = ["Agreement", "Part", "agreement"]

Array = NDArray[np.generic]

_FLOOR_DB = 50.0
_FLOOR_GAP = 0.01  # of the largest value
_EQUAL_DB = 120.0


@dataclass(frozen=True)
class Part:
    """One part of the outputs (a detector's boxes and scores are two), over all samples.

    `db` is 10 log10(signal / difference), at most 120, `needed_db` what it must reach; `gap` is the largest absolute
    difference and `allowed_gap` what it may be, None where the certificate names none.
    """

    name: str
    values: int
    db: float
    needed_db: float
    gap: float
    allowed_gap: float | None

    def within(self) -> bool:
        """Tell whether the difference is within the bound."""
        return self.db >= self.needed_db and (self.allowed_gap is None or self.gap <= self.allowed_gap)

    def line(self) -> str:
        """The part's figures in one line."""
        allowed = "" if self.allowed_gap is None else f" of {self.allowed_gap:.3g} allowed"
        return (
            f"{self.name}: largest difference {self.gap:.3g}{allowed}, {self.db:.1f} dB of {self.needed_db:.1f} needed "
            f"({self.values} values): {'within' if self.within() else 'BEYOND'} the certificate's bound"
        )


@dataclass(frozen=True)
class Agreement:
    """What came of comparing. `shares`: of each sample, what of the answers is the same, 0..1."""

    parts: tuple[Part, ...]
    task: str
    shares: tuple[float, ...]
    changes: tuple[str, ...]

    def agrees(self) -> bool:
        """Tell whether every part is within the bound and no answer has changed."""
        return bool(self.parts) and not self.changes and all(part.within() for part in self.parts)

    def lines(self) -> list[str]:
        """The figures for people."""
        lines = [part.line() for part in self.parts]
        if self.shares:
            same = sum(self.shares) / len(self.shares)
            lines.append(f"{WORDS[self.task]}: {same:.1%} the same over {len(self.shares)} samples")
        return [*lines, *self.changes]


@dataclass
class _Sums:
    output: str
    values: int = 0
    signal: float = 0.0
    noise: float = 0.0
    gap: float = 0.0
    peak: float = 0.0


def agreement(manifest: Manifest, here: Mapping[str, Array], there: Mapping[str, Array]) -> Agreement:
    """Compare the arrays of two processors. Raises DataError where they are not of the same samples."""
    if not here or here.keys() != there.keys():
        raise DataError(
            f"expected answers to the same samples, found {len(here)} and {len(there)} arrays of other names; "
            "run edge_tools.arm.outputs on both with the same bundle and --images"
        )
    sums: dict[str, _Sums] = {}
    shares: list[float] = []
    changes: list[str] = []
    for key, values in here.items():
        kind, _, name = key.partition(" ")
        other = there[key]
        if kind.startswith("answer_"):
            likeness = compare_answers(manifest, values, other)
            shares.append(likeness.share)
            changes += [f"{key}: {likeness.change}"] if likeness.change else []
        elif values.shape != other.shape:
            changes.append(f"{key}: shape {list(values.shape)} here, {list(other.shape)} there")
        else:
            for part, one, two in _parts(manifest.postprocess, name, values, other):
                _add(sums.setdefault(part, _Sums(name)), one, two)
    parts = tuple(_judged(manifest, name, total) for name, total in sums.items())
    return Agreement(parts, manifest.postprocess.task, tuple(shares), tuple(changes))


def _parts(post: Postprocess, name: str, one: Array, two: Array) -> Iterator[tuple[str, Array, Array]]:
    rows = row_parts(post, one.shape)
    if rows is None:
        yield name, one, two
        return
    axis, parts = rows
    for part, places in parts.items():
        yield f"{name} {part}", one.take(places, axis), two.take(places, axis)


def _add(sums: _Sums, one: Array, two: Array) -> None:
    a, b = one.astype(np.float64), two.astype(np.float64)
    sums.values += a.size
    sums.signal += float(np.square(a).sum())
    sums.noise += float(np.square(a - b).sum())
    # NaN on one side only is no number at all; max would keep it, and no bound holds it.
    sums.gap = float(np.max([sums.gap, np.abs(a - b).max(initial=0.0)]))
    sums.peak = max(sums.peak, float(np.abs(a).max(initial=0.0)))


def _judged(manifest: Manifest, name: str, sums: _Sums) -> Part:
    figures = {row.metric: row.bundle for row in manifest.accuracy}
    certified = figures.get(f"sqnr_db {name}", _FLOOR_DB)
    # Told of whole outputs; what holds for the whole holds for each part.
    largest = figures.get(f"max_abs_diff {sums.output}")
    ratio = sums.noise / (sums.signal or 1.0)
    db = _EQUAL_DB if ratio <= 10 ** (-_EQUAL_DB / 10) else -10.0 * math.log10(ratio)
    allowed = None if largest is None else max(largest, _FLOOR_GAP * sums.peak)
    return Part(name, sums.values, db, min(certified, _FLOOR_DB), sums.gap, allowed)


def _load(path: Path) -> dict[str, Array]:
    try:
        with np.load(path, allow_pickle=False) as arrays:
            return {name: np.asarray(arrays[name]) for name in arrays.files}
    except (OSError, ValueError) as error:
        raise DataError(f"{path} is no file of answers ({error}); write it with edge_tools.arm.outputs") from error


@click.command()
@click.argument("bundle", type=click.Path(path_type=Path))
@click.argument("here", type=click.Path(path_type=Path))
@click.argument("there", type=click.Path(path_type=Path))
def agree(bundle: Path, here: Path, there: Path) -> None:
    """Compare the answers of BUNDLE on two processors, within its certificate's bound."""
    found = agreement(read_bundle(bundle, check_hashes=False).manifest, _load(here), _load(there))
    click.echo("\n".join(f"{bundle.name} {line}" for line in found.lines()))
    if not found.agrees():
        raise VerificationError(f"{bundle.name}: {there} does not answer as {here}; what differs is printed above")


def main() -> None:
    """Run the command and leave the process with its exit code."""
    run_command(agree, "agree")


if __name__ == "__main__":
    main()
