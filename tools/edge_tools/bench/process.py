"""A measured process seen from outside: started, told to run, frozen while others run, and always ended."""

from __future__ import annotations

import contextlib
import json
import os
import select
import signal
import subprocess
import tempfile
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

from edge_devices.interpreter import python_code, python_environment
from edge_devices.process_tree import PeakWatch
from edge_runtime.errors import EngineError, MemoryLimitError
from edge_runtime.files.sizes import format_size
from edge_tools.bench.confine import Charges, Group
from edge_tools.bench.order import Order

__all__ = ["KilledError", "Worker", "start_worker"]

_WORKER = "from edge_tools.bench.worker import main; main()"
# A shell joins the groups before the interpreter is there: what is charged to a group is charged once and for all.
_JOIN = 'while [ "$1" != -- ]; do echo $$ > "$1/cgroup.procs" || exit 1; shift; done; shift; exec "$@"'


class KilledError(Exception):
    """The process was killed, most likely by the kernel for its memory; the message says how it is known."""


class Worker:
    """One measured process. `first` is what it told of its first result, `group` the control group it lives in.

    `weighed`: its memory is watched, which takes it time, so that nothing of it is timed.
    """

    def __init__(self, order: Order, name: str, timeout: float, group: Group | None, weighed: bool = False) -> None:
        self.name = name
        self.group = group
        self.first: dict[str, Any] = {}
        self._timeout = timeout
        self._buffer = b""
        self._stderr = tempfile.TemporaryFile()  # noqa: SIM115 - closed in end()
        join = [] if group is None else ["/bin/sh", "-c", _JOIN, "sh", *map(str, group.folders), "--"]
        # Its own session: Ctrl-C comes to this process alone, which then ends the others.
        self._process = subprocess.Popen(
            [*join, *python_code(_WORKER, replace(order, started_ns=time.monotonic_ns()).to_text())],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=self._stderr,
            env=python_environment(),
            start_new_session=True,
        )
        self._watch = PeakWatch(self._process.pid) if weighed else None
        if self._watch is not None:
            self._watch.start()

    def open(self) -> None:
        """Wait for the first result. Raises MemoryLimitError (refused), KilledError, EngineError for other failures."""
        self.first = self._read()
        if "refused" in self.first:
            raise MemoryLimitError(self.first["refused"], self.first["smallest_bytes"])

    def run(self, calls: int = 1) -> dict[str, Any]:
        """Run that many calls; returns {"ms": each call's time, "resident_bytes"}. Raises as `open` does."""
        return self._ask({"run": calls})

    def run_for(self, seconds: float) -> dict[str, Any]:
        """Run calls until that time is over; returns {"ms": each call's time, "seconds": how long it really was}."""
        return self._ask({"seconds": seconds})

    def finish(self, outputs: Path) -> int:
        """Save the last outputs, end the process, and return the most memory that it and what it started had, in bytes.

        0 for one that is not weighed.
        """
        # Before saving, which is no part of the engine's work.
        peak = 0 if self._watch is None else self._watch.stop()
        self._ask({"finish": str(outputs)})
        charges = self.charges()
        if self._wait() or (charges is not None and charges.oom_kills):
            self._raise_ended()
        return peak

    def freeze(self) -> None:
        """Stop it where it is: threads that still spin or load would take time from whoever runs next."""
        self._process.send_signal(signal.SIGSTOP)

    def thaw(self) -> None:
        """Let it go on as if no time had passed."""
        self._process.send_signal(signal.SIGCONT)

    def charges(self) -> Charges | None:
        """Return what the kernel counted in its control group; None without one."""
        return None if self.group is None else self.group.charges()

    def end(self) -> None:
        """Kill what is left of it and remove its control group."""
        if self._watch is not None:
            self._watch.stop()
        if self._process.poll() is None:
            self._process.kill()
        self._process.wait()
        for stream in (self._process.stdin, self._process.stdout, self._stderr):
            if stream is not None:
                with contextlib.suppress(OSError):  # a command that a killed process did not read
                    stream.close()
        if self.group is not None:
            self.group.remove()

    def _ask(self, command: dict[str, Any]) -> dict[str, Any]:
        assert self._process.stdin is not None  # opened as a pipe above
        try:
            self._process.stdin.write(json.dumps(command).encode() + b"\n")
            self._process.stdin.flush()
        except BrokenPipeError:
            self._raise_ended()
        return self._read()

    def _read(self) -> dict[str, Any]:
        assert self._process.stdout is not None  # opened as a pipe above
        descriptor = self._process.stdout.fileno()
        end = time.monotonic() + self._timeout
        while b"\n" not in self._buffer:
            if not select.select([descriptor], [], [], max(0.0, end - time.monotonic()))[0]:
                raise EngineError(
                    f"{self.name} gave no answer within {self._timeout:g} s{self._last_words()}; "
                    "give it longer with --timeout, or look at it in edge-run"
                )
            received = os.read(descriptor, 1 << 16)
            if not received:
                self._raise_ended()
            self._buffer += received
        line, _, self._buffer = self._buffer.partition(b"\n")
        answer: dict[str, Any] = json.loads(line)
        return answer

    def _raise_ended(self) -> None:
        """Raise what the end of the process means."""
        code = self._wait()
        charges = self.charges()
        if code == -signal.SIGKILL or (charges is not None and charges.oom_kills):
            raise KilledError(_killed_message(charges))
        how = f"was ended by {signal.Signals(-code).name}" if code < 0 else f"failed (exit code {code})"
        raise EngineError(f"{self.name} {how}{self._last_words()}")

    def _wait(self) -> int:
        try:
            return self._process.wait(self._timeout)
        except subprocess.TimeoutExpired:
            raise EngineError(f"{self.name} did not end within {self._timeout:g} s of its last answer") from None

    def _last_words(self) -> str:
        self._stderr.seek(0)
        lines = self._stderr.read().decode(errors="replace").split("\n")
        last = next((line.strip() for line in reversed(lines) if line.strip()), "")
        return f": {last}" if last else ""


def _killed_message(charges: Charges | None) -> str:
    if charges is None:
        return "killed (SIGKILL): the machine itself ran out of memory, or somebody killed it"
    return (
        f"killed by the kernel for its memory: {format_size(charges.most_bytes)} charged, oom_kill {charges.oom_kills}"
    )


@contextlib.contextmanager
def start_worker(
    order: Order, name: str, timeout: float, group: Group | None = None, weighed: bool = False
) -> Iterator[Worker]:
    """Start a process for `order`; it is ended, and its group removed, whatever happens in the block."""
    try:
        worker = Worker(replace(order, parent=os.getpid()), name, timeout, group, weighed)
    except BaseException:
        if group is not None:
            group.remove()
        raise
    try:
        yield worker
    finally:
        worker.end()
