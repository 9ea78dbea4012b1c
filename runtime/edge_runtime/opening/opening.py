"""Opening a bundle: checked, prepared where that pays or is needed, planned, and as a session that runs it."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from edge_devices.process_memory import memory
from edge_devices.profile import ProviderChoice
from edge_runtime.blocks.prepared import (
    WHOLE,
    WHOLE_CHECKED,
    PreparedWhole,
    checked_before,
    note_checked,
    read_json,
)
from edge_runtime.bundle.bundle import Bundle, read_bundle
from edge_runtime.bundle.facts import TensorSpec
from edge_runtime.errors import BundleError, EdgelineError, EngineError, ModelError, OutputError, UsageError
from edge_runtime.files.atomic import file_stamp
from edge_runtime.files.folders import cache_root
from edge_runtime.ort.affinity import staying_on
from edge_runtime.ort.lanes import cores_of_lane, laned
from edge_runtime.ort.process import import_onnxruntime
from edge_runtime.ort.providers.choose import CPU, choose, gpu_of, insisted
from edge_runtime.ort.session import (
    OrtSession,
    RoomCall,
    Session,
    SessionOptions,
    fresh_room,
    usable_threads,
)
from edge_runtime.plan.plan import Plan, unlimited_plan
from edge_runtime.prepare.cache import PreparedCache
from edge_runtime.prepare.key import prepared_key

if TYPE_CHECKING:
    from edge_runtime.blocks.runner import Urgent
    from edge_runtime.prepare import ProgressCall

__all__ = ["OpenOptions", "Opened", "nothing_to_stop", "open_runner", "shapes_agree", "whole_is_sound"]


@dataclass(frozen=True)
class OpenOptions:
    """How to open a bundle.

    `memory_limit`: bytes of the whole process, None for no limit. `batch`: images of a call. `use_cache`: prepared
    files are looked for and kept. `lock_memory`: the arena is never swapped out. `reserve_bytes`: what the caller will
    still take of the limit for itself. `prepare`: without a limit, too, a graph that is not in the cache is prepared,
    so that the next start is faster. `preempt`: within a limit, a run can be put aside between two blocks for another,
    and what that takes is kept free.
    """

    session: SessionOptions
    memory_limit: int | None = None
    batch: int = 1
    use_cache: bool = True
    lock_memory: bool = False
    reserve_bytes: int = 0
    prepare: bool = False
    preempt: bool = False


@dataclass
class Opened:
    """A bundle ready to run.

    `room` gives the arrays that inputs are best written into. `stop` ends a run that is under way, at the next block if
    there are several; it may be called from any thread. `interruptible` (None: runs cannot be) lets other runs in
    between two blocks.
    """

    bundle: Bundle
    session: Session
    plan: Plan
    providers: tuple[str, ...]
    room: RoomCall
    stop: Callable[[], None]
    on_close: Callable[[], None]
    interruptible: Callable[[Urgent], contextlib.AbstractContextManager[None]] | None = None

    def close(self) -> None:
        """Free the model, then let go of the prepared files."""
        try:
            self.session.close()
        finally:
            self.on_close()


def open_runner(path: Path | str, options: OpenOptions, progress: ProgressCall | None = None) -> Opened:
    """Open a bundle. Raises what open_bundle raises."""
    threads, choices = check_options(options)
    bundle = read_bundle(path, check_hashes=False)
    with contextlib.ExitStack() as cleanup:
        limited = options.memory_limit is not None
        # A limited engine always works from prepared files; without the cache they are in a folder of its own.
        cache = PreparedCache(cache_root() if options.use_cache else None) if limited else _unneeded_cache(options)
        on_close = nothing_to_stop if cache is None else cache.close
        cleanup.callback(on_close)
        folder = None
        key = prepared_key(bundle.sha256, import_onnxruntime())
        if cache is not None and options.use_cache:
            folder = cache.use(key)
        if folder is None or not checked_before(folder, bundle.file_stamps()):
            bundle = read_bundle(path)
            if folder is not None:  # a copy of the bundle that was prepared: the next start need not hash it
                with contextlib.suppress(OutputError):
                    note_checked(folder, bundle.file_stamps())
        if limited and cache is not None:
            # Imported when it is needed, here and below: a start from the cache is shorter by what it does not load.
            from edge_runtime.opening.limited import open_limited

            opened = open_limited(bundle, cache, options, threads, progress)
        elif (placed := _open_placed(bundle, choices, options, threads, cache, key, progress, on_close)) is not None:
            opened = placed
        else:
            folder = None if cache is None else cache.use(key)
            whole = None if folder is None else read_json(PreparedWhole, folder / WHOLE)
            if whole is None and options.prepare and cache is not None:
                from edge_runtime.prepare import prepare_in

                # Nothing needs it: a cache that cannot be written costs a slower start, not the run.
                with contextlib.suppress(EdgelineError):
                    folder = prepare_in(cache, bundle, options.batch, threads, None, progress, blocks=False)
                    whole = read_json(PreparedWhole, folder / WHOLE)
            graph = (
                None if folder is None or whole is None or not whole_is_sound(folder, whole) else folder / whole.graph
            )
            opened = _open_whole(bundle, graph, options, on_close)
        cleanup.pop_all()
        return opened


def _unneeded_cache(options: OpenOptions) -> PreparedCache | None:
    """The cache for a run that can do without: a place that there is none of is no reason not to run."""
    with contextlib.suppress(OutputError):
        return PreparedCache(cache_root()) if options.use_cache else None
    return None


def whole_is_sound(folder: Path, whole: PreparedWhole) -> bool:
    """Tell whether the weights, which onnxruntime reads by itself, are those that were written; read once for that."""
    if whole.weights is None:
        return True
    try:
        stamps = {whole.weights.file: file_stamp(folder / whole.weights.file)}
        if not checked_before(folder, stamps, WHOLE_CHECKED):
            from edge_runtime.blocks.storage import FileStorage

            FileStorage(folder).check(whole.weights)
            with contextlib.suppress(OutputError):
                note_checked(folder, stamps, WHOLE_CHECKED)
    except (EngineError, OSError):
        return False
    return True


def check_options(options: OpenOptions) -> tuple[int, tuple[ProviderChoice, ...]]:
    """Return the threads to use and the providers to try before the CPU; none within a limit. Raises UsageError."""
    if options.batch < 1:
        raise UsageError(f"batch must be at least 1, found {options.batch}")
    session = options.session
    present = import_onnxruntime().get_available_providers()
    choices = choose(session.device, session.providers, session.require_provider, present)
    if options.memory_limit is not None:
        named = insisted(session.device, session.require_provider)
        if choices and (named or any(gpu_of(choice) is not None for choice in choices)):
            raise UsageError("a memory limit is kept on the CPU only; add --device cpu, or leave the limit out")
        choices = ()
    return usable_threads(session.threads), choices


def _open_placed(
    bundle: Bundle,
    choices: tuple[ProviderChoice, ...],
    options: OpenOptions,
    threads: int,
    cache: PreparedCache | None,
    key: str,
    progress: ProgressCall | None,
    on_close: Callable[[], None],
) -> Opened | None:
    """The bundle on the providers that load; None: on the CPU alone."""
    if not choices:
        return None
    # Imported when there is more than the CPU.
    from edge_runtime.opening.on_providers import Wanted, open_on_providers

    session = options.session
    named = insisted(session.device, session.require_provider)
    wanted = Wanted(choices, session, threads, options.batch, named, options.prepare, cache, key)
    found = open_on_providers(bundle, wanted, progress)
    if found is None:
        return None
    if found.whole is not None:
        _check_graph(bundle, found.whole)
    plan = unlimited_plan(options.batch, memory().resident)
    return Opened(bundle, found.session, plan, found.providers, fresh_room, nothing_to_stop, on_close)


def _open_whole(bundle: Bundle, graph: Path | None, options: OpenOptions, on_close: Callable[[], None]) -> Opened:
    """One session for each lane without a limit: of the prepared `graph` if there is one, which starts faster."""
    base = memory().resident

    def another() -> OrtSession:
        if graph is not None:
            with contextlib.suppress(ModelError):  # damaged: the bundle itself, which was checked, is there
                return OrtSession(graph, options.session, optimize=False, provider=ProviderChoice(CPU))
        return OrtSession(bundle.file("model.onnx"), options.session, provider=ProviderChoice(CPU))

    # The first lane's threads stay where that lane's runs do.
    with staying_on(cores_of_lane(options.session, usable_threads(options.session.threads), 0)):
        first = another()
    _check_graph(bundle, first)
    session = laned(first, another, options.session) if options.session.lanes > 1 else first
    plan = unlimited_plan(options.batch, base)
    return Opened(bundle, session, plan, first.providers, fresh_room, nothing_to_stop, on_close)


def _check_graph(bundle: Bundle, session: OrtSession) -> None:
    """Close the session and raise BundleError unless the graph has the inputs and outputs that the manifest tells."""
    try:
        _check_values("input", bundle.manifest.inputs, session.inputs)
        _check_values("output", bundle.manifest.outputs, session.outputs)
    except BundleError:
        session.close()
        raise


def nothing_to_stop() -> None:
    """A graph that runs as a whole runs to its end."""


def _check_values(kind: str, declared: Sequence[TensorSpec], found: Sequence[TensorSpec]) -> None:
    """Raise BundleError unless the manifest tells the graph's values: their names, types, ranks and fixed sizes."""
    advice = "export the bundle again with edge-export"
    graph = {spec.name: spec for spec in found}
    if len(declared) != len(found) or {spec.name for spec in declared} != set(graph):
        raise BundleError(
            f"manifest.json declares the {kind}s {', '.join(spec.name for spec in declared)}, "
            f"model.onnx has {', '.join(graph)}; {advice}"
        )
    for spec in declared:
        other = graph[spec.name]
        # onnxruntime infers more than a graph declares: no shape at all is told as (), like a scalar's.
        fits = not spec.shape or not other.shape or shapes_agree(spec.shape, other.shape)
        if spec.dtype != other.dtype or not fits:
            raise BundleError(
                f"manifest.json declares the {kind} {spec.name!r} as {spec.dtype} {list(spec.shape)}, "
                f"model.onnx has {other.dtype} {list(other.shape)}; {advice}"
            )


def shapes_agree(shape: tuple[int | str, ...], other: tuple[int | str, ...]) -> bool:
    """Whether two shapes agree where both have numbers."""
    return len(shape) == len(other) and all(
        a == b or isinstance(a, str) or isinstance(b, str) for a, b in zip(shape, other, strict=True)
    )
