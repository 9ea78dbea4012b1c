"""Before onnxruntime is imported, it is made sure that it will not kill this process."""

import importlib
import sys

import pytest

from edge_devices import Core, Machine
from edge_runtime.errors import DependencyError, OutputError
from edge_runtime.ort import import_check
from edge_runtime.ort import process as ort_process
from edge_runtime.ort.import_check import check_import

PI = Machine(
    "aarch64",
    isa=frozenset({"asimd"}),
    cores=(Core(0, 1800, 0, "cortex-a72"),),
    online=(0,),
)


@pytest.fixture
def installed(monkeypatch, tmp_path):
    """A Raspberry Pi 4 with an onnxruntime of some version, and how often a child process has tried it."""
    tried = []

    def with_version(version, answer=None, machine=PI):
        monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
        monkeypatch.setattr(sys, "platform", "linux")
        monkeypatch.setattr(import_check, "installed_onnxruntime", lambda: version)
        monkeypatch.setattr(import_check, "this_processor", lambda: machine)
        monkeypatch.setattr(import_check, "imports_safely", lambda: tried.append(version) or answer)
        return tried

    return with_version


def test_a_version_that_is_known_to_crash_is_refused_without_a_child(installed):
    tried = installed("1.21.0")
    with pytest.raises(DependencyError, match="would be killed on this one"):
        check_import()
    assert tried == []


def test_a_version_that_is_known_to_run_costs_no_child(installed):
    tried = installed("1.31.1")
    check_import()
    assert tried == []


def test_a_version_that_nobody_knows_is_tried_once(installed):
    tried = installed("9.0.0")
    check_import()
    check_import()
    assert tried == ["9.0.0"]


def test_a_note_that_others_could_have_written_is_not_believed(installed, tmp_path):
    tried = installed("9.0.0")
    check_import()
    (tmp_path / "edgeline" / "imports").chmod(0o777)
    check_import()
    assert tried == ["9.0.0", "9.0.0"]


def test_another_processor_is_tried_again(installed):
    tried = installed("9.0.0")
    check_import()
    installed("9.0.0", machine=Machine("aarch64", isa=frozenset({"asimd"}), online=(0, 2)))
    check_import()
    assert tried == ["9.0.0"] * 2


def test_what_failed_is_tried_again(installed):
    tried = installed("9.0.0", "onnxruntime 9.0.0 is killed")
    for _ in range(2):
        with pytest.raises(DependencyError, match="is killed"):
            check_import()
    assert tried == ["9.0.0"] * 2


def test_a_cache_that_cannot_be_written_is_no_reason_not_to_start(installed, tmp_path, monkeypatch):
    tried = installed("9.0.0")
    (tmp_path / "edgeline").write_text("in the way")
    check_import()

    def homeless():
        raise OutputError("there is no place for the cache")

    monkeypatch.setattr(import_check, "trusted_cache_root", homeless)
    check_import()
    assert tried == ["9.0.0"] * 2


def test_without_onnxruntime_the_import_itself_says_so(installed):
    assert installed(None) == []
    check_import()


def test_elsewhere_than_on_linux_nothing_is_tried(installed, monkeypatch):
    tried = installed("9.0.0")
    monkeypatch.setattr(sys, "platform", "darwin")
    check_import()
    assert tried == []


def test_the_import_asks_first_and_only_once(monkeypatch):
    asked = []
    monkeypatch.setattr(ort_process, "check_import", lambda: asked.append(1))
    ort_process.import_onnxruntime()
    before = len(asked)
    ort_process.import_onnxruntime()
    assert len(asked) == before
    monkeypatch.delitem(sys.modules, "onnxruntime")
    monkeypatch.setattr(importlib, "import_module", lambda name: name)
    ort_process.import_onnxruntime()
    assert len(asked) == before + 1
