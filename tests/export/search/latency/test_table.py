"""A table of latencies is kept, and what is damaged is not believed."""

import pytest

from edge_export.search.latency.table import LatencyTable, Times, open_table, this_machine_file
from edge_runtime.errors import DataError


def test_what_is_saved_is_read_again(tmp_path, monkeypatch):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    table = open_table("this-machine")
    table.kernels["k"] = Times(2.0, float("inf"))
    table.edges["in"] = (1.5, 0.25)
    table.graphs["g a"] = 3.25
    table.save()
    again = open_table("this-machine")
    assert (again.kernels, again.edges, again.graphs) == (table.kernels, table.edges, table.graphs)
    assert again.measurable


def test_a_damaged_cache_is_begun_anew(tmp_path, monkeypatch):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    this_machine_file().parent.mkdir(parents=True)
    this_machine_file().write_text('{"version": 1, "kernels": 3}')
    assert not open_table("this-machine").kernels


def test_a_cache_that_cannot_be_written_costs_only_time(tmp_path, monkeypatch):
    (tmp_path / "file").write_text("")
    table = LatencyTable("m", 1, tmp_path / "file" / "t.json")
    table.save()
    assert table.path is None


def test_another_machines_file_is_read_and_not_measured_into(tmp_path):
    LatencyTable("a board", 4, tmp_path / "t.json", {"k": Times(1.0, 2.0)}).save()
    table = open_table(str(tmp_path / "t.json"))
    assert table.machine == "a board"
    assert not table.measurable
    assert table.path is None


@pytest.mark.parametrize("content", ["", "[]", '{"version": 7}', '{"version": 1, "machine": "m", "threads": 1}'])
def test_a_file_that_is_no_table_is_refused_by_name(tmp_path, content):
    (tmp_path / "t.json").write_text(content)
    with pytest.raises(DataError, match=r"t\.json is no table of latencies"):
        open_table(str(tmp_path / "t.json"))


def test_a_file_that_is_not_there_is_named():
    with pytest.raises(DataError, match=r"--target board.json: no file of latencies .*this-machine, none"):
        open_table("board.json")


def test_none_means_no_table():
    assert open_table("none") is None
