"""onnxruntime in this process: where it is imported, and what all its sessions share, a thread pool and an arena.

onnxruntime takes the size of its global pool once, before the first session, and then refuses every session that wants
threads of its own. So only a program that owns its process may ask for it (`own_process`); an engine inside somebody
else's program gives each block a pool of threads that sleep when they have nothing to do.
"""

from __future__ import annotations

import importlib
import mmap
import os
import re
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np

from edge_devices import saturates_int8
from edge_runtime.errors import DependencyError, EngineError, ModelError
from edge_runtime.files.shortage import shortage
from edge_runtime.ort.import_check import check_import
from edge_runtime.ort.own_zero_points import with_own_zero_points
from edge_runtime.ort.runner import Arrays, Tensors
from edge_runtime.ort.watchdog import watched_run

__all__ = [
    "block_options",
    "drop_arena",
    "exact_products",
    "import_onnxruntime",
    "is_last_arena",
    "load_session",
    "one_line",
    "openable",
    "own_process",
    "run_named",
    "set_threads",
    "share_arena",
    "take_first_chunk",
]

# OrtArenaCfg's arena_extend_strategy. The other one, "same as requested", makes a region for each request and never
# the first chunk that it is told: what one block freed is then in pieces too small for the next.
_FIRST_CHUNK_THEN_DOUBLE = 0
# A ModelProto of one node, y = Neg(x), x float [1].
_NEGATE = bytes.fromhex(
    "08083a320a0b0a017812017922034e65671201675a0f0a0178120a0a08080112040a020801620f0a0179120a0a080801"
    "12040a02080142040a00100d"
)


_WANTED = re.compile(r"Failed to allocate memory for requested buffer of size \d+")


@dataclass
class _Shared:
    """The process's state; onnxruntime keeps the same."""

    owned: bool = False
    pooled: bool = False
    arenas: int = 0  # made so far; the last one is what new sessions get


_SHARED = _Shared()


def import_onnxruntime() -> ModuleType:
    """Import onnxruntime. Raises DependencyError with the install line where there is none, and where the installed
    one would kill this process; MemoryLimitError where this process may not have the memory that it takes.

    Its telemetry stays off unless the environment says otherwise: it writes files, starts a thread, and doubles the
    time of the import.
    """
    os.environ.setdefault("ORT_DISABLE_TELEMETRY", "1")
    if "onnxruntime" not in sys.modules:
        check_import()
    try:
        return importlib.import_module("onnxruntime")
    except (ImportError, MemoryError, OSError) as error:
        short = shortage(error)
        if short is not None:
            raise short from error
        if not isinstance(error, ImportError):
            raise
        raise DependencyError(
            "onnxruntime is not installed: on a plain CPU `pip install 'edgeline[cpu]'`, on a Jetson install "
            f"NVIDIA's onnxruntime-gpu wheel for its JetPack ({error})"
        ) from error


def own_process() -> None:
    """Say that this process is ours, by a program's main alone: the first block's session makes one pool for all."""
    _SHARED.owned = True


def share_arena(first_bytes: int, cap_bytes: int) -> int:
    """Give sessions made from now on (block_options) one new arena: a first chunk, never more than the cap.

    Returns its number for `is_last_arena`. Sessions that exist keep theirs. `cap_bytes` 0 is no cap; what goes over the
    cap is a clean error of the run.
    """
    runtime = import_onnxruntime()
    place = runtime.OrtMemoryInfo("Cpu", runtime.OrtAllocatorType.ORT_ARENA_ALLOCATOR, 0, runtime.OrtMemType.DEFAULT)
    config = runtime.OrtArenaCfg(cap_bytes, _FIRST_CHUNK_THEN_DOUBLE, max(first_bytes, 1 << 16), -1)
    runtime.create_and_register_allocator(place, config)
    _SHARED.arenas += 1
    return _SHARED.arenas


def is_last_arena(number: int) -> bool:
    """Tell whether sessions made now still get the arena of this number: another engine may have made its own."""
    return number == _SHARED.arenas


def take_first_chunk() -> None:
    """Make the shared arena take its first chunk now, so that the chunk's bookkeeping is nobody's memory."""
    session = load_session(_NEGATE, block_options(import_onnxruntime(), 1, packed=False), "a graph of one node")
    session.run(None, {"x": np.zeros(1, np.float32)})


def drop_arena() -> None:
    """Let go of the arena that share_arena made: its memory is freed with the last session that has it."""
    share_arena(0, 0)


def set_threads(options: Any, threads: int, shared: bool = False) -> None:
    """Set a session's options to `threads` of its own, or to the process's pool where there is one.

    `shared`: for one of many sessions, which make that pool if the process is ours. Others had better not: its threads
    wait busily whatever a session asks for, and lanes that share it wait for each other. Once it is there onnxruntime
    takes no session without it.
    """
    if shared and _SHARED.owned and not _SHARED.pooled:
        import_onnxruntime().set_global_thread_pool_sizes(threads, 1)
        _SHARED.pooled = True
    if _SHARED.pooled:
        options.use_per_session_threads = False
    else:
        options.intra_op_num_threads = threads
        options.inter_op_num_threads = 1


def block_options(runtime: ModuleType, threads: int, packed: bool, optimized: bool = True) -> Any:
    """Return onnxruntime's options for the session of a block (or of a whole prepared graph).

    `packed`: kernels may keep their weights in a layout of their own; without, they read them where they lie, each
    run. `optimized`: the graph went through the optimizer already and is run as it is.
    """
    options = runtime.SessionOptions()
    options.log_severity_level = 4
    # Patterns save a few allocations a run, and keep a plan of each batch size for each block.
    options.enable_mem_pattern = False
    set_threads(options, threads, shared=True)
    if optimized:
        options.graph_optimization_level = runtime.GraphOptimizationLevel.ORT_DISABLE_ALL
    entries = {
        # Spinning threads win microseconds on an idle machine and lose milliseconds on a busy one, and here the loader
        # wants the core.
        "session.intra_op.allow_spinning": "0",
        "session.use_env_allocators": "1",
        # Weights that onnxruntime holds itself come from malloc, so that a dropped session gives them back.
        "session.use_device_allocator_for_initializers": "1",
    }
    if not packed:
        entries["session.disable_prepacking"] = "1"
    entries |= exact_products()
    for key, value in entries.items():
        options.add_session_config_entry(key, value)
    return options


def load_session(
    graph: Path | bytes,
    options: Any,
    name: str,
    providers: Sequence[Any] = ("CPUExecutionProvider",),
    doing: str = "load",
) -> Any:
    """Open a graph, a file or its bytes, as an onnxruntime session. Raises ModelError, which calls it `name`,
    and what was tried `doing`.

    onnxruntime's own fallback is off: it writes to stdout where a provider fails, and goes on with the CPU.
    """
    runtime = import_onnxruntime()
    found = openable(graph, options) if exact_products() else graph
    model = str(found) if isinstance(found, Path) else found
    try:
        return runtime.InferenceSession(model, options, providers=list(providers), enable_fallback=0)
    except Exception as error:  # onnxruntime's exceptions share no other base
        raise ModelError(f"onnxruntime {runtime.__version__} cannot {doing} {name}: {one_line(error)}") from error


def openable(graph: Path | bytes, options: Any) -> Path | bytes:
    """Return the graph as `exact_products` may be asked of it: int8 weights have zero points of their own.

    `graph` itself where they have, or where it is none. `options` are told where its weights lie.
    """
    try:
        if isinstance(graph, bytes):
            return with_own_zero_points(graph) or graph
        with graph.open("rb") as file:  # mapped: weights in it are not read for this
            found = with_own_zero_points(mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ))
    except (OSError, ValueError):  # which onnxruntime is to tell
        return graph
    if found is None:
        return graph
    # Beside the file its weights may lie.
    options.add_session_config_entry("session.model_external_initializers_file_folder_path", str(graph.parent))
    return found


def exact_products() -> dict[str, str]:
    """Return the session entries with which int8 layers give the right sums on this processor."""
    return {"session.x64quantprecision": "1"} if saturates_int8() else {}


def run_named(session: Any, outputs: Sequence[str], feeds: Arrays) -> Tensors:
    """Run a session on named arrays; returns the outputs by name. Raises EngineError."""
    try:
        values = watched_run(session, lambda options: session.run(list(outputs), dict(feeds), options))
    except EngineError:
        raise
    except Exception as error:  # onnxruntime's exceptions share no other base
        raise EngineError(f"onnxruntime failed while running: {one_line(error)}") from error
    return dict(zip(outputs, values, strict=True))


def one_line(error: BaseException) -> str:
    """Return an exception's message as one line of at most 300 characters; of a lack of memory its size first."""
    text = " ".join(str(error).split())
    wanted = _WANTED.search(text)
    return (text if wanted is None else f"{wanted[0]}: {text}")[:300]
