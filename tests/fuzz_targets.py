"""What is attacked, each as a function of a seed that raises what a user would have seen as a traceback."""

from __future__ import annotations

import contextlib
import shutil
from collections.abc import Callable, Mapping
from pathlib import Path

import numpy as np
from attacks import attack, fresh
from hostile_onnx import hostile_onnx
from rot import Rot

from edge_export.pipeline import export_bundle
from edge_export.state import ExportOptions, FactFlags
from edge_runtime import open_bundle
from edge_runtime.errors import EdgelineError
from edge_runtime.opening.options import OpenOptions
from edge_runtime.opening.verified import verify_bundle
from edge_runtime.ort.session import SessionOptions

__all__ = ["PRISTINE", "TARGETS", "attacked_bundle"]

PRISTINE = Path(__file__).resolve().parent / "runtime" / "bundle" / "format-1.0.edge"

_SESSION = SessionOptions("cpu", 1)


def bundles(folder: Path) -> Callable[[int], None]:
    """Mutated bundles, sealed again, are opened, run on a picture and verified."""
    changed = folder / "changed.edge"

    def tried(seed: int) -> None:
        attack(fresh(PRISTINE, changed), seed)
        attacked_bundle(changed)

    return tried


def attacked_bundle(bundle: Path) -> None:
    """Open, run and verify. Raises what is no error of ours, and ValueError for one of several lines."""
    image = np.zeros((20, 30, 3), np.uint8)
    for step in (lambda: _run(bundle, image), lambda: verify_bundle(bundle, OpenOptions(_SESSION)).line()):
        with _ours():
            step()


def _run(bundle: Path, image: np.ndarray) -> None:
    with open_bundle(bundle, session=_SESSION) as engine:
        list(engine.run([image]))


@contextlib.contextmanager
def _ours():
    try:
        yield
    except EdgelineError as error:
        if len(str(error)) > 4000:
            raise ValueError(f"an error of {len(str(error))} characters") from error


def exports(folder: Path) -> Callable[[int], None]:
    """Hostile ONNX files go through the whole of edge-export, at FP32."""
    source = folder / "hostile.onnx"

    def tried(seed: int) -> None:
        source.write_bytes(hostile_onnx(seed)[0])
        flags = FactFlags(task="classify", preprocess={"width": 8, "height": 8})
        with _ours():
            export_bundle(ExportOptions(str(source), folder / "made.edge", flags, quantize="fp32"))
        shutil.rmtree(folder / "made.edge", ignore_errors=True)

    return tried


def rot(folder: Path) -> Callable[[int], object]:
    """One bit of a bundle and its cache is flipped: it is found before a verdict, or the verdict is what it was."""
    return Rot(PRISTINE, folder).flipped


TARGETS: Mapping[str, Callable[[Path], Callable[[int], object]]] = {"bundles": bundles, "exports": exports, "rot": rot}
