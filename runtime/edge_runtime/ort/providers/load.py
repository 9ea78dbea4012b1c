"""Whether a provider really loads: onnxruntime itself prints a warning, or nothing, and computes on the CPU."""

from __future__ import annotations

import contextlib
import logging
import os
import re
import sys
import tempfile
from collections.abc import Callable, Iterator, Sequence
from typing import IO, Any

import numpy as np

from edge_devices.profile import ProviderChoice
from edge_runtime.errors import EdgelineError, ModelError, UsageError
from edge_runtime.ort.process import import_onnxruntime, run_named, set_threads
from edge_runtime.ort.providers.choose import install_line, native_providers, short_name

__all__ = ["failure", "loading", "report", "tiny_session"]

_LOG = logging.getLogger(__name__)

# A ModelProto of one node, y = MatMul(x, w), x float [1, 4], w the unit matrix twice over.
_DOUBLE = bytes.fromhex(
    "080812003a8d010a110a01780a017712017922064d61744d756c1201672a4b0804080410014201774a40000000400000"
    "000000000000000000000000000000000040000000000000000000000000000000000000004000000000000000000000"
    "000000000000000000405a130a0178120e0a0c080112080a0208010a02080462130a0179120e0a0c080112080a020801"
    "0a02080442040a00100d"
)

# What was found out in this process, and what was said.
_FAILURES: dict[tuple[str, tuple[tuple[str, str], ...]], str] = {}
_SAID: set[str] = set()

# A library's log line: colours, "2026-11-22 10:55:52.50 [E:onnxruntime:Default, file.cc:2310 Create] text".
_COLOUR, _PREFIX = re.compile(r"\x1b\[[0-9;]*m"), re.compile(r"^[\d:. -]*\[[A-Z]:[^\]]*\]\s*")
# And in front of the text of its exceptions: "/onnxruntime/a.cc:1053 void onnxruntime::f(const X&) text".
_PLACE = re.compile(r"^\S+\.(?:cc|cpp|h):\d+ .*\) ")
_MOST_CHARACTERS = 300


def report(line: str) -> None:
    """Say something of a provider once in this process: a warning in the log, which Python writes to stderr."""
    if line not in _SAID:
        _SAID.add(line)
        _LOG.warning("%s", line)


def loading(
    choices: Sequence[ProviderChoice], threads: int, require: str = "", tell: Callable[[str], None] = report
) -> tuple[ProviderChoice, ...]:
    """Return those of `choices` that load, in order; `tell` is called with a line for each one that does not.

    Raises UsageError when there is a `require`d one (then the only choice) and it does not load.
    """
    found = []
    for choice in choices:
        why = failure(choice, threads)
        if not why:
            found.append(choice)
            continue
        line = f"{short_name(choice.name)} does not load: {why}"
        if require:
            raise UsageError(f"--require-provider {require}: {line}; {install_line(choice.name)}")
        tell(f"{line}; the next provider is used")
    return tuple(found)


def failure(choice: ProviderChoice, threads: int) -> str:
    """Return why a provider cannot compute here, "" where it can; found out once in a process, on a tiny graph."""
    key = (choice.name, tuple(sorted(choice.options.items())))
    if key not in _FAILURES:
        _FAILURES[key] = _try(choice, threads)
    return _FAILURES[key]


def _try(choice: ProviderChoice, threads: int) -> str:
    runtime = import_onnxruntime()
    present = runtime.get_available_providers()
    if choice.name not in present:
        return f"this onnxruntime has {', '.join(present)}"
    with _native_stderr() as said:
        try:
            session = tiny_session(choice, threads)
            if session.get_providers()[0] != choice.name:
                return _error_line(said) or "onnxruntime went on with the CPU and says no reason"
            given = np.array([[1.0, -2.0, 3.0, 0.5]], np.float32)
            found = run_named(session, ["y"], {"x": given})["y"]
        except EdgelineError as error:
            return _error_line(said) or _text(str(error))
    # FP16 and TF32 hold these numbers exactly.
    return "" if np.array_equal(found, 2 * given) else f"it answers {found.tolist()} where 2 * {given.tolist()} is"


def tiny_session(choice: ProviderChoice, threads: int) -> Any:
    """Open a graph that as good as computes nothing, from "x" to "y", float32 [1, 4]. Raises ModelError."""
    runtime = import_onnxruntime()
    options = runtime.SessionOptions()
    set_threads(options, threads)
    try:
        # With its own fallback onnxruntime writes to stdout and goes on with the CPU.
        return runtime.InferenceSession(
            _DOUBLE, options, providers=native_providers(choice, runtime.get_available_providers()), enable_fallback=0
        )
    except Exception as error:  # onnxruntime's exceptions share no other base
        raise ModelError(str(error)) from error


@contextlib.contextmanager
def _native_stderr() -> Iterator[IO[bytes] | None]:
    """Take what libraries write to descriptor 2 meanwhile: the reason is there and nowhere else."""
    with contextlib.ExitStack() as stack:
        try:
            before = os.dup(2)
        except OSError:  # started with descriptor 2 closed
            yield None
            return
        stack.callback(os.close, before)
        if sys.stderr is not None:
            sys.stderr.flush()
        file = stack.enter_context(tempfile.TemporaryFile())
        os.dup2(file.fileno(), 2)
        stack.callback(os.dup2, before, 2)
        yield file


def _error_line(said: IO[bytes] | None) -> str:
    """The first line that tells an error, or ""."""
    if said is None:
        return ""
    said.seek(0)
    text = _COLOUR.sub("", said.read().decode("utf-8", "replace"))
    lines = [line for line in (" ".join(line.split()) for line in text.splitlines()) if line]
    wanted = next((line for line in lines if "[E:" in line), "")
    return _text(_PREFIX.sub("", wanted))


def _text(message: str) -> str:
    """What a message says, without where in onnxruntime's sources, in one line."""
    return _PLACE.sub("", " ".join(message.split()))[:_MOST_CHARACTERS]
