"""Watching a child process from outside: what memory it takes, and whether it still says anything.

The kernel keeps a child to what it reserves (prepare/confine/limits.py); what of that it touches is looked at here,
fifty times a second. A child that goes over is killed, and so is one that is silent for too long: it waits for what
never comes.
"""

from __future__ import annotations

import subprocess
import threading
import time
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Literal

__all__ = ["Watch", "Watched", "own_bytes"]

_EVERY_SECONDS, _SELDOM_SECONDS = 0.02, 0.2


@dataclass(frozen=True)
class Watched:
    """What a child may do: bytes of its own, None for no limit of them; seconds without a word."""

    most_bytes: int | None = None
    quiet_seconds: float = 3600.0


def own_bytes(pid: int, most: int = 0) -> int:
    """Return the bytes in memory that a process shares with no file and no other process; 0 for one that has ended.

    Pages of an arena that it has mapped more than once (blocks/laying.py) count once, where the sum is above `most`:
    the process waits while the system counts them.
    """
    kib = _fields(f"/proc/{pid}/status")
    own, shared = kib.get("RssAnon", 0), kib.get("RssShmem", 0)
    if shared and (own + shared) << 10 > most:
        parts = _fields(f"/proc/{pid}/smaps_rollup")
        own, shared = parts.get("Pss_Anon", own), parts.get("Pss_Shmem", shared)
    return (own + shared) << 10


def _fields(path: str) -> dict[str, int]:
    """The sizes of a file of /proc, in KiB by their names."""
    try:
        lines = Path(path).read_text(encoding="utf-8", errors="replace").splitlines()
        return {line.split(":")[0]: int(line.split()[1]) for line in lines if line.endswith(" kB")}
    except (OSError, ValueError, IndexError):  # it has ended, or is another user's
        return {}


class Watch:
    """Watches one child while it is entered, and kills it where it does more than it may."""

    def __init__(self, child: subprocess.Popen[str], allowed: Watched) -> None:
        self.peak = 0
        self.reason: Literal["", "memory", "silence"] = ""  # why it was killed
        self._child, self._allowed = child, allowed
        self._heard = time.monotonic()
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._run, name="edgeline-watch", daemon=True)

    def heard(self) -> None:
        """Say that the child said something."""
        self._heard = time.monotonic()

    def __enter__(self) -> Watch:
        self._thread.start()
        return self

    def __exit__(
        self, _kind: type[BaseException] | None, _error: BaseException | None, _trace: TracebackType | None
    ) -> None:
        self._over.set()
        self._thread.join()

    def _run(self) -> None:
        most = self._allowed.most_bytes
        while not self._over.wait(_EVERY_SECONDS if most is not None else _SELDOM_SECONDS):
            if most is not None:
                self.peak = max(self.peak, own_bytes(self._child.pid, most))
            if most is not None and self.peak > most:
                self.reason = "memory"
            elif time.monotonic() - self._heard > self._allowed.quiet_seconds:
                self.reason = "silence"
            if self.reason:
                self._child.kill()
                return
