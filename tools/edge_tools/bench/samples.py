"""What all engines are fed, and how far their answers are from the reference."""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from edge_runtime.bundle.bundle import Bundle
from edge_runtime.bundle.facts import TensorSpec
from edge_runtime.errors import EngineError, UsageError
from edge_runtime.verify.golden import load_golden, read_golden

__all__ = ["make_inputs", "max_abs_diff", "write_inputs"]


def make_inputs(bundle: Bundle, batch: int) -> dict[str, NDArray[np.generic]]:
    """Return one array for each input: the bundle's own golden inputs, over and over until the batch is full.

    They are real inputs, so an operator whose work depends on the data does what it will do in use. Raises UsageError
    for a batch that the model does not take.
    """
    manifest = bundle.manifest
    samples = list(read_golden(load_golden(bundle.file("golden.npz")), manifest.inputs[0], manifest.preprocess))
    made = {}
    for spec in manifest.inputs:
        values = [sample.feeds[spec.name] for sample in samples if spec.name in sample.feeds]
        if not values:
            raise UsageError(f"{bundle.path} has no golden input for {spec.name!r}; export it again with edge-export")
        made[spec.name] = _fill(spec, values, batch)
    return made


def write_inputs(bundle: Bundle, batch: int, path: Path) -> Path:
    """Write `make_inputs` as .npz for the measured processes."""
    np.savez(path, **make_inputs(bundle, batch))  # type: ignore[arg-type] # numpy's stub takes the names for options
    return path


def max_abs_diff(reference: Path, found: Path) -> float:
    """Return the largest difference of any output in two .npz files; the largest float where one alone is not finite.

    Raises EngineError when the outputs' names or shapes differ.
    """
    largest = 0.0
    with np.load(reference, allow_pickle=False) as expected, np.load(found, allow_pickle=False) as actual:
        if set(expected.files) != set(actual.files):
            raise EngineError(
                f"the reference has the outputs {_names(expected.files)}, the engine {_names(actual.files)}; "
                "give the model that the bundle was made of"
            )
        for name in expected.files:
            one, other = expected[name].astype(np.float64), actual[name].astype(np.float64)
            if one.shape != other.shape:
                raise EngineError(
                    f"output {name.removeprefix('output_')!r} is {list(other.shape)}, the reference's {list(one.shape)}"
                )
            same = (one == other) | (np.isnan(one) & np.isnan(other))  # infinities are the same, their difference none
            with np.errstate(invalid="ignore"):
                difference = np.where(same, 0.0, np.abs(one - other))
            largest = max(largest, float(np.nan_to_num(difference, nan=np.inf).max(initial=0.0)))
    return min(largest, sys.float_info.max)


def _fill(spec: TensorSpec, values: list[NDArray[np.generic]], batch: int) -> NDArray[np.generic]:
    if spec.batch is not None:
        if spec.batch != batch and batch != 1:
            raise UsageError(
                f"--batch {batch}: the model takes {spec.name!r} as {list(spec.shape)} only; use --batch 1"
            )
        return values[0]
    if any(value.shape != values[0].shape for value in values):
        values = values[:1]
    joined = np.concatenate(values)
    return joined[np.arange(batch) % len(joined)]


def _names(files: list[str]) -> str:
    return ", ".join(sorted(name.removeprefix("output_") for name in files))
