"""Every decision as a line of a file (what is in it: batching/explain.py)."""

from __future__ import annotations

import contextlib
from pathlib import Path

from edge_runtime.batching.explain import explain_line
from edge_runtime.batching.vocabulary import Decision, State
from edge_runtime.files import writing
from edge_runtime.serving.core import Explain

__all__ = ["explain_to"]


def explain_to(path: Path | None, cleanup: contextlib.ExitStack) -> Explain:
    """Return what writes a line for each decision into the file at `path`; None: nothing does. Raises OutputError."""
    if path is None:
        return lambda state, decision: None
    with writing(path):
        stream = cleanup.enter_context(path.open("w", encoding="utf-8"))

    def explain(state: State, decision: Decision) -> None:
        with writing(path):
            stream.write(explain_line(state, decision) + "\n")

    return explain
