"""What a prepared folder depends on, as one short name."""

from __future__ import annotations

import hashlib
import platform
from pathlib import Path
from types import ModuleType

__all__ = ["cpu_identity", "prepared_key"]

# Of what prepare writes; another number makes every older folder unknown.
_VERSION = 7
_CPU_KEYS = ("model name", "flags", "Features", "CPU implementer", "CPU part")


def prepared_key(bundle_sha256: str, runtime: ModuleType) -> str:
    """Return the key for a bundle under this onnxruntime on this processor: 20 hex digits.

    The optimizer's result depends on the graph, on onnxruntime's version and build, and on what the CPU can do.
    """
    parts = (
        str(_VERSION),
        bundle_sha256,
        runtime.__version__,
        ",".join(runtime.get_available_providers()),
        cpu_identity(),
    )
    return hashlib.sha256("\n".join(parts).encode()).hexdigest()[:20]


def cpu_identity(root: Path = Path("/")) -> str:
    """Return the processor's architecture, model and instruction sets, as far as the system tells."""
    try:
        text = (root / "proc/cpuinfo").read_text(encoding="utf-8", errors="replace")
    except OSError:
        return f"{platform.machine()} {platform.processor()}"
    found: dict[str, str] = {}
    for line in text.splitlines():
        key, _, value = line.partition(":")
        if key.strip() in _CPU_KEYS:
            found.setdefault(key.strip(), value.strip())
    return f"{platform.machine()} {sorted(found.items())}"
