"""The work of one row, and many rows in a few processes."""

from __future__ import annotations

import functools
import gc
import tempfile
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor, as_completed
from multiprocessing import get_context
from pathlib import Path
from typing import Any, TypeVar

import onnx

from edge_runtime.engine import open_bundle
from edge_tools.families.bases import Base
from edge_tools.families.mutations import mutations_of
from edge_tools.families.outcome import FORMS, exported, outcome, picture, truths_of
from edge_tools.families.tables import MatrixRow, MutatedRow
from edge_tools.families.truth import SUFFIX, Truth, read_truth

__all__ = ["in_processes", "matrix_row", "mutated_row", "own_answers"]

T = TypeVar("T")


def matrix_row(truth: Path, pictures: Path, form: str, calibrate: Path | None = None) -> MatrixRow:
    """Export the model of an answers file in one form, and compare."""
    name = truth.name.removesuffix(SUFFIX)
    model = truth.with_name(f"{name}.onnx")
    inside = truth.with_name(name) / "model.onnx"  # with files beside it that tell of it
    alone = inside.exists() and not inside.with_name("config.json").exists()
    source = model if model.exists() else inside if alone else truth.with_name(name)
    found = outcome(source, read_truth(truth), pictures, FORMS[form], calibrate=calibrate)
    gc.freeze()  # what is imported stays: an export looks for garbage after each of its passes
    return MatrixRow(name, form, found)


@functools.lru_cache
def own_answers(model: Path, pictures: Path) -> dict[str, list[Truth]] | None:
    """Return what a model's own bundle answers, or None where it is not read."""
    with tempfile.TemporaryDirectory(prefix="edge-families-") as work:
        bundle = Path(work) / "model.edge"
        if isinstance(exported(model, pictures, FORMS["fp32"], bundle), str):
            return None
        with open_bundle(bundle, use_cache=False) as engine:
            if engine.manifest.postprocess.task == "raw":
                return None
            names = sorted(path.name for path in pictures.iterdir())
            return {name: truths_of(engine.run([picture(pictures / name)])[0]) for name in names}


def mutated_row(base: Base, mutation: str, pictures: Path) -> MutatedRow | None:
    """Try one mutation of one model; None where there are no right answers to compare with."""
    right = dict(base.right) if base.right is not None else own_answers(base.model, pictures)
    if right is None:
        return None
    model = onnx.load(str(base.model))
    wanted = next(one for one in mutations_of(model) if one.name == mutation)
    with tempfile.TemporaryDirectory(prefix="edge-families-") as work:
        path = Path(work) / f"{base.name}.onnx"
        onnx.save(wanted.change(model), str(path))
        found = outcome(path, right, pictures, FORMS["fp32"], first_id=wanted.first_id)
    gc.freeze()
    return MutatedRow(base.name, mutation, found)


def in_processes(function: Callable[..., T], jobs: Sequence[tuple[Any, ...]], count: int) -> Iterator[T]:
    """Yield what `function` makes of each job, as they get done."""
    with ProcessPoolExecutor(count, mp_context=get_context("spawn")) as pool:
        try:
            for done in as_completed([pool.submit(function, *job) for job in jobs]):
                yield done.result()
        finally:  # else what is left would be done for nobody
            pool.shutdown(cancel_futures=True)
