"""Every decision as a line of a file (what is in it: batching/explain.py)."""

from __future__ import annotations

import contextlib
from pathlib import Path

from edge_runtime.batching.explain import explain_line
from edge_runtime.batching.vocabulary import Decision, State
from edge_runtime.errors import OutputError
from edge_runtime.files.atomic import writing
from edge_runtime.inspect.record import utc_text
from edge_runtime.inspect.serving.core import Explain
from edge_runtime.inspect.sources.base import now_utc

__all__ = ["explain_to"]


def explain_to(path: Path | None, cleanup: contextlib.ExitStack) -> Explain:
    """Return what writes a line for each decision into the file at `path`; None: nothing does. Raises OutputError."""
    if path is None:
        return lambda state, decision: None
    try:
        stream = cleanup.enter_context(path.open("w", encoding="utf-8"))
    except OSError as error:
        reason = error.strerror or error
        raise OutputError(f"--explain-batching {path}: cannot be written: {reason}; choose another file") from error

    since: float | None = None

    def explain(state: State, decision: Decision) -> None:
        nonlocal since
        since = state.now_ms if since is None else since
        with writing(path):
            stream.write(explain_line(state, decision, utc_text(now_utc()), since) + "\n")

    return explain
