"""Threads of a session's pool put to rest, and called back: onnxruntime has one number of them for a session's life.

A thread that is at rest is in the callback of an asynchronous run and waits there. Runs find it busy, do its share of
every layer themselves and take back what they had put in its queue: the session computes as one with fewer threads
does, without a second copy of anything.
"""

from __future__ import annotations

import sys
import threading
import time
from collections.abc import Sequence
from typing import Any

from edge_runtime.errors import EngineError
from edge_runtime.ort.process import one_line
from edge_runtime.ort.runner import Arrays, Tensors

__all__ = ["Parking"]


class Parking:
    """The pool's threads of one session. For one thread at a time; has to be closed before the session is let go of."""

    def __init__(self, session: Any, outputs: Sequence[str]) -> None:
        self._session, self._outputs = session, list(outputs)
        self._gate = threading.Event()
        self._begun: list[_Resting] = []

    @property
    def resting(self) -> int:
        """How many threads are at rest, or are about to be."""
        return 0 if self._gate.is_set() else sum(not resting.failed for resting in self._begun)

    def rest_one(self, feeds: Arrays, patience_s: float = 60.0) -> Tensors | None:
        """Put one more thread to rest behind a run of `feeds`; returns its outputs.

        None where the run does not end within `patience_s`: it lies in the queue of a thread that rests, and is taken
        from there by the next one that wakes. Raises EngineError where the run fails, and the thread does not rest.
        """
        if self._gate.is_set():
            self._leave()
        resting = _Resting(self._gate)
        self._begun.append(resting)
        try:
            self._session.run_async(self._outputs, dict(feeds), resting, None)
        except Exception as error:  # onnxruntime's exceptions share no other base
            self._begun.remove(resting)
            raise EngineError(f"onnxruntime failed while running: {one_line(error)}") from error
        if not resting.there.wait(patience_s):
            return None
        values, failure = resting.take()
        if failure:
            raise EngineError(f"onnxruntime failed while running: {' '.join(failure.split())[:300]}")
        return dict(zip(self._outputs, values, strict=True))

    def call_back(self) -> None:
        """Let all threads work again, from now on."""
        self._gate.set()

    def close(self) -> None:
        """Call all back and wait until they are: a session that is let go of waits for them, and they for Python."""
        self.call_back()
        self._leave()
        self._session = None

    def _leave(self) -> None:
        for resting in self._begun:
            resting.there.wait()
            while resting.in_python:
                time.sleep(1e-4)
        self._begun = []
        self._gate = threading.Event()


class _Resting:
    """The callback of a run, in which a thread rests. Called from a thread that Python did not start."""

    def __init__(self, gate: threading.Event) -> None:
        self.there = threading.Event()
        self.failed = False
        self._gate = gate
        self._thread = 0
        self._found: tuple[list[Any], str] = ([], "")

    def __call__(self, values: list[Any], _data: object, failure: str) -> None:
        self._thread = threading.get_ident()
        self._found, self.failed = (list(values), failure), bool(failure)
        values.clear()  # the caller's list would keep the outputs while the thread rests
        self.there.set()
        if not failure:
            self._gate.wait()

    def take(self) -> tuple[list[Any], str]:
        """Return what the run gave, once."""
        found, self._found = self._found, ([], "")
        return found

    @property
    def in_python(self) -> bool:
        """Whether the thread has not left the interpreter yet. (Whoever asks holds it, so nobody comes meanwhile.)"""
        return self._thread in sys._current_frames()
