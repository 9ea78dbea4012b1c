"""Opening a bundle: checked, and run within a limit, on providers, or as a whole on the CPU."""

from __future__ import annotations

import contextlib
import logging
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from edge_devices.process_memory import memory
from edge_devices.profile import ProviderChoice
from edge_runtime.blocks.prepared import WHOLE, PreparedWhole, checked_before, note_checked, read_json
from edge_runtime.bundle.bundle import Bundle, read_bundle
from edge_runtime.errors import EdgelineError, EngineError, MemoryLimitError, OutputError, RefusedError
from edge_runtime.opening.options import OpenOptions, check_options
from edge_runtime.opening.whole import PreparedGraph, checked, give_up, open_whole, prepared_graph
from edge_runtime.ort.process import import_onnxruntime
from edge_runtime.ort.providers.choose import insisted
from edge_runtime.ort.runner import Runner
from edge_runtime.ort.stepping.runner import stepping
from edge_runtime.plan.plan import Plan, unlimited_plan
from edge_runtime.prepare.cache import PreparedCache, usual_cache
from edge_runtime.prepare.key import prepared_key

if TYPE_CHECKING:
    from edge_runtime.prepare.request import ProgressCall

__all__ = ["OpenedBundle", "open_runner"]

_LOG = logging.getLogger(__name__)


@dataclass(frozen=True)
class OpenedBundle:
    """A bundle, what runs its tensors, and the plan that is run by.

    `cache` keeps the prepared files that it runs from where they are; None: it runs from none.
    """

    bundle: Bundle
    runner: Runner
    plan: Plan
    cache: PreparedCache | None = None

    def close(self) -> None:
        """Free the model, then let go of the prepared files."""
        try:
            self.runner.close()
        finally:
            if self.cache is not None:
                self.cache.close()


def open_runner(path: Path | str, options: OpenOptions, progress: ProgressCall | None = None) -> OpenedBundle:
    """Open a bundle; who gets it closes it. Raises what open_bundle raises."""
    threads, choices = check_options(options)
    bundle = read_bundle(path, check_hashes=False)
    with contextlib.ExitStack() as cleanup:
        cache = _cache(options)
        if cache is not None:
            cleanup.callback(cache.close)
        key = prepared_key(bundle.sha256, import_onnxruntime())
        folder = cache.use(key) if cache is not None and options.use_cache else None
        if folder is None:
            bundle.check_small()  # weights are checked as they are loaded
        elif not checked_before(folder, bundle.file_stamps()):
            bundle.check_hashes()  # somebody changed it, or it is a copy of the bundle that was prepared
            with contextlib.suppress(OutputError):
                note_checked(folder, bundle.file_stamps())
        if options.memory_limit is not None and cache is not None:
            # Imported when it is needed, here and below: a start from the cache is shorter by what it does not load.
            from edge_runtime.opening.limited import open_limited

            try:
                runner, plan = open_limited(bundle, cache, options, threads, progress)
            except OutputError as error:
                if not options.use_cache:
                    raise
                # A cache that is full or cannot be written: the files lie in a folder of this run's own.
                _say_unused(error)
                cache = PreparedCache(None)
                cleanup.callback(cache.close)
                runner, plan = open_limited(bundle, cache, options, threads, progress)
        else:
            plan = unlimited_plan(options.batch, memory().resident)
            found = _Unlimited(bundle, options, threads, cache, key, progress)
            runner = found.on_providers(choices) or open_whole(bundle, found.prepared_graph(), options.session)
        runner = stepping(runner, options.session, threads)
        cleanup.pop_all()
        return OpenedBundle(bundle, runner, plan, cache)


def _cache(options: OpenOptions) -> PreparedCache | None:
    """The cache to look into. One that cannot be used is said, and is no reason not to run."""
    if options.use_cache:
        try:
            return usual_cache()
        except OutputError as error:
            _say_unused(error)
    # A limited engine always works from prepared files; without the cache they are in a folder of its own.
    return None if options.memory_limit is None else PreparedCache(None)


def _say_unused(error: OutputError) -> None:
    _LOG.warning("running without the cache of prepared models: %s", error)


@dataclass(frozen=True)
class _Unlimited:
    """A checked bundle that is opened without a limit. `key` names its prepared folder in `cache`."""

    bundle: Bundle
    options: OpenOptions
    threads: int
    cache: PreparedCache | None
    key: str
    progress: ProgressCall | None

    def on_providers(self, choices: tuple[ProviderChoice, ...]) -> Runner | None:
        """The bundle on the providers that load; None: on the CPU alone."""
        if not choices:
            return None
        self.try_first()
        # Imported when there is more than the CPU.
        from edge_runtime.opening.on_providers import Wanted, open_on_providers

        options, session = self.options, self.options.session
        named = insisted(session.device, session.require_provider)
        wanted = Wanted(choices, session, self.threads, options.batch, named, options.prepare, self.cache, self.key)
        runner = open_on_providers(self.bundle, wanted, self.progress)
        return None if runner is None else checked(runner, self.bundle)

    def try_first(self) -> None:
        """Have the bundle tried in a process of its own, where that was not done. Raises BundleError."""
        from edge_runtime.prepare.trial import try_bundle

        cache = self.cache if self.options.use_cache else None
        try_bundle(self.bundle, cache, self.key, self.threads)

    def prepared_graph(self) -> PreparedGraph | None:
        """The whole graph as it was prepared, or is now where that is wanted; None: there is none that can be used."""
        if self.cache is None:
            self.try_first()
            return None
        folder = self.cache.use(self.key)
        whole = None if folder is None else read_json(PreparedWhole, folder / WHOLE)
        if whole is None and self.options.prepare:
            from edge_runtime.prepare.make import prepare_in

            # Nothing needs it: a cache that cannot be written costs a slower start, not the run.
            try:
                folder = prepare_in(
                    self.cache, self.bundle, self.options.batch, self.threads, None, self.progress, blocks=False
                )
                whole = read_json(PreparedWhole, folder / WHOLE)
            except OutputError as error:
                _say_unused(error)
            except (RefusedError, MemoryLimitError):
                raise
            except EdgelineError:
                pass
        if whole is None:  # nothing was prepared, which would have been the first contact
            self.try_first()
        if folder is None or whole is None:
            return None
        try:
            return prepared_graph(folder, whole)
        except EngineError:
            give_up(folder)
            return None
