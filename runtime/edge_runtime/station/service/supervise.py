"""While stations work: the watchdog is told that they do, and a recipe that was changed takes their place."""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path
from typing import Protocol

from edge_runtime.errors import EdgelineError, StoreError, UsageError
from edge_runtime.inspect.stop import Stop
from edge_runtime.station.recipe.load import Loaded
from edge_runtime.station.service.notify import Service
from edge_runtime.station.service.pulse import Pulse
from edge_runtime.station.service.steady import Steady
from edge_runtime.station.work import Work
from edge_runtime.store.writer import Writer

__all__ = ["Reloading", "Supervision"]

_LOOK_S = 0.2
_AGAIN_S = 60.0  # what an update switched to, and could not be taken over nor returned from, is tried again


class Reloading(Protocol):
    """Says when a recipe is to be read anew, and reads it."""

    def asked(self) -> bool:
        """Whether it is, since this was last asked."""
        ...

    def ends(self) -> int:
        """The signal that ends the run instead, 0 for none."""
        ...

    def read(self) -> Loaded:
        """Read and check it. Raises UsageError, after its mistakes were told."""
        ...


class Supervision:
    """Of one recipe's stations, in the thread that signals come to."""

    def __init__(
        self,
        work: Work,
        writer: Writer,
        pulse: Pulse,
        service: Service,
        stop: Stop,
        say: Callable[[str], None],
        meanwhile: Callable[[], None] = lambda: None,
    ) -> None:
        """`meanwhile` is called now and then, in this thread; an error of it ends the stations."""
        self._work, self._writer, self._pulse = work, writer, pulse
        self._service, self._stop, self._say, self._meanwhile = service, stop, say, meanwhile
        self._steady = Steady(work.limited)
        self._told = False
        self._tried: tuple[Path, ...] = ()
        self._tried_s = 0.0
        self._switched()  # what they take the place of again, as it could not be opened, waits

    def watch(self, reloading: Reloading | None, opening: Callable[[Loaded], Work]) -> Work | None:
        """Return when the stations have ended: None, or those that go on in their place. Raises what ended them."""
        try:
            return self._watch(reloading, opening)
        finally:
            self._steady.end()

    def _watch(self, reloading: Reloading | None, opening: Callable[[Loaded], Work]) -> Work | None:
        following: Work | None = None
        while not self._work.over(_LOOK_S):
            self._look()
            if reloading is not None and (reloading.asked() or self._switched()):
                if number := reloading.ends():
                    self._stop.signal = self._stop.signal or number
                else:
                    following = self._next(reloading, opening)
                if following is not None:
                    self._work.stop.end()
                    break
        while not self._work.over(_LOOK_S):
            self._look()
        if self._work.errors:
            if following is not None:
                following.stop.end()
            raise self._work.errors[0]
        if following is None:
            self._service.stopping()
        return following

    def _switched(self) -> bool:
        """Whether an update has switched a bundle of these stations to a version that was not tried just now."""
        if not self._work.loaded.moved:
            return False
        found = tuple(station.bundle for station in self._work.loaded.again().recipe.stations.values())
        now = time.monotonic()
        if found == self._tried and now - self._tried_s < _AGAIN_S:
            return False
        self._tried, self._tried_s = found, now
        return True

    def _look(self) -> None:
        now = time.monotonic()
        if not self._told and self._work.ready:
            self._told = True
            self._service.ready(f"stations at work: {', '.join(self._work.loaded.recipe.stations)}")
            self._steady.begin(now)
        self._steady.look(now)
        try:
            self._meanwhile()
        except EdgelineError as error:
            self._work.errors.append(error)
            self._work.stop.end()
        self._service.beat(self._pulse.stuck(self._writer), now)

    def _next(self, reloading: Reloading, opening: Callable[[Loaded], Work]) -> Work | None:
        """Open what the recipe says now, while the stations go on; None: it cannot be, and they go on."""
        self._service.reloading()
        following: Work | None = None
        try:
            if self._writer.waiting.since is not None:
                raise StoreError("the store cannot be written, and what waits in memory would be lost; free some space")
            following = opening(_same_store(self._work.loaded, reloading.read()))
            if not following.alone:
                following.begin()
                while not following.opened(_LOOK_S):
                    self._look()
                    if self._stop() or self._work.stop():
                        following.stop.end()
                        following.probation.end()
                        return None
                if following.errors:
                    raise following.errors[0]
        except (EdgelineError, OSError) as error:
            if following is not None:
                following.probation.failed(error)
                following.probation.end()
            elif self._work.loaded.moved:  # it could not even be read with what was switched to
                self._work.probation.refused(error)
            self._say(f"NOT RELOADED, the recipe of before goes on: {error}")
            self._service.ready("not reloaded: the recipe of before goes on")
            return None
        self._say("reloaded: the stations of the new recipe go on")
        return following


def _same_store(before: Loaded, now: Loaded) -> Loaded:
    if before.recipe.store.path.resolve() != now.recipe.store.path.resolve():
        raise UsageError(
            f"the store is another one, {now.recipe.store.path}; end the station and start it anew for that"
        )
    return now
