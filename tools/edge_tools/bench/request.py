"""What edge-bench was asked for, made of its flags: models, limits, batches, and the smaller machine to be."""

from __future__ import annotations

import math
import os
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path

from edge_runtime.bundle.bundle import Bundle, read_bundle
from edge_runtime.errors import UsageError
from edge_runtime.files.sizes import format_size, parse_size
from edge_tools.bench.cases import Case, Emulated
from edge_tools.bench.confine import Caps
from edge_tools.bench.precision import bundle_precision, onnx_precision

__all__ = ["batches_of", "caps_of", "cases_of", "check_against", "check_output", "limits_of", "models_of", "title_of"]

_OWN = "onnxruntime"  # on the bundle's own model.onnx


def limits_of(text: str, emulated: Emulated | None = None) -> tuple[int | None, ...]:
    """Return the limits in bytes, None for none; on an emulated board "none" is all that it leaves a process."""
    parts = [part.strip().lower() for part in text.split(",")]
    limits = dict.fromkeys(None if part == "none" else parse_size(part) for part in parts)
    if any(limit == 0 for limit in limits):
        raise UsageError("--memory-limit must be above 0 bytes; write none for no limit")
    if emulated is None:
        return tuple(limits)
    most = emulated.limit_bytes
    if above := [limit for limit in limits if limit is not None and limit > most]:
        raise UsageError(
            f"--memory-limit {format_size(above[0])}: {emulated.name} with {emulated.memory} "
            f"leaves a process {format_size(most)}; give less, or a board with more memory"
        )
    return tuple(dict.fromkeys(most if limit is None else limit for limit in limits))


def batches_of(text: str) -> tuple[int, ...]:
    """Return the batch sizes. Raises UsageError for what is none."""
    parts = [part.strip() for part in text.split(",")]
    if not all(part.isdecimal() and 1 <= int(part) <= 4096 for part in parts):
        raise UsageError(f"--batch expects numbers from 1 to 4096 such as 1,4,8, found {text!r}")
    return tuple(dict.fromkeys(int(part) for part in parts))


def models_of(
    bundle: Path,
    opened: Bundle,
    also: Sequence[Path],
    against: Sequence[str],
    read: Callable[[Path], Bundle] = read_bundle,
) -> list[Case]:
    """Return one case without limit and of batch 1 for each model: the bundle, other bundles, plain onnxruntime's.

    Raises UsageError for a bundle that takes other inputs or was named already, ModelError for a file that is no model.
    """
    cases = [Case("edgeline", str(bundle), None, 1, bundle_precision(opened.manifest.model))]
    for path in dict.fromkeys(also):
        if path.resolve() == bundle.resolve():
            raise UsageError(f"--also {path}: that is the bundle itself; give another of the same model")
        other = read(path)
        if other.manifest.inputs != opened.manifest.inputs:
            raise UsageError(
                f"--also {path}: it takes other inputs than {bundle.name}; give a bundle of the same model"
            )
        cases.append(Case("edgeline", str(path), None, 1, bundle_precision(other.manifest.model)))
    for what in dict.fromkeys(against):
        own = what == _OWN
        precision = cases[0].precision if own else onnx_precision(Path(what))
        cases.append(Case("onnxruntime", str(bundle / "model.onnx") if own else what, None, 1, precision))
    several = {case.engine: sum(each.engine == case.engine for each in cases) > 1 for case in cases}
    return [replace(case, named=several[case.engine]) for case in cases]


def cases_of(
    models: Sequence[Case], limits: Sequence[int | None], batches: Sequence[int], confined: bool
) -> list[Case]:
    """Return the cases by batch; a limit means something to plain onnxruntime only where the kernel holds it."""
    return [
        replace(model, memory_limit=limit, batch=batch)
        for batch in batches
        for model in models
        for limit in (limits if confined or model.engine == "edgeline" else (None,))
    ]


def caps_of(
    confined: bool, storage_mb_per_s: float | None, cpus: float | None, emulated: Emulated | None = None
) -> Caps:
    """Return what every case may use: an emulated board's limits, else the flags'. Raises UsageError."""
    if not confined and emulated is None and (storage_mb_per_s is not None or cpus is not None):
        raise UsageError("--storage-mb-per-s and --cpus limit a confined case; add --confine")
    usable = len(os.sched_getaffinity(0))
    if cpus is not None and math.ceil(cpus) > usable:
        raise UsageError(f"--cpus {cpus:g}: this process may use {usable} cores; a machine with more cannot be tried")
    if emulated is not None:
        return Caps(read_bytes_per_s=emulated.storage_bytes_per_s, cpus=emulated.cores)
    rate = None if storage_mb_per_s is None else round(storage_mb_per_s * 1e6)
    return Caps(read_bytes_per_s=rate, cpus=cpus)


def check_against(against: Sequence[str]) -> None:
    """Raise UsageError for what is neither "onnxruntime" nor a file."""
    for what in against:
        if what != _OWN and not Path(what).is_file():
            raise UsageError(f"--against expects 'onnxruntime' or an ONNX file, found {what!r}")


def check_output(path: Path, flag: str) -> None:
    """Raise UsageError now for a file that could not be written after minutes of measuring."""
    folder = path.absolute().parent
    if path.is_dir():
        raise UsageError(f"{flag} {path}: that is a folder; give the name of a file")
    if not folder.is_dir():
        raise UsageError(f"{flag} {path}: there is no folder {folder}; make it first")
    if not os.access(folder, os.W_OK):
        raise UsageError(f"{flag} {path}: {folder} cannot be written; choose another folder")


def title_of(name: str, caps: Caps, confined: bool) -> str:
    """Return what was measured under which caps, for the head of the tables."""
    parts = [name, *["each case confined by a control group"] * confined]
    if caps.read_bytes_per_s is not None:
        parts.append(f"storage at {caps.read_bytes_per_s / 1e6:g} MB/s")
    if caps.cpus is not None:
        parts.append(f"{caps.cpus:g} CPUs")
    return ", ".join(parts)
