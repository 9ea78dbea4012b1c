"""Stand-ins for what edge-bench's processes import: an edge_runtime and an onnxruntime of a few lines each.

What the fake engine does is the name of the bundle: it answers, is killed, hangs, fails, eats memory or writes noise.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from edge_runtime.bundle.bundle import Bundle
from edge_runtime.inspect.fake_engine import fake_manifest
from edge_tools.bench.order import Order

SMALLEST = 50_000_000

_ERRORS = """
class MemoryLimitError(Exception):
    def __init__(self, message, smallest_bytes=None):
        super().__init__(message)
        self.smallest_bytes = smallest_bytes
"""
_ENGINE = f"""
import os, signal, sys, threading
from pathlib import Path
from types import SimpleNamespace
import numpy as np
from edge_runtime.errors import MemoryLimitError

def open_bundle(path, session, memory_limit, batch):
    if memory_limit is not None and memory_limit < {SMALLEST}:
        raise MemoryLimitError(f"{{memory_limit}} bytes is too little", {SMALLEST})
    return Engine(Path(path).stem)

class Engine:
    manifest = SimpleNamespace(blocks=(1, 2, 3))
    plan = SimpleNamespace(
        whole=False, count=dict(resident=1, streamed=2, reloaded=0).get, blocks=(), base_bytes=0
    )

    def __init__(self, name):
        self.name = name
        self.calls = 0

    def infer(self, tensors):
        self.calls += 1
        if self.name == "killed":
            os.kill(os.getpid(), signal.SIGKILL)
        if self.name == "killed-later" and self.calls == 3:
            os.kill(os.getpid(), signal.SIGKILL)
        if self.name == "hangs":
            threading.Event().wait()
        if self.name == "fails":
            raise RuntimeError("the block is damaged")
        if self.name == "noisy":
            os.write(1, b"native libraries talk\\n")
        if self.name == "eats":
            self.eaten = np.ones(300_000_000, np.uint8)
        return {{"output": 2 * tensors["images"] + (self.name == "off")}}

    def close(self):
        pass
"""
_BUNDLE = """
from types import SimpleNamespace

def read_bundle(path, check_hashes):
    return SimpleNamespace(sha256="0" * 64)
"""
_STANDING = """
from types import SimpleNamespace

def Asked(device, threads, batch, limited):
    return SimpleNamespace(threads=threads)

def stand(sha256, asked):
    return SimpleNamespace(session=asked)
"""
_ONNXRUNTIME = """
__version__ = "1.0"
from types import SimpleNamespace

GraphOptimizationLevel = SimpleNamespace(ORT_DISABLE_ALL=0)

class SessionOptions:
    pass

class InferenceSession:
    def __init__(self, path, options, providers):
        pass

    def get_outputs(self):
        return [SimpleNamespace(name="output")]

    def run(self, names, feeds):
        return [2 * feeds["images"]]
"""


def install_fakes(monkeypatch: pytest.MonkeyPatch, folder: Path) -> None:
    """Let measured processes find the fakes before the real packages; this process keeps its own."""
    packages = folder / "fakes"
    process = "def own_process(): ...\ndef import_onnxruntime():\n    import onnxruntime\n    return onnxruntime\n"
    modules = {
        "__init__.py": _ENGINE,
        "errors.py": _ERRORS,
        "bundle/__init__.py": "",
        "bundle/bundle.py": _BUNDLE,
        "ort/__init__.py": "",
        "ort/process.py": process,
        "tune/__init__.py": "",
        "tune/standing.py": _STANDING,
    }
    for name, text in modules.items():
        path = packages / "edge_runtime" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    (packages / "onnxruntime.py").write_text(_ONNXRUNTIME)
    monkeypatch.syspath_prepend(packages)


def fake_bundle(folder: Path) -> Bundle:
    """Return a bundle with two golden inputs and nothing that a fake engine would need beside them."""
    images = np.stack([np.full((1, 3, 64, 64), value, np.float32) for value in (1, 2)])
    np.savez(folder / "golden.npz", input_images=images, output_output=np.zeros((2, 4), np.float32))
    return Bundle(folder, fake_manifest(), "0" * 64)


def order(folder: Path, name: str = "good", engine: str = "edgeline", limit: int | None = None) -> Order:
    """Return an order for the fake engine of that name, on one image."""
    inputs = folder / "inputs.npz"
    np.savez(inputs, images=np.ones((1, 3, 64, 64), np.float32))
    return Order(engine, str(folder / f"{name}.edge"), str(inputs), 1, limit)
