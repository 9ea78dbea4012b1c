"""One export in a process of its own: what it took, what it wrote, or in one line why not."""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

import onnx
from google.protobuf.message import DecodeError

from edge_devices.interpreter import python_module
from edge_runtime.errors import EngineError, ModelError
from edge_tools.export_bench.environments import python_of
from edge_tools.export_bench.exporters import Exporter
from edge_tools.export_bench.models import Files
from edge_tools.export_bench.places import CHECKOUT
from edge_tools.export_bench.subjects import Subject

__all__ = ["WORKERS", "Calibration", "Exported", "Limits", "bundle_bytes", "export", "last_words", "weighed"]

_HERE = Path(__file__).resolve().parent
WORKERS = _HERE / "workers"
_ROOTS = ("devices", "runtime", "export", "tools")
_THREADS = "2"


@dataclass(frozen=True)
class Limits:
    """Of one export: wall-clock seconds, and bytes of address space (0: none)."""

    seconds: float = 1800.0
    memory_bytes: int = 0


@dataclass(frozen=True)
class Exported:
    """`model` is the .onnx that was written; `seconds` and `peak_bytes` are those of the whole process."""

    model: Path
    seconds: float
    peak_bytes: int


@dataclass(frozen=True)
class Calibration:
    """The same images as a list of files (edgeline), and pre-processed in an .npz (the others)."""

    listed: Path
    tensors: Path
    facts: Path


def export(exporter: Exporter, subject: Subject, files: Files, calibration: Calibration, folder: Path,
           environments: Path, limits: Limits) -> Exported:  # fmt: skip
    """Run the exporter; it writes into `folder`, its words go to export.log there. Raises EngineError on failure."""
    folder.mkdir(parents=True, exist_ok=True)
    if exporter.effort:
        model = folder / "model.edge" / "model.onnx"
        command = python_module("edge_export", str(files.ours), "-o", str(model.parent), "--quiet", "--calibrate",
                                str(calibration.listed), "--samples", "0", "--facts", str(calibration.facts),
                                "--effort", exporter.effort)  # fmt: skip
    else:
        model = folder / "model.onnx"
        options = dict(exporter.options)
        if subject.transformer and "preset" in options:  # NNCF asks to be told
            options["transformer"] = True
        if subject.prepared == "none":  # as found: what happens to whoever skips the preparation
            options["prepare"] = False
        if exporter.environment != "onnxruntime":
            options.pop("prepare", None)
        command = [str(python_of(exporter.environment, environments)), str(WORKERS / exporter.script),
                   str(files.others), str(calibration.tensors), str(model), json.dumps(options)]  # fmt: skip
    return _run(command, model, folder, limits, ours=bool(exporter.effort))


def weighed(model: Path) -> int:
    """Return the bytes of an .onnx and of the files of weights that it names. Raises ModelError where none is one."""
    try:
        graph = onnx.load(str(model), load_external_data=False).graph
    except DecodeError as error:
        raise ModelError(f"{model.name} is no ONNX file: {error}") from error
    entries = (entry for weight in graph.initializer for entry in weight.external_data if entry.key == "location")
    beside = {model.parent / entry.value for entry in entries}
    size: int = sum(path.stat().st_size for path in (model, *beside) if path.is_file())
    return size


def bundle_bytes(model: Path) -> int | None:
    """Return the bytes of the whole bundle without its report for people; None for a plain .onnx."""
    if not (model.parent / "manifest.json").is_file():
        return None
    files = (path for path in model.parent.rglob("*") if path.is_file() and path.name != "report.html")
    return sum(path.stat().st_size for path in files)


def last_words(text: str) -> str:
    """Return the line of a log that says best why: the last one with an error's name, else the last one."""
    lines = [line.strip() for line in text.splitlines() if line.strip()]
    named = [line for line in lines if re.match(r"([\w.]+(Error|Exception|Fail|Fault)\b|[Ee]rror:|edge-export:)", line)]
    return (named or lines or ["it said nothing"])[-1][:300]


def _run(command: list[str], model: Path, folder: Path, limits: Limits, ours: bool) -> Exported:
    environment = {**os.environ, "OMP_NUM_THREADS": _THREADS, "TOKENIZERS_PARALLELISM": "false"}
    environment.pop("PYTHONPATH", None)
    if ours:
        environment["PYTHONPATH"] = os.pathsep.join(str(CHECKOUT / root) for root in _ROOTS)
    log = folder / "export.log"
    launch = [sys.executable, "-S", str(_HERE / "launch.py"), str(limits.seconds), str(limits.memory_bytes), *command]
    with log.open("wb") as words:
        process = subprocess.Popen(launch, stdout=subprocess.PIPE, stderr=words, env=environment, cwd=folder)
        try:
            answer, _ = process.communicate()
        except BaseException:
            process.terminate()
            process.wait()
            raise
    if process.returncode != 0:
        raise EngineError(f"the launcher failed: {last_words(log.read_text(errors='replace'))}")
    took = json.loads(answer)
    if took["late"]:
        raise EngineError(f"not done within {limits.seconds:g} s")
    if took["status"] != 0:
        status = int(took["status"])
        how = f"ended by {signal.Signals(-status).name}" if status < 0 else f"exit code {status}"
        raise EngineError(f"{how}: {last_words(log.read_text(errors='replace'))}")
    if not model.is_file():
        raise EngineError(f"it ended well but wrote no {model.name}: {last_words(log.read_text(errors='replace'))}")
    return Exported(model, float(took["seconds"]), int(took["peak_bytes"]))
