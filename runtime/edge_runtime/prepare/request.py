"""What a preparing process is asked for, how it is called, and the lines it answers with."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
import tempfile
from collections.abc import Callable
from dataclasses import dataclass
from typing import IO, Any, Union

from edge_devices.interpreter import python_environment, python_module
from edge_runtime import errors
from edge_runtime.errors import EdgelineError, EngineError, MemoryLimitError
from edge_runtime.files.schema import to_json
from edge_runtime.files.shortage import shortage
from edge_runtime.plan.measurements import Limit

__all__ = [
    "PlanRequest",
    "ProgressCall",
    "ProvidersRequest",
    "Request",
    "WantedProvider",
    "call",
    "quiet",
    "say",
    "say_error",
]

# Called with what is being done, the steps done and the steps in all.
ProgressCall = Callable[[str, int, int], None]


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


def call(module: str, request: Request | PlanRequest | ProvidersRequest, tell: ProgressCall) -> Any:
    """Run `module` in a process of its own on a request and return its result.

    Raises what the process says, MemoryLimitError when the kernel killed it.
    """
    with tempfile.TemporaryFile() as noise:
        command = python_module(module, json.dumps(to_json(request)))
        with _started(command, noise) as child:
            try:
                result = _listen(child, tell)
            except BaseException:
                child.kill()
                raise
        if child.returncode == -signal.SIGKILL:
            raise MemoryLimitError(
                "the kernel killed the preparing process: this machine, or the memory cgroup, has too little memory "
                "for it; prepare the bundle with more: edge-bench --prepare BUNDLE"
            )
        if result is None:
            noise.seek(0)
            last = noise.read().decode("utf-8", "replace").strip().splitlines()[-1:]
            raise EngineError(f"preparing the bundle ended with code {child.returncode}: {' '.join(last)[:300]}")
        return result


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


def _listen(child: subprocess.Popen[str], tell: ProgressCall) -> Any:
    result = None
    for line in child.stdout or ():
        message = _message(line)
        if "error" in message:
            kind = getattr(errors, message["kind"], EngineError)
            if kind is MemoryLimitError:
                raise MemoryLimitError(message["error"], message.get("smallest"))
            raise kind(message["error"]) if issubclass(kind, EdgelineError) else EngineError(message["error"])
        if "step" in message:
            tell(message["step"], message["done"], message["total"])
        result = message.get("result", result)
    return result


def _message(line: str) -> dict[str, Any]:
    """One answer; what a library printed in between is none."""
    try:
        message = json.loads(line)
    except ValueError:
        return {}
    return message if isinstance(message, dict) else {}
