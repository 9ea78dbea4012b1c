"""Files that are hashed while they are loaded: no answer comes before what it was computed from is known to be sound.

onnxruntime reads weights by itself. They are read once more, in a thread beside its loading and the first run where
they are large; the first answer waits for that.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from edge_runtime.errors import EdgelineError
from edge_runtime.ort.runner import Arrays, Runner, Tensors

__all__ = ["Check", "ReadAgain", "SoundRunner", "read_again"]

_AT_ONCE = 4 << 20  # below it a thread takes longer than the reading


@dataclass
class ReadAgain:
    """What this process read once more to be sure of it: bytes, and the seconds of it that somebody waited for."""

    bytes: int = 0
    waited: float = 0.0


read_again = ReadAgain()


class Check:
    """One look at files, under way or done. `look` raises an error of ours for what is not sound."""

    def __init__(self, look: Callable[[], None], size: int) -> None:
        """`size`: the bytes that it reads. Raises what `look` raises where that is done at once."""
        self._look = look
        self._error: Exception | None = None
        self._thread: threading.Thread | None = None
        read_again.bytes += size
        if size < _AT_ONCE:
            started = time.perf_counter()
            look()
            read_again.waited += time.perf_counter() - started
        else:
            self._thread = threading.Thread(target=self._run, name="edgeline-check", daemon=True)
            self._thread.start()

    @property
    def done(self) -> bool:
        """Whether there is nothing to wait for."""
        return self._thread is None

    def wait(self) -> None:
        """Wait for its end. Raises what was found."""
        if self._thread is not None:
            started = time.perf_counter()
            self._thread.join()
            read_again.waited += time.perf_counter() - started
            self._thread = None
        if self._error is not None:
            raise self._error

    def _run(self) -> None:
        try:
            self._look()
        except Exception as error:  # noqa: BLE001  # raised to whoever waits
            self._error = error


class SoundRunner:
    """What `runner` answers, once `check` found its files sound; else what `instead` opens, where there is that."""

    def __init__(self, runner: Runner, check: Check, instead: Callable[[], Runner] | None = None) -> None:
        self._runner, self._check, self._instead = runner, check, instead
        self._lock = threading.Lock()
        self._sound = False

    @property
    def providers(self) -> tuple[str, ...]:
        """Those of what runs."""
        return self._runner.providers

    def run(self, feeds: Arrays) -> Tensors:
        """Run named arrays. Raises EngineError, and what the check found."""
        if self._sound:
            return self._runner.run(feeds)
        runner = self._runner
        outputs = runner.run(feeds)  # beside the check
        with self._lock:
            if not self._sound:
                self._wait()
                self._sound = True
            sound = self._runner
        return outputs if sound is runner else sound.run(feeds)

    def _wait(self) -> None:
        """Wait for the check; what is damaged gives way to what stands instead, and is raised where there is none."""
        try:
            self._check.wait()
        except EdgelineError:
            if self._instead is None:
                raise
            damaged, self._runner = self._runner, self._instead()
            damaged.close()

    def room(self, name: str, shape: tuple[int, ...], dtype: np.dtype[np.generic]) -> NDArray[np.generic]:
        """As what runs has it."""
        return self._runner.room(name, shape, dtype)

    def stop(self) -> None:
        """Stop what runs."""
        self._runner.stop()

    def close(self) -> None:
        """Free everything; the check comes to its end first."""
        with self._lock:
            self._instead = None
            if not self._check.done:
                try:
                    self._check.wait()
                except EdgelineError:
                    self._sound = False
        self._runner.close()
