"""Preparing the bundle before anything is measured, so that the first case does not pay for all of them."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path

from edge_runtime.prepare import prepare

__all__ = ["prepare_all"]


def prepare_all(bundle: Path, batches: Sequence[int], threads: int | None, say: Callable[[str], None]) -> None:
    """Prepare the bundle for each batch size; what is in the cache already costs nothing."""

    def tell(what: str, done: int, total: int) -> None:
        say(f"preparing {bundle.name}: {what}" + f", {done} of {total}" * bool(total))

    for batch in batches:
        prepare(bundle, batch=batch, threads=threads, memory_limit=None, progress=tell)
