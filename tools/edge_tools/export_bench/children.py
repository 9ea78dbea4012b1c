"""The child processes that judge and time: started here, asked in lines of JSON, started again when one has died."""

from __future__ import annotations

import json
import os
import select
import subprocess
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from edge_devices.interpreter import python_module
from edge_runtime.errors import DataError, EngineError
from edge_tools.export_bench.export import last_words
from edge_tools.export_bench.judge import Judged
from edge_tools.export_bench.latency import Timed
from edge_tools.export_bench.places import CHECKOUT

__all__ = ["JudgeChild", "time_in_child"]

_ROOTS = ("devices", "runtime", "export", "tools")


class JudgeChild:
    """A judge of one subject in a child process, started when it is first asked."""

    def __init__(self, asked: Mapping[str, object], seconds: float) -> None:
        """`asked`: judge.py's argument; `seconds`: the longest that one answer may take."""
        self._asked, self._seconds = json.dumps(asked), seconds
        self._process: subprocess.Popen[bytes] | None = None
        self._words = tempfile.TemporaryFile()  # noqa: SIM115  closed with the child

    def __enter__(self) -> JudgeChild:
        return self

    def __exit__(self, *_: object) -> None:
        self._end()
        self._words.close()

    def judge(self, model: Path) -> Judged:
        """Return a model's figures. Raises DataError for one that cannot be judged, EngineError when the child died."""
        process = self._process or self._start()
        assert process.stdin is not None  # opened as a pipe below
        assert process.stdout is not None
        try:
            process.stdin.write(json.dumps(str(model)).encode() + b"\n")
            process.stdin.flush()
            ready = select.select([process.stdout], [], [], self._seconds)[0]
            line = process.stdout.readline() if ready else b""
        except BrokenPipeError:
            ready, line = [process.stdout], b""
        if not line:
            why = self._why() if ready else f"gave no answer within {self._seconds:g} s"
            self._end()
            raise EngineError(f"the process that judged {model.name} {why}")
        answer = json.loads(line)
        if "problem" in answer:
            raise DataError(answer["problem"])
        return Judged(**answer["judged"])

    def _start(self) -> subprocess.Popen[bytes]:
        command = python_module("edge_tools.export_bench.judge", self._asked)
        self._process = subprocess.Popen(
            command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=self._words, env=_environment()
        )
        return self._process

    def _why(self) -> str:
        assert self._process is not None  # just asked
        status = self._process.wait()
        self._words.seek(0)
        return f"ended ({status}): {last_words(self._words.read().decode(errors='replace'))}"

    def _end(self) -> None:
        if self._process is None:
            return
        self._process.kill()
        self._process.wait()
        for stream in (self._process.stdin, self._process.stdout):
            if stream is not None and not stream.closed:
                stream.close()
        self._process = None


def time_in_child(fp32: Path, models: Mapping[str, Path], tensors: Path, rounds: int) -> dict[str, Timed | str]:
    """Return latency.time_all's answers from a process that holds nothing else. Raises EngineError when it died."""
    asked = {
        "fp32": str(fp32),
        "models": {name: str(path) for name, path in models.items()},
        "tensors": str(tensors),
        "rounds": rounds,
    }
    command = python_module("edge_tools.export_bench.latency", json.dumps(asked))
    done = subprocess.run(command, capture_output=True, text=True, check=False, env=_environment())
    if done.returncode != 0:
        raise EngineError(f"timing ended ({done.returncode}): {last_words(done.stderr)}")
    answers: dict[str, Any] = json.loads(done.stdout)
    return {name: answer if isinstance(answer, str) else Timed(**answer) for name, answer in answers.items()}


def _environment() -> dict[str, str]:
    return {**os.environ, "PYTHONPATH": os.pathsep.join(str(CHECKOUT / root) for root in _ROOTS)}
