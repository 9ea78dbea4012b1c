"""Whether onnxruntime can be imported is known before it is: from a table, or from a child process."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

import edge_devices.__main__ as edge_devices_main
from edge_devices import (
    Core,
    Machine,
    cannot_run,
    doubt,
    imports_safely,
    installed_onnxruntime,
    isa,
    this_processor,
)

PLAIN = frozenset({"fp", "asimd", "crc32"})
NEWER = PLAIN | {"asimdhp", "asimddp"}


def arm(isa=PLAIN, kind="cortex-a72", online=(0, 1, 2, 3)):
    cores = tuple(Core(number, 1800, 0, kind) for number in online)
    return Machine("aarch64", isa=isa, cores=cores, online=online)


X86 = Machine("x86_64", isa=frozenset({"ssse3", "sse4_2", "avx2"}))


def test_a_wheel_for_newer_processors_is_refused_with_a_sentence():
    sentence = cannot_run(arm(), "1.21.0")
    assert "onnxruntime 1.21.0 is built for processors with asimdhp" in sentence
    assert "cortex-a72" in sentence
    assert "pip install" in sentence
    assert "\n" not in sentence


@pytest.mark.parametrize(
    ("machine", "version"),
    [
        (arm(), "1.20.1"),
        (arm(), "1.21.1"),
        (arm(), "1.31.1"),
        (arm(NEWER, "cortex-a76"), "1.21.0"),
        (X86, "1.21.0"),
        (Machine("aarch64"), "1.21.0"),  # nobody tells: then it is tried
        (arm(), "nightly"),
    ],
)
def test_what_is_not_known_to_crash_is_not_refused(machine, version):
    assert cannot_run(machine, version) is None


@pytest.mark.parametrize("version", ["1.27.0", "1.28.0", "1.31.1"])
def test_what_ran_on_such_cores_is_not_in_doubt(version):
    assert doubt(arm(), version) is None
    assert doubt(arm(NEWER, "cortex-a76"), version) is None


@pytest.mark.parametrize("version", ["1.20.0", "1.31.1", "1.32.0", "2.0.0"])
def test_on_x86_no_release_is_in_doubt_however_new(version):
    assert doubt(X86, version) is None


@pytest.mark.parametrize(
    ("machine", "version", "why"),
    [
        (arm(), "1.21.0", "before 1.27"),
        (arm(), "1.26.0", "before 1.27"),
        (arm(), "1.99.0", "newer than what was seen"),
        (arm(), "of today", "nobody knows"),
        (X86, "nightly", "nobody knows"),
        (arm(online=(0, 3)), "1.31.1", "cores are off"),
        (arm(kind=""), "1.31.1", "no ARM core"),
        (Machine("aarch64"), "1.31.1", "nothing tells"),
        (Machine("x86_64"), "1.32.0", "nothing tells"),
        (Machine("x86_64", isa=frozenset({"sse2"})), "1.31.1", "no sse4_2"),
        (Machine("armv7l", isa=frozenset({"neon"})), "1.31.1", "no releases for armv7l"),
    ],
)
def test_where_there_is_a_reason_for_doubt_it_is_said(machine, version, why):
    assert why in doubt(machine, version)


@pytest.mark.parametrize(
    ("folder", "version"),
    [
        ("onnxruntime-1.31.1.dist-info", "1.31.1"),
        ("onnxruntime_gpu-1.23.0.dist-info", "1.23.0"),
        ("onnxruntime_openvino-1.24.1.dist-info", "1.24.1"),
        ("onnxruntime_gpu-1.17.0-py3.10-linux-aarch64.egg-info", "1.17.0"),
        ("onnxruntime_extensions-0.14.0.dist-info", None),
        ("onnxruntime_genai-0.9.0.dist-info", None),
        ("onnx-1.19.0.dist-info", None),
    ],
)
def test_the_version_is_found_without_an_import(tmp_path, monkeypatch, folder, version):
    (tmp_path / folder).mkdir()
    monkeypatch.setattr(sys, "path", [str(tmp_path / "none"), str(tmp_path)])
    assert installed_onnxruntime() == version


def test_this_machine_runs_what_is_installed():
    version = installed_onnxruntime()
    if version is None:
        pytest.skip("no onnxruntime is installed")
    assert cannot_run(this_processor(), version) is None


@pytest.fixture
def child(monkeypatch):
    """A child process that ends as it is told."""

    def ends(code, errors=b""):
        monkeypatch.setattr(
            subprocess, "run", lambda command, **_: subprocess.CompletedProcess(command, code, None, errors)
        )

    return ends


@pytest.mark.parametrize("code", [-4, 132])
def test_a_child_that_is_killed_by_an_illegal_instruction_says_so(child, code):
    child(code)
    assert "uses instructions that this processor does not have" in imports_safely()


def test_a_child_that_is_killed_otherwise_says_by_what(child):
    child(-6, b"stl_vector.h:1130: Assertion '__n < this->size()' failed.\n")
    sentence = imports_safely()
    assert "killed by SIGABRT" in sentence
    assert "__n < this->size()" in sentence
    child(-64 - 100)
    assert "signal 164" in imports_safely()


@pytest.mark.parametrize("code", [0, 1])
def test_an_exception_in_the_child_is_for_the_real_import_to_show(child, code):
    child(code, b"ModuleNotFoundError: No module named 'onnxruntime'\n")
    assert imports_safely() is None


def test_a_child_that_hangs_is_not_waited_for(monkeypatch):
    def hangs(command, **_):
        raise subprocess.TimeoutExpired(command, 1)

    monkeypatch.setattr(subprocess, "run", hangs)
    assert "is not imported after 1 s" in imports_safely(1)


def test_where_no_process_can_be_made_nobody_knows(monkeypatch):
    def refused(*_, **__):
        raise OSError(11, "Resource temporarily unavailable")

    monkeypatch.setattr(subprocess, "run", refused)
    assert imports_safely() is None


def test_the_child_really_imports_and_its_death_is_seen(tmp_path, monkeypatch):
    monkeypatch.setattr(sys, "path", [str(tmp_path)])
    module = tmp_path / "onnxruntime.py"
    module.write_text("")
    assert imports_safely() is None
    module.write_text("import os, signal\nos.kill(os.getpid(), signal.SIGILL)\n")
    assert "does not have" in imports_safely()
    assert os.environ.get("PYTHONPATH") != str(tmp_path)
    assert isa.installed_onnxruntime() is None


@pytest.mark.parametrize(
    ("board", "version", "said"),
    [
        ("intel-n100", "1.32.0", "onnxruntime      1.32.0\n"),
        ("raspberry-pi-4b", "1.31.1", "onnxruntime      1.31.1\n"),
        ("raspberry-pi-4b", "1.26.0", "onnxruntime      1.26.0, to be tried: releases before 1.27 have crashed on ARM"),
        ("raspberry-pi-4b", "1.21.0", "would be killed on this one"),
    ],
)
def test_the_command_says_to_be_tried_only_where_there_is_a_reason(monkeypatch, capsys, board, version, said):
    monkeypatch.setattr(edge_devices_main, "installed_onnxruntime", lambda: version)
    assert edge_devices_main.main(["--tree", str(Path(__file__).parent / f"boards/{board}.txt")]) == 0
    assert said in capsys.readouterr().out
