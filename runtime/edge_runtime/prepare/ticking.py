"""A step that tells nothing while it lasts, such as TensorRT building an engine for minutes, told with its seconds."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from edge_runtime.prepare.request import ProgressCall

__all__ = ["Ticking"]

# A step that is shorter than this is told without a time.
_SHORT_SECONDS = 2.0


class Ticking:
    """Stands before a progress call and repeats the last step every second with the time it has taken so far.

    Call it as that one. `with Ticking(tell) as tell:` ticks inside. onnxruntime before 1.25 holds the interpreter while
    it makes a session, so for these the ticking has to be in another process than the making, as it is in prepare.
    """

    def __init__(self, tell: ProgressCall, every: float = 1.0, clock: Callable[[], float] = time.monotonic) -> None:
        self._tell, self._every, self._clock = tell, every, clock
        self._lock = threading.Lock()
        self._over = threading.Event()
        self._step: tuple[str, int, int] | None = None
        self._since = 0.0
        self._thread = threading.Thread(target=self._run, name="edgeline-ticking", daemon=True)

    def __call__(self, what: str, done: int, total: int) -> None:
        """Tell a step."""
        with self._lock:
            self._step, self._since = (what, done, total), self._clock()
            self._tell(what, done, total)

    def tick(self) -> None:
        """Tell the last step again, with the seconds since."""
        with self._lock:
            if self._step is None:
                return
            what, done, total = self._step
            seconds = self._clock() - self._since
            self._tell(what if seconds < _SHORT_SECONDS else f"{what}, {seconds:.0f} s", done, total)

    def __enter__(self) -> Ticking:
        self._thread.start()
        return self

    def __exit__(self, *_exception: object) -> None:
        self._over.set()
        self._thread.join()

    def _run(self) -> None:
        while not self._over.wait(self._every):
            self.tick()
