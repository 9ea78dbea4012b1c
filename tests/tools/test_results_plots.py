from xml.etree import ElementTree

import pytest
from click.testing import CliRunner
from places import ROOT

from edge_runtime.errors import DataError
from edge_tools.results_plots import exporter_points, memory_points, results_plots

RESULTS = (ROOT / "tools" / "RESULTS.md").read_text(encoding="utf-8")


def test_every_row_with_a_latency_is_a_point():
    points = exporter_points(RESULTS)
    assert {point.exporter for point in points} >= {"edgeline-fast", "edgeline-good", "edgeline-best", "ort-minmax"}
    assert all(0 <= point.figure <= 1 and 0 < point.fp32 <= 1 and point.latency > 0 for point in points)
    assert not any("random" in point.model for point in points)


def test_agreement_with_fp32_has_fp32_at_one_and_a_measure_against_labels_has_its_own():
    fp32 = {point.metric: point.fp32 for point in exporter_points(RESULTS)}
    assert fp32["agreement"] == 1.0
    assert fp32["map33"] < 1.0


def test_limits_are_read_with_their_model_and_batch():
    points = memory_points(RESULTS)
    assert {point.batch for point in points} == {1, 8}
    assert all(point.memory < 1 for point in points)


def test_a_file_without_the_table_is_told_so():
    with pytest.raises(DataError, match="expected a table below '## Memory against time'"):
        memory_points("# nothing\n")


def test_the_committed_pictures_are_those_of_the_committed_tables(tmp_path):
    done = CliRunner().invoke(results_plots, ["-o", str(tmp_path)], catch_exceptions=False)
    assert done.exit_code == 0
    for name in ("accuracy.svg", "memory.svg"):
        made, kept = (_words(folder / name) for folder in (tmp_path, ROOT / "tools" / "results"))
        assert made == kept


def _words(path):
    """What a picture says; its curves differ in the last digit from one matplotlib to the next."""
    return [text.strip() for text in ElementTree.parse(path).getroot().itertext() if text.strip() and ":" not in text]
