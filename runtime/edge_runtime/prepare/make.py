"""The side of preparing that waits: looks into the cache, starts the preparing process, tells how far it is."""

from __future__ import annotations

import shutil
from dataclasses import dataclass, replace
from pathlib import Path

from edge_devices.process_memory import memory
from edge_runtime.blocks.measured import Measured
from edge_runtime.blocks.prepared import (
    PREPARED,
    WHOLE,
    Prepared,
    PreparedWhole,
    measurements_name,
    note_checked,
    read_json,
    write_json,
)
from edge_runtime.blocks.sums import SUMS, Sums
from edge_runtime.bundle.bundle import Bundle, read_bundle
from edge_runtime.errors import EngineError, MemoryLimitError, ModelError, OutputError, UsageError
from edge_runtime.files.atomic import writing
from edge_runtime.files.folders import CACHE_ADVICE
from edge_runtime.files.sizes import format_size
from edge_runtime.ort.process import import_onnxruntime
from edge_runtime.ort.session import usable_threads
from edge_runtime.prepare.cache import PreparedCache, usual_cache
from edge_runtime.prepare.key import prepared_key
from edge_runtime.prepare.request import ChildDiedError, ProgressCall, Request, call, quiet
from edge_runtime.prepare.trial import quiet_seconds, refused

__all__ = ["ProgressCall", "find_measured", "forget_measured", "prepare", "prepare_in"]

# Lowering the whole graph holds its weights about this many times for a moment.
_WHOLE_FACTOR = 2.5
_RUNS = 100  # of one block or the whole graph, while the preparing process says nothing


def prepare(
    path: Path | str,
    batch: int = 1,
    threads: int | None = None,
    memory_limit: int | None = None,
    progress: ProgressCall | None = None,
) -> Path:
    """Prepare a bundle for this machine, whole and in blocks, unless the cache has it; return the prepared folder.

    Raises BundleError, ModelError, MemoryLimitError when preparing takes more than the limit, OutputError for a cache
    that cannot be written.
    """
    if batch < 1:
        raise UsageError(f"batch must be at least 1, found {batch}")
    cache = usual_cache()
    try:
        bundle = read_bundle(path, check_hashes=False)
        return prepare_in(cache, bundle, batch, usable_threads(threads), memory_limit, progress)
    finally:
        cache.close()


def forget_measured(path: Path | str) -> None:
    """Forget what was measured and planned of a bundle on this machine, so that preparing it measures again.

    For measurements of a machine that was busy then. Raises BundleError, OutputError for a cache that cannot be
    written.
    """
    cache = usual_cache()
    try:
        key = prepared_key(read_bundle(path, check_hashes=False).sha256, import_onnxruntime())
        folder = cache.use(key)
        if folder is not None:
            with cache.making(key, lambda: None), writing(folder):
                for known in [*folder.glob("measured-*.json"), *folder.glob("plan-*.json")]:
                    known.unlink(missing_ok=True)
    finally:
        cache.close()


def prepare_in(
    cache: PreparedCache,
    bundle: Bundle,
    batch: int,
    threads: int,
    memory_limit: int | None,
    progress: ProgressCall | None,
    blocks: bool = True,
) -> Path:
    """Prepare in a given cache and return the folder, in use by that cache.

    What is made is made of a bundle whose hashes hold: it raises BundleError for another.
    """
    tell = progress or quiet
    key = prepared_key(bundle.sha256, import_onnxruntime())
    want = _Wanted(bundle, batch, threads, memory_limit, blocks)
    found = cache.use(key)
    if found is not None and want.in_folder(found):
        return found
    with cache.making(key, lambda: tell("another process prepares this bundle", 0, 0)):
        found = cache.use(key)
        if found is None:
            with cache.new(key) as folder:
                want.make(folder, tell)
        elif not want.in_folder(found):
            want.make(found, tell)
        folder_now = cache.use(key)
    if folder_now is None:
        raise EngineError(f"{cache.folder(key)} was removed while it was prepared; start again")
    return folder_now


@dataclass(frozen=True)
class MeasuredFile:
    """Measurements, and the file they were read from."""

    path: Path
    content: Measured


def find_measured(folder: Path, threads: int, batch: int) -> MeasuredFile | None:
    """Return measurements for calls of `batch` images: the file for the smallest batch that is not smaller."""
    sizes = sorted(
        int(path.stem.rpartition("-b")[2])
        for path in folder.glob(f"measured-t{threads}-b*.json")
        if path.stem.rpartition("-b")[2].isdigit()
    )
    for size in sizes:
        if size >= batch:
            path = folder / measurements_name(threads, size)
            content = read_json(Measured, path)
            if content is not None:
                return MeasuredFile(path, content)
    return None


class _Wanted:
    """What a caller needs to find in a prepared folder."""

    def __init__(self, bundle: Bundle, batch: int, threads: int, limit: int | None, blocks: bool) -> None:
        self.bundle, self.threads, self.limit, self.blocks = bundle, threads, limit, blocks
        self.batches = tuple(sorted({1, batch} | {1 << k for k in range(1, batch.bit_length()) if 1 << k < batch}))
        # Within a limit that the whole graph could not be lowered in, blocks it is.
        need = memory().resident + _WHOLE_FACTOR * bundle.manifest.model.weight_bytes
        self.whole = limit is None or need < limit

    def in_folder(self, folder: Path) -> bool:
        """Whether everything is there."""
        if read_json(Sums, folder / SUMS) is None or (self.whole and read_json(PreparedWhole, folder / WHOLE) is None):
            return False
        if not self.blocks:
            return True
        measured = find_measured(folder, self.threads, self.batches[-1])
        if measured is None or read_json(Prepared, folder / PREPARED) is None:
            return False
        return measured.content.measurements.whole is not None or not self.whole

    def make(self, folder: Path, tell: ProgressCall) -> None:
        """Make what is missing. Raises what the preparing process says."""
        self.bundle.check_hashes()  # what is made of it stands for it from now on
        note_checked(folder, self.bundle.file_stamps())
        left = None if self.limit is None else self.limit - memory().own
        if left is not None and left <= 0:
            raise MemoryLimitError(
                f"a limit of {format_size(self.limit or 0)} cannot be met: this process takes "
                f"{format_size(memory().own)} before a model is there; raise --memory-limit"
            )
        request = Request(
            str(self.bundle.path.absolute()),
            str(folder.absolute()),
            self.blocks,
            self.whole,
            self.threads,
            self.batches,
            left,
        )
        silence = quiet_seconds(self.bundle, self.batches[-1], _RUNS)
        try:
            call("edge_runtime.prepare.child", request, tell, left, silence)
        except ChildDiedError as error:
            raise refused(self.bundle, error) from error
        except (ModelError, EngineError) as error:
            # onnxruntime, which writes most of it, does not say that the disk is full. FP16 weights become FP32 ones.
            if shutil.disk_usage(folder).free < 2 * self.bundle.manifest.model.weight_bytes:
                raise OutputError(f"cannot write the cache {folder.parent}: no space left; {CACHE_ADVICE}") from error
            raise
        if self.blocks:
            tell("rehearsing", 1, 1)
            overhead = call("edge_runtime.prepare.child", replace(request, rehearse=True), tell, left, silence)
            path = folder / measurements_name(self.threads, self.batches[-1])
            measured = read_json(Measured, path)
            if measured is None:
                raise EngineError(f"{path} was not written; prepare the bundle again")
            # Less than was planned is luck of that one plan: others may take all that was measured.
            more = max(int(overhead), 0)
            write_json(replace(measured, measurements=replace(measured.measurements, overhead_bytes=more)), path)
