"""One life of the reader's process: how it begins, how it is asked for a decoder, what becomes of it.

A command begins one before it imports anything heavy: what the two need is then loaded at the same time.
"""

from __future__ import annotations

import contextlib
import os
import signal
import socket
import subprocess
import threading
from pathlib import Path
from typing import Any

from edge_devices.interpreter import python_environment, python_module
from edge_runtime.errors import EdgelineError, SourceError
from edge_runtime.files.shortage import shortage
from edge_runtime.inspect.reader.messages import send

__all__ = ["Life", "begin_ahead", "new_life"]

# One thread for numpy, which does nothing here. OpenCV: what FFmpeg tells, on stderr, where log.py hears it.
_ENVIRONMENT = {"OPENBLAS_NUM_THREADS": "1", "OMP_NUM_THREADS": "1", "OPENCV_FFMPEG_LOGLEVEL": "48"}


class Life:
    """One process, from its start to its end."""

    def __init__(self) -> None:
        """Raises SourceError when no process can be started."""
        ours, theirs = socket.socketpair()
        # The kernel ends a child with the *thread* that started it, so only the main thread asks for that.
        parent = os.getpid() if threading.current_thread() is threading.main_thread() else 0
        words = python_module("edge_runtime.inspect.reader.child", str(theirs.fileno()), str(parent))
        environment = {**python_environment(), **_ENVIRONMENT}
        with theirs:
            try:
                # A session of its own: what Ctrl-C means is decided here.
                self._process = subprocess.Popen(
                    words,
                    stdin=subprocess.DEVNULL,
                    stdout=subprocess.DEVNULL,
                    stderr=subprocess.DEVNULL,
                    env=environment,
                    pass_fds=[theirs.fileno()],
                    start_new_session=True,
                )
            except OSError as error:
                ours.close()
                if (short := shortage(error)) is not None:
                    raise short from error
                raise SourceError(f"cannot start the process that reads videos: {error.strerror}") from error
        self._control = ours
        self.pid = self._process.pid
        self._killed = ""

    @property
    def dead(self) -> bool:
        """Whether it has ended."""
        return bool(self._killed) or self._process.poll() is not None

    def ask(self, message: dict[str, Any]) -> socket.socket:
        """Ask for a decoder; what becomes of it is said on the socket that is returned."""
        ours, theirs = socket.socketpair()
        with theirs, contextlib.suppress(OSError):  # whoever reads the other one finds that it is gone
            send(self._control, message, theirs.fileno())
        return ours

    def offer(self) -> None:
        """Where the kernel has to end a process for its memory, it is this one: that costs a reconnect, not the run."""
        with contextlib.suppress(OSError):
            Path(f"/proc/{self.pid}/oom_score_adj").write_text("1000")

    def kill(self, why: str) -> None:
        """End it at once: all its decoders end with this reason, unless it has ended by itself, which has its own."""
        if self._process.poll() is None:
            self._killed = self._killed or why
            self._process.kill()

    def fate(self) -> str:
        """Why it ended; waits for that."""
        try:
            code = self._process.wait(2.0)
        except subprocess.TimeoutExpired:
            self.kill("closed its side")
            code = self._process.wait()
        if self._killed:
            return self._killed
        if code < 0:
            with contextlib.suppress(ValueError):
                return f"died of {signal.Signals(-code).name}"
        return f"ended with exit code {code}"

    def end(self) -> None:
        """End it, and wait for that."""
        self._control.close()
        self.kill("closed")
        self._process.wait()


_ahead: list[Life] = []


def begin_ahead() -> None:
    """Begin one that whoever asks first will get. What is in the way of that is said to who asks."""
    with contextlib.suppress(EdgelineError):
        _ahead.append(Life())


def new_life() -> Life:
    """Return the one that was begun ahead, if it is there and lives, or else a new one.

    Raises SourceError, EngineError for a lack of descriptors.
    """
    with contextlib.suppress(IndexError):
        if not (life := _ahead.pop()).dead:
            return life
    return Life()
