"""What a preparing process is asked for, how it is called, and the lines it answers with."""

from __future__ import annotations

import json
import logging
import signal
import subprocess
import sys
import tempfile
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import IO, Any, Union

from edge_devices.interpreter import python_environment, python_module
from edge_devices.process_memory import memory, note_beside
from edge_runtime import errors
from edge_runtime.errors import EdgelineError, EngineError, MemoryLimitError
from edge_runtime.files.schema import to_json
from edge_runtime.files.shortage import says_shortage, shortage
from edge_runtime.files.sizes import format_size
from edge_runtime.plan.measurements import Limit
from edge_runtime.prepare.watch import Watch, Watched

__all__ = [
    "ChildDiedError",
    "PlanRequest",
    "ProgressCall",
    "ProvidersRequest",
    "Request",
    "TrialRequest",
    "WantedProvider",
    "call",
    "quiet",
    "say",
    "say_error",
    "short_of_memory",
]

# Called with what is being done, the steps done and the steps in all.
ProgressCall = Callable[[str, int, int], None]
_LOG = logging.getLogger(__name__)
_SAID: set[str] = set()


_CURE = "prepare the bundle once with more: --prepare-limit SIZE, or edge-bench --prepare BUNDLE"
# How native code that is given a hostile graph ends a process.
_CRASHES = {
    signal.SIGSEGV: "it crashed (SIGSEGV)",
    signal.SIGBUS: "it crashed (SIGBUS)",
    signal.SIGFPE: "it divided by zero or beyond its range (SIGFPE)",
    signal.SIGILL: "it crashed (SIGILL)",
    signal.SIGABRT: "it gave up (SIGABRT)",
    signal.SIGXCPU: "it did not come to an end",
    signal.SIGSYS: "it did what no model does (SIGSYS)",
}


class ChildDiedError(EngineError):
    """A child process was ended by what it ran, or did not end; `why` says how."""

    def __init__(self, message: str, why: str) -> None:
        super().__init__(message)
        self.why = why


def quiet(_what: str, _done: int, _total: int) -> None:
    """Nobody wants to know."""


@dataclass(frozen=True)
class Request:
    """Lower the blocks or the whole graph (or both) of `bundle` into `folder`, and measure the blocks.

    What lies in the folder already is kept. `batches` ascending, the first 1. `limit_bytes`: what the process may
    take; None: no limit. `rehearse`: instead of that, run the most frugal plan and tell what it took more than planned.
    """

    bundle: str
    folder: str
    blocks: bool
    whole: bool
    threads: int
    batches: tuple[int, ...]
    limit_bytes: Union[int, None]
    rehearse: bool = False


@dataclass(frozen=True)
class PlanRequest:
    """Plan `bundle` from the prepared folder's file `measured` for `limit`, and write the plan to `target`."""

    bundle: str
    measured: str
    target: str
    limit: Limit


@dataclass(frozen=True)
class WantedProvider:
    """A provider by its full name and its options, with nothing left to fill in."""

    name: str
    options: dict[str, str]


@dataclass(frozen=True)
class TrialRequest:
    """Open `bundle` and run it once, in so many bytes of memory and seconds of processor time."""

    bundle: str
    threads: int
    memory_bytes: int
    seconds: float


@dataclass(frozen=True)
class ProvidersRequest:
    """Measure `bundle` on `providers` and the CPU, `batch` images at a time, and write what was found to `target`.

    `insisted`: the whole graph on the CPU alone is not to be chosen.
    """

    bundle: str
    target: str
    threads: int
    lanes: int
    spinning: bool
    batch: int
    insisted: bool
    providers: tuple[WantedProvider, ...]


def say(**message: Any) -> None:
    """Write one line of JSON to the process that waits: `step`, `done`, `total`; `result`; or `error`, `kind`."""
    sys.stdout.write(json.dumps(message) + "\n")
    sys.stdout.flush()


def say_error(error: EdgelineError) -> None:
    """Write an error of ours as the line that `call` raises it from."""
    say(error=str(error), kind=type(error).__name__, smallest=getattr(error, "smallest_bytes", None))


def short_of_memory(said: str, most_bytes: int | None = None) -> MemoryLimitError:
    """The error of a process that the kernel gave no more memory, in the words of what asked for it."""
    bound = "" if most_bytes is None else f", it may take {format_size(most_bytes)}"
    return MemoryLimitError(f"preparing this bundle takes too much memory{bound}: {said}; {_CURE}")


def call(
    module: str,
    request: Request | PlanRequest | ProvidersRequest | TrialRequest,
    tell: ProgressCall,
    most_bytes: int | None = None,
    quiet_seconds: float = 3600.0,
) -> Any:
    """Run `module` in a process of its own on a request and return its result.

    It is killed when it takes more than `most_bytes` of memory of its own (None: what there is), or says nothing for
    `quiet_seconds`. Raises what the process says, MemoryLimitError when it took more or the kernel killed it,
    ChildDiedError when it crashed or did not end.
    """
    with tempfile.TemporaryFile() as noise:
        command = python_module(module, json.dumps(to_json(request)))
        before = memory().own
        with _started(command, noise) as child:
            watch = Watch(child, Watched(most_bytes, quiet_seconds))
            try:
                with watch:
                    result = _listen(child, tell, watch)
                    child.wait()
            except BaseException:
                child.kill()
                raise
            finally:
                note_beside(before, watch.peak)
        if result is None or child.returncode == -signal.SIGKILL:
            noise.seek(0)
            raise _ended(child.returncode, watch, most_bytes, noise.read().decode("utf-8", "replace"))
        return result


def _ended(code: int, watch: Watch, most_bytes: int | None, noise: str) -> EdgelineError:
    """The error for a child that gave no result."""
    last = " ".join(noise.strip().splitlines()[-1:])[:300]
    if watch.reason == "memory":
        return MemoryLimitError(
            f"preparing this bundle takes more than {format_size(watch.peak)} in a process of its own, "
            f"{format_size(most_bytes or 0)} are left of the limit; {_CURE}"
        )
    if watch.reason == "silence":
        return ChildDiedError("the process that prepares the bundle says nothing any more", "it did not come to an end")
    if code == -signal.SIGKILL:
        return MemoryLimitError(
            "the kernel killed the preparing process: this machine, or the memory cgroup, has too little memory "
            f"for it; {_CURE}"
        )
    if says_shortage(last):
        return short_of_memory(last)
    message = f"preparing the bundle ended with code {code}: {last}"
    return ChildDiedError(message, _CRASHES[signal.Signals(-code)]) if -code in _CRASHES else EngineError(message)


def _started(command: list[str], noise: IO[bytes]) -> subprocess.Popen[str]:
    try:
        return subprocess.Popen(
            command,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=noise,
            text=True,
            env=python_environment(),
        )
    except OSError as error:
        raise shortage(error) or EngineError(
            f"cannot start {command[0]}, which prepares the bundle: {error.strerror}; see that this user may run it"
        ) from error


def _listen(child: subprocess.Popen[str], tell: ProgressCall, watch: Watch) -> Any:
    result = None
    for line in child.stdout or ():
        watch.heard()
        message = _message(line)
        if "error" in message:
            kind = getattr(errors, message["kind"], EngineError)
            if kind is MemoryLimitError:
                raise MemoryLimitError(message["error"], message.get("smallest"))
            raise kind(message["error"]) if issubclass(kind, EdgelineError) else EngineError(message["error"])
        if "step" in message:
            tell(message["step"], message["done"], message["total"])
        if "missing" in message:
            _say_missing(message["missing"])
        result = message.get("result", result)
    return result


def _say_missing(missing: Sequence[str]) -> None:
    """Say once what of its confinement a child could not have here."""
    words = ", ".join(str(one)[:200] for one in missing)
    if words and words not in _SAID:
        _SAID.add(words)
        _LOG.warning("this system cannot give the bundle's first run: %s", words)


def _message(line: str) -> dict[str, Any]:
    """One answer; what a library printed in between is none."""
    try:
        message = json.loads(line)
    except ValueError:
        return {}
    return message if isinstance(message, dict) else {}
