"""The table of masks, key points and turned boxes: which figures are told, and how."""

from __future__ import annotations

from pathlib import Path

import pytest

from edge_export.state import Comparison, Score
from edge_runtime.errors import DataError
from edge_tools import parts_table
from edge_tools.parts_table import Line, as_markdown, lines_of, measure


def scores(**values: float) -> tuple[Score, ...]:
    return tuple(Score(name.replace("to", "-"), value, value - 0.01, value + 0.01, 9) for name, value in values.items())


def comparison() -> Comparison:
    fp32 = scores(mask_map50=0.9, mask_map50to95=0.8, map50=0.95, map50to95=0.85, f1=0.9)
    bundle = scores(mask_map50=0.9, mask_map50to95=0.79, map50=0.95, map50to95=0.85, f1=0.9)
    change = scores(mask_map50=0.0, mask_map50to95=-0.01, map50=0.0, map50to95=0.0, f1=0.0)
    return Comparison("data", fp32, bundle, change, scores(box_f1=0.99, mask_f1=0.97), ())


def test_the_means_over_all_overlaps_are_told_of_parts_and_boxes() -> None:
    lines = list(lines_of("masks", "good", "9 int8", 0.3, comparison()))
    assert [(line.metric, line.fp32, line.bundle, line.images) for line in lines] == [
        ("mask_map50-95", 0.8, 0.79, 9),
        ("map50-95", 0.85, 0.85, 9),
    ]
    text = as_markdown(lines, "the command")
    assert (
        "| masks | good | 9 int8 | 0.30x | mask_map50-95 | 0.8000 | 0.7900 | -0.0100 (-0.0200 .. +0.0000) "
        "| boxes 0.990, masks 0.970 |" in text
    )
    assert text.endswith("Judged on 9 pictures for each model. Made by `the command`.\n")


def test_what_went_wrong_stands_in_the_table(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(_: object) -> None:
        raise DataError("no such pictures")

    monkeypatch.setattr(parts_table, "export_bundle", refuse)
    lines = measure(tmp_path / "points", "fast", 0)
    assert lines == [Line("points", "fast", problem="no such pictures")]
    assert "| points | fast | - | - | - | - | - | no such pictures | - |" in as_markdown(lines, "the command")
    assert next(lines_of("m", "fast", "", 1.0, None)).problem == "nothing was compared"
