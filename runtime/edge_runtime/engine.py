"""The engine: an opened bundle that answers for images or tensors.

from edge_runtime import open_bundle

with open_bundle("pcb.edge") as engine:
    for result in engine.run([image]):  # uint8 [height, width, 3], BGR
        print(result.verdict, result.predictions)
"""

from __future__ import annotations

import contextlib
import threading
import weakref
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from edge_runtime.bundle.bundle import bundle_sha256, folder_stamp
from edge_runtime.bundle.current import followed
from edge_runtime.bundle.manifest import Manifest
from edge_runtime.bundle.trust import UNSIGNED, USUAL, Trust, TrustPolicy, check_same, check_trust
from edge_runtime.errors import DataError, EngineError, TrustError
from edge_runtime.files.sizes import parse_size
from edge_runtime.opening.choice import OpenedBundle, open_runner
from edge_runtime.opening.options import OpenOptions
from edge_runtime.ort.affinity import staying_on
from edge_runtime.ort.runner import Interruptible, Runner, check_feeds
from edge_runtime.ort.session import SessionOptions
from edge_runtime.ort.stepping.runner import Stepped, SteppingRunner
from edge_runtime.plan.plan import Plan
from edge_runtime.results import Result, UrgentCall
from edge_runtime.vision.settings import Settings

if TYPE_CHECKING:
    from edge_runtime.prepare.request import ProgressCall
    from edge_runtime.vision.runner import VisionRunner

__all__ = ["Engine", "open_bundle"]

_TRIES = 3


def open_bundle(
    path: Path | str,
    device: str = "auto",
    threads: int | None = None,
    confidence: float | None = None,
    iou: float | None = None,
    max_det: int | None = None,
    classes: Sequence[str | int] | None = None,
    memory_limit: int | str | None = None,
    batch: int = 1,
    use_cache: bool = True,
    lock_memory: bool = False,
    reserve_bytes: int = 0,
    prepare: bool = False,
    progress: ProgressCall | None = None,
    session: SessionOptions | None = None,
    preempt: bool = False,
    everything: bool = False,
    min_area: float | None = None,
    trust: TrustPolicy = USUAL,
    prepare_limit: int | str | None = None,
) -> Engine:
    """Check a bundle completely, load its model and return the engine.

    `confidence` and `iou` (0..1), `max_det` (objects reported for each image) and `classes` (names or ids to report)
    override the bundle's own values where they are given; the last two leave the verdict as it is. `everything`: all
    classes of a classifier and all objects are reported; `min_area`, a fraction of the image, is that of the smallest
    region that is seen. `device` is one of edge_runtime.ort.session.DEVICES or a GPU ("cuda:0"), `threads` the cores to
    use (by default all that this process may use, and fewer while others hold them and fewer are faster). `session`
    says these two and more, and then counts in their place: with its `lanes` so many calls may be under way at a time,
    on its `cores`.

    With a `memory_limit` (bytes, or text as "160MB") the whole process, what it holds already included, stays below
    it: the model runs block by block as the plan says (`engine.plan`), `batch` images at a time; a first use prepares
    the bundle for this machine, telling `progress`, in a process that stays below the limit with this one, or below
    `prepare_limit`. `reserve_bytes` of the limit are left to the caller for what it
    will still take itself. `use_cache` False keeps nothing of what was prepared. `lock_memory` keeps the arena out of
    swap. `preempt`: room is kept for a call that is put aside between two blocks (`Engine.run`, `urgent`). `prepare`:
    without a limit, too, a bundle that was not prepared is, and the next start is faster.

    `trust`: what may run at all (bundle/trust.py): once a key is trusted on this device, only what is signed.

    Raises BundleError for a damaged bundle, TrustError for one that may not run here, ModelError for one that
    onnxruntime cannot load, UsageError for a value out of range, DependencyError where onnxruntime is missing,
    MemoryLimitError for a limit that is too small.
    """
    limit = None if memory_limit is None else parse_size(memory_limit)
    preparing = None if prepare_limit is None else parse_size(prepare_limit)
    session = session or SessionOptions(device, threads, steps_back=threads is None)
    options = OpenOptions(session, limit, batch, use_cache, lock_memory, reserve_bytes, prepare, preempt, preparing)
    known, opened = _opened(Path(path), trust, options, progress)
    try:
        settings = Settings.of(opened.bundle.manifest, confidence, iou, max_det, classes, everything, min_area)
        if trust.note:
            known.note()
        return Engine(opened, settings, session.lanes, session.cores, known)
    except BaseException:
        opened.close()
        raise


def _opened(
    path: Path, policy: TrustPolicy, options: OpenOptions, progress: ProgressCall | None
) -> tuple[Trust, OpenedBundle]:
    """Judge a bundle and open it: the same one. What an update exchanges meanwhile is opened anew, a few times."""
    path = followed(path)
    for _ in range(_TRIES):
        held = folder_stamp(path)
        known = check_trust(path, bundle_sha256(path), policy)  # before anything of it is opened
        with staying_on(options.session.cores):  # onnxruntime's threads, which are started here, stay there
            opened = open_runner(path, options, progress)
        try:
            if folder_stamp(path) == held:
                check_same(known, opened.bundle)
                return known, opened
        except BaseException:
            opened.close()
            raise
        opened.close()
    raise TrustError(f"{path} was exchanged {_TRIES} times while it was opened: let its update come to an end first")


class Engine:
    """Runs one bundle. Safe to use from several threads and to close at any time.

    `lanes` calls are under way at a time, others wait for their turn. It is one where a memory limit was planned for
    one.
    """

    def __init__(
        self,
        opened: OpenedBundle,
        settings: Settings,
        lanes: int = 1,
        cores: Sequence[int] = (),
        trust: Trust = UNSIGNED,
    ) -> None:
        """`opened` is closed by `close`."""
        runner = opened.runner
        self.manifest: Manifest = opened.bundle.manifest
        self.bundle_sha256: str = opened.bundle.sha256
        self.trust: Trust = trust
        self.settings = settings
        self.plan: Plan = opened.plan
        self.providers: tuple[str, ...] = runner.providers
        self.lanes: int = lanes if opened.plan.whole and opened.plan.limit_bytes is None else 1
        self.cores: tuple[int, ...] = tuple(cores)
        self._interruptible = runner if isinstance(runner, Interruptible) and runner.preemptible else None
        self.preemptible: bool = self._interruptible is not None
        self._stepping = runner if isinstance(runner, SteppingRunner) else None
        self._changed = threading.Condition()
        self._running = 0
        self._runner: Runner | None = runner
        self._vision: VisionRunner | None = None
        # A program that ends without closing: the loader stops before the interpreter takes its modules away.
        self._finalizer = weakref.finalize(self, opened.close)

    @property
    def stepped(self) -> Stepped | None:
        """What became of the threads beside other work; None where their number is fixed."""
        return None if self._stepping is None else self._stepping.stepped

    def run(self, images: Sequence[NDArray[np.uint8]], urgent: UrgentCall | None = None) -> list[Result]:
        """Judge images: uint8 [height, width, 3] in BGR as OpenCV reads them, of any sizes; one Result each.

        All images of a call are one batch, where the model's batch is free. Boxes are in pixels of the image
        they belong to. Raises DataError for something that is no image, EngineError when the run fails.

        `urgent`, where the engine is `preemptible`, is asked between two blocks; what it gives is called with a `run`
        for other images, while this call's values are spilled. An exception that leaves it ends this call too.
        """
        with self._turn() as runner:
            vision = self._images(runner)
            if urgent is None or self._interruptible is None:
                return vision(images)

            def between() -> Callable[[], None] | None:
                call = urgent()
                return None if call is None else lambda: call(vision)

            with self._interruptible.interruptible(between):
                return vision(images)

    def infer(self, tensors: Mapping[str, NDArray[np.generic]]) -> dict[str, NDArray[np.generic]]:
        """Run prepared tensors by input name and return every output by name, without pre- or post-processing.

        Raises DataError for a missing input, for what is no array, a wrong type or a wrong shape.
        """
        if not isinstance(tensors, Mapping):
            raise DataError(f"expected arrays by input name, {{name: array}}, found {type(tensors).__name__}")
        check_feeds(self.manifest.inputs, tensors)
        with self._turn() as runner:
            outputs = runner.run({spec.name: tensors[spec.name] for spec in self.manifest.inputs})
            # The block engine gives views of its arena, which the next run overwrites.
            return {name: array.copy() if array.base is not None else array for name, array in outputs.items()}

    def close(self) -> None:
        """Free the model; calls that are running end first, at the next block with an EngineError.

        Closing twice does nothing.
        """
        with self._changed:
            runner, self._runner = self._runner, None
        if runner is not None:
            runner.stop()
        with self._changed:
            self._changed.wait_for(lambda: not self._running)
            self._finalizer()
            self._vision = None

    def __enter__(self) -> Engine:
        return self

    def __exit__(self, *exception: object) -> None:
        self.close()

    @contextlib.contextmanager
    def _turn(self) -> Iterator[Runner]:
        """Wait for a free lane. Raises EngineError once the engine is closed."""
        with self._changed:
            self._changed.wait_for(lambda: self._running < self.lanes or self._runner is None)
            runner = self._runner
            if runner is None:
                raise EngineError("the engine is closed; open the bundle again")
            self._running += 1
        try:
            with staying_on(self.cores):
                yield runner
        finally:
            with self._changed:
                self._running -= 1
                self._changed.notify_all()

    def _images(self, runner: Runner) -> VisionRunner:
        with self._changed:
            if self._vision is None:
                # OpenCV is 25 MB that a caller of `infer` alone need not have.
                from edge_runtime.vision.runner import VisionRunner

                # What was planned for within a limit is never exceeded: more images go through in parts.
                most = None if self.plan.limit_bytes is None else self.plan.batch
                self._vision = VisionRunner(self.manifest, runner, self.settings, most)
            return self._vision
