"""The groups of a recipe: opened in threads of their own, and at work as soon as it is said where verdicts go.

So another recipe can be opened while the stations of this one go on.
"""

from __future__ import annotations

import contextlib
import threading
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

from edge_runtime.inspect.opening import Progress
from edge_runtime.inspect.pipeline import run_inside
from edge_runtime.inspect.reader.process import ReaderProcess
from edge_runtime.inspect.sinks.base import Sink
from edge_runtime.inspect.sources.base import Source
from edge_runtime.inspect.sources.streams import is_camera
from edge_runtime.inspect.stop import Stop
from edge_runtime.inspect.summary import Summary
from edge_runtime.results import Judge
from edge_runtime.station.figures import Figures
from edge_runtime.station.groups import Group, SettingsFor, groups_of
from edge_runtime.station.recipe.load import Loaded
from edge_runtime.station.recipe.mistakes import RecipeError
from edge_runtime.station.rules.held import rule_mistakes
from edge_runtime.station.sink import Shared
from edge_runtime.station.updates.probation import Probation

__all__ = ["Work"]


class _NotWantedError(Exception):
    """It was opened, and ended before it was to begin."""


class Work:
    """The stations of a recipe at work. `errors`: what went wrong; one that goes wrong ends all."""

    def __init__(
        self, loaded: Loaded, settings_for: SettingsFor, stop: Stop, progress: Progress, say: Callable[[str], None]
    ) -> None:
        """Raises RecipeError, and what `settings_for` raises.

        What is on probation is counted as begun before anything of it is opened, and is returned from if it cannot be.
        """
        self.probation = Probation(loaded.links, loaded.recipe.updates, say)
        self.probation.begin()
        try:
            self._open(loaded.again(), settings_for, stop, progress, say)
        except BaseException as error:
            self.probation.failed(error)
            self.probation.end()
            raise

    def _open(
        self, loaded: Loaded, settings_for: SettingsFor, stop: Stop, progress: Progress, say: Callable[[str], None]
    ) -> None:
        if mistakes := list(rule_mistakes(loaded)):
            raise RecipeError(loaded.file, mistakes)
        self.loaded = loaded
        self.stop = Stop(stop)
        self.errors: list[BaseException] = []
        self.figures = {name: Figures() for name in loaded.recipe.stations}
        self._groups = groups_of(loaded.recipe, loaded.file.absolute().parent, settings_for)
        self._progress, self._say = progress, say
        self._changed = threading.Condition()
        self._opened = self._working = self._ended = 0
        self._shared: Shared | None = None
        self._begun = False

    @property
    def alone(self) -> bool:
        """Whether it cannot be opened while others are at work: for want of memory, or of a camera for two."""
        inputs = [source.text for group in self._groups for source in group.settings.inputs.sources]
        return self.limited or any(map(is_camera, inputs))

    @property
    def limited(self) -> bool:
        """Whether the process is to stay within a memory limit."""
        return any(group.settings.engine.options.memory_limit is not None for group in self._groups)

    @property
    def ready(self) -> bool:
        """Whether all are at work, or were."""
        with self._changed:
            return self._working == len(self._groups)

    def begin(self) -> None:
        """Open what there is to be opened; a second call does nothing."""
        if not self._begun:
            self._begun = True
            for group in self._groups:
                threading.Thread(target=self._work, args=(group,), name="edgeline-group", daemon=True).start()

    def go(self, shared: Shared) -> None:
        """Say where verdicts go: work begins as soon as everything is open."""
        with self._changed:
            self._shared = shared
            self._changed.notify_all()
        self.begin()

    def opened(self, seconds: float) -> bool:
        """Wait so long at most until everything is open, or something cannot be."""
        with self._changed:
            return self._changed.wait_for(lambda: bool(self.errors) or self._opened == len(self._groups), seconds)

    def over(self, seconds: float) -> bool:
        """Wait so long at most until all have ended."""
        with self._changed:
            return self._changed.wait_for(lambda: self._ended == len(self._groups), seconds)

    def _work(self, group: Group) -> None:
        own = Stop(self.stop)
        waited: list[Shared] = []

        def shared() -> Shared:
            if not waited:
                waited.append(self._when_due(own))
            return waited[0]

        def around(number: int, source: Source) -> Source:
            return group.around(shared(), own, self._say)(number, source)

        def sinks(
            engine: Judge, sources: Sequence[tuple[str, Source]], stop: Stop, cleanup: contextlib.ExitStack
        ) -> tuple[list[list[Sink]], list[tuple[str, Path]]]:
            return group.open_sinks(shared(), self.figures)(engine, sources, stop, cleanup)

        try:
            run_inside(group.settings, own, self._progress, Summary(), sinks, self._at_work, self._say, around)
        except _NotWantedError:
            pass
        except BaseException as error:  # noqa: BLE001  # raised by whoever waits for the end
            with self._changed:
                self.errors.append(error)
            self.stop.end()
        finally:
            with self._changed:
                self._ended += 1
                self._changed.notify_all()

    def _when_due(self, stop: Stop) -> Shared:
        with self._changed:
            self._opened += 1
            self._changed.notify_all()
            while self._shared is None:
                if stop():
                    raise _NotWantedError
                self._changed.wait(0.2)
            return self._shared

    @contextlib.contextmanager
    def _at_work(self, reader: ReaderProcess) -> Iterator[None]:
        with self._changed:
            self._working += 1
            self._changed.notify_all()
        yield
