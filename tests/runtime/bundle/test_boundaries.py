from __future__ import annotations

from edge_runtime.bundle.boundaries import alive_before
from edge_runtime.bundle.manifest import Block

BLOCKS = (
    Block("a", ("x",), ("p", "q"), 1, 0, 0, ""),
    Block("b", ("p",), ("r",), 1, 0, 0, ""),
    Block("c", ("r", "x"), ("y",), 1, 0, 0, ""),
)


def test_alive_is_what_was_made_before_and_is_read_later() -> None:
    assert alive_before(BLOCKS, 1, ["x"], ["y", "q"]) == ["x", "p", "q"]
    assert alive_before(BLOCKS, 2, ["x"], ["y", "q"]) == ["x", "q", "r"]
    assert alive_before(BLOCKS, 2, ["x"], ["y"]) == ["x", "r"]
