"""Updates that are killed, or whose power is cut."""

import random
import shutil

import pytest

from edge_tools.station.updates import Found, _bundles, _line, _own, run_cuts, run_kills


def test_updates_that_are_killed_leave_one_whole_version(tmp_path):
    found = run_kills(tmp_path, 3, random.Random(4))
    assert found.wrong == []
    assert (found.count, found.updates) == (3, 2)


@pytest.mark.skipif(shutil.which("gcc") is None, reason="no gcc")
def test_updates_whose_power_is_cut_leave_one_whole_version(tmp_path):
    found = run_cuts(tmp_path, 40, random.Random(5))
    assert found.wrong == []
    assert (found.count, found.updates) == (40, 4)
    assert 0 < found.switched < 40


def test_what_would_be_wrong_is_found(tmp_path):
    line = _line(tmp_path / "line", _bundles(tmp_path), _own(tmp_path))
    line.update("at first", Found())
    folder = line.versions

    def wrong(allowed):
        found = Found()
        line.check(allowed, "now", found)
        return " ".join(found.wrong)

    assert wrong({1}) == ""
    assert "version 1 runs, may be [2]" in wrong({2})
    weights = folder.version(1) / "weights.bin"
    data = weights.read_bytes()
    weights.write_bytes(data[:-1] + bytes([data[-1] ^ 1]))
    assert "is damaged" in wrong({1})
    weights.write_bytes(data)
    (folder.root / "versions" / "strange").mkdir()
    assert "['strange'] was left" in wrong({1})
