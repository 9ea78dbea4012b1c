"""Preparing bundles before anything is measured, so that the first case does not pay for all of them."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

from edge_runtime.bundle.bundle import Bundle
from edge_runtime.files.folders import cache_root
from edge_runtime.prepare.make import prepare
from edge_tools.bench.cases import Emulated
from edge_tools.bench.confine import Caps, create_group
from edge_tools.bench.hierarchy import Hierarchy
from edge_tools.bench.order import Order
from edge_tools.bench.process import start_worker
from edge_tools.bench.samples import write_inputs

__all__ = ["boards_cache", "prepare_all", "prepare_inside"]

_LONGEST_SECONDS = 3600.0


def prepare_all(bundle: Path, batches: Sequence[int], threads: int | None, say: Callable[[str], None]) -> None:
    """Prepare the bundle for each batch size; what is in the cache already costs nothing."""

    def tell(what: str, done: int, total: int) -> None:
        say(f"preparing {bundle.name}: {what}" + f", {done} of {total}" * bool(total))

    for batch in batches:
        prepare(bundle, batch=batch, threads=threads, memory_limit=None, progress=tell)


def prepare_inside(
    bundle: Bundle,
    batches: Sequence[int],
    threads: int | None,
    cpus: tuple[int, ...],
    hierarchy: Hierarchy,
    caps: Caps,
    folder: Path,
) -> None:
    """Prepare the bundle in a control group with these caps, so that what is measured then is the smaller machine's.

    Plans weigh reading against computing: with this machine's storage in the scales they would be another board's.
    `folder` takes the inputs. Raises EngineError.
    """
    for batch in batches:
        inputs = write_inputs(bundle, batch, folder / f"prepare-{batch}.npz")
        order = Order("prepare", str(bundle.path), str(inputs), batch, threads=threads, cpus=cpus)
        group = create_group(hierarchy, caps)
        with start_worker(order, f"preparing {bundle.path.name}", _LONGEST_SECONDS, group) as worker:
            worker.open()


@contextlib.contextmanager
def boards_cache(emulated: Emulated) -> Iterator[None]:
    """Keep what is prepared for an emulated board apart from this machine's own, for as long as the block lasts."""
    rate = emulated.storage_bytes_per_s
    name = f"{emulated.board}-{'any' if rate is None else rate}-{emulated.cores:g}"
    older = os.environ.get("XDG_CACHE_HOME")
    os.environ["XDG_CACHE_HOME"] = str(cache_root().parent / "emulated" / name)
    try:
        cache_root().mkdir(parents=True, exist_ok=True)
        yield
    finally:
        if older is None:
            del os.environ["XDG_CACHE_HOME"]
        else:
            os.environ["XDG_CACHE_HOME"] = older
