"""Rows of the exporters' table: kept, found again by key, and shown."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import pytest

from edge_runtime.errors import DataError, UsageError
from edge_tools.export_bench.cli import chosen, in_order
from edge_tools.export_bench.judge import Judged
from edge_tools.export_bench.latency import Timed
from edge_tools.export_bench.results import Results, Row, key_of, sources_digest
from edge_tools.export_bench.summary import as_summary
from edge_tools.export_bench.table import as_markdown, as_text

JUDGED = Judged("map50", 0.49, 96, 0.506, -0.016, -0.03, 0.002, {"box_f1": 0.91}, 21.5)
ROW = Row(
    "k1", "yolox", "nncf", "nncf 3.4.0", 3_700_000, "", 9.04, 397_000_000, 1_050_000, None, "/x/model.onnx", JUDGED,
    Timed(20.0, 10.0, 2.0, 30),
)  # fmt: skip
FAILED = Row("k2", "yolox", "olive", "olive-ai 0.13.0", 3_700_000, "exit code 1: ValueError: no | way")


def test_rows_come_back_from_the_file_as_they_went_in(tmp_path: Path) -> None:
    results = Results(tmp_path / "sub" / "results.json")
    results.put(ROW)
    results.put(FAILED)
    again = Results(tmp_path / "sub" / "results.json")
    assert again.find("k1") == ROW
    assert again.find("k2") == FAILED
    assert again.find("k3") is None


def test_a_second_row_of_an_exporter_takes_the_first_ones_place_in_tables(tmp_path: Path) -> None:
    results = Results(tmp_path / "results.json")
    results.put(ROW)
    results.put(replace(ROW, key="k9", version="nncf 4"))
    assert [row.version for row in results.youngest()] == ["nncf 4"]
    assert results.find("k1") == ROW


def test_two_runs_that_write_one_file_lose_no_rows(tmp_path: Path) -> None:
    one, other = Results(tmp_path / "results.json"), Results(tmp_path / "results.json")
    one.put(ROW)
    other.put(FAILED)
    one.put(replace(ROW, key="k9", subject="another"))
    assert {row.key for row in Results(tmp_path / "results.json").youngest()} == {"k1", "k2", "k9"}


def test_a_new_latency_changes_nothing_else_of_a_row(tmp_path: Path) -> None:
    results = Results(tmp_path / "results.json")
    results.put(ROW)
    results.amend("k1", Timed(1.0, 2.0, 0.5, 40))
    assert Results(tmp_path / "results.json").find("k1") == replace(ROW, timed=Timed(1.0, 2.0, 0.5, 40))


@pytest.mark.parametrize("text", ["", "[]", '{"schema": 99, "rows": []}', '{"schema": 1, "rows": [{"no": 1}]}'])
def test_a_file_that_holds_no_results_is_refused_in_one_line(tmp_path: Path, text: str) -> None:
    path = tmp_path / "results.json"
    path.write_text(text)
    with pytest.raises(DataError, match="move it away"):
        Results(path)


def test_a_key_depends_on_every_fact_and_not_on_their_order() -> None:
    facts: dict[str, object] = {"a": 1, "b": {"c": [1, 2]}}
    assert key_of(facts) == key_of({"b": {"c": [1, 2]}, "a": 1})
    assert key_of(facts) != key_of({**facts, "a": 2})


def test_the_sources_digest_sees_a_changed_file_and_a_new_name(tmp_path: Path) -> None:
    (tmp_path / "a.py").write_text("x = 1\n")
    first = sources_digest([tmp_path])
    (tmp_path / "a.py").write_text("x = 2\n")
    second = sources_digest([tmp_path])
    (tmp_path / "a.py").rename(tmp_path / "b.py")
    assert len({first, second, sources_digest([tmp_path])}) == 3


def test_the_text_table_shows_figures_and_the_reason_of_a_failure() -> None:
    text = as_text([ROW, FAILED])
    assert "map50 0.490" in text
    assert "-0.016 (-0.030 .. +0.002)" in text
    assert "2.00x" in text
    assert "0.28x" in text
    assert text.rstrip().endswith("exit code 1: ValueError: no | way")


def test_a_markdown_row_has_as_many_cells_as_its_head_whatever_failed() -> None:
    lines = [line for line in as_markdown([ROW, FAILED], "command").splitlines() if line.startswith("|")]
    assert len({line.replace("\\|", "").count("|") for line in lines}) == 1
    assert "no \\| way" in lines[-1]


def test_the_markdown_says_versions_rounds_and_the_command_but_no_broken_environment() -> None:
    text = as_markdown([ROW, replace(FAILED, version="! pip failed")], "the command")
    assert "the command" in text
    assert "nncf 3.4.0" in text
    assert "30 interleaved rounds" in text
    assert "pip failed" not in text


OURS = replace(ROW, key="k4", exporter="edgeline-fast", judged=replace(JUDGED, value=0.5), bytes=1_000_000)
BASE = replace(ROW, key="k5", exporter="ort-minmax", judged=replace(JUDGED, value=0.2), timed=Timed(5.0, 10.0, 0.5, 30))


def test_the_summary_counts_where_edgeline_is_best_and_says_what_does_not_hold() -> None:
    fine = as_summary([replace(OURS, timed=Timed(4.0, 10.0, 0.4, 30), seconds=9.0, peak_bytes=10**8), BASE, ROW])
    assert fine.splitlines() == [
        "yolox                 best    edgeline-fast 0.500, best other nncf 0.490",
        "best on 1 of 1, at most 0.003 behind on 1",
    ]
    slow = as_summary([replace(OURS, bytes=2_100_000, seconds=9.1, identical=False), BASE, ROW])
    assert "larger than it (2.00x)" in slow
    assert "slower than FP32 (2.00x)" in slow
    assert "takes 9.1 s, ort-minmax 9.0 s" in slow
    assert "writes other bytes" in slow


def test_the_summary_says_where_another_is_better() -> None:
    text = as_summary([replace(OURS, judged=replace(JUDGED, value=0.48)), BASE, ROW])
    assert text.splitlines()[0].split()[1] == "behind"
    assert "best on 0 of 1, at most 0.003 behind on 0" in text


def test_there_is_no_summary_without_edgeline_or_without_others() -> None:
    assert as_summary([ROW, FAILED]) == ""
    assert as_summary([OURS]) == ""


def test_names_are_chosen_in_the_tables_order_and_unknown_ones_refused() -> None:
    assert chosen("c, a", ("a", "b", "c"), ("b",), "--models") == ("a", "c")
    assert chosen("", ("a", "b", "c"), ("b",), "--models") == ("b",)
    with pytest.raises(UsageError, match=r"--models: 'd' is not known; choose from a, b, c"):
        chosen("d", ("a", "b", "c"), (), "--models")


def test_rows_are_shown_in_the_tables_order_and_others_left_out() -> None:
    rows = [replace(ROW, key=s + e, subject=s, exporter=e) for s in "zab" for e in "yx"]
    assert [row.key for row in in_order(rows, ("a", "z"), ("x", "y"))] == ["ax", "ay", "zx", "zy"]


def test_everything_of_a_row_is_plain_json(tmp_path: Path) -> None:
    Results(path := tmp_path / "results.json").put(ROW)
    content = json.loads(path.read_text())
    assert content["rows"][0]["judged"]["fidelity"] == {"box_f1": 0.91}
