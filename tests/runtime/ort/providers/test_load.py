"""Providers that do not load: found out, said once, and fatal where one is required."""

import json
import logging
import os
import subprocess
import sys

import onnxruntime
import pytest
from provider_fakes import install

from edge_devices.profile import ProviderChoice
from edge_runtime.errors import UsageError
from edge_runtime.ort.providers.load import failure, loading, report

FIRST, SECOND, THIRD = (ProviderChoice(f"{name}ExecutionProvider") for name in ("CUDA", "OpenVINO", "Xnnpack"))


def test_the_one_that_does_not_load_is_told_and_the_next_is_used(monkeypatch):
    install(monkeypatch, CUDA="fails", OpenVINO="works")
    told = []
    assert loading((FIRST, SECOND), 1, tell=told.append) == (SECOND,)
    assert told == ["CUDA does not load: CUDAExecutionProvider cannot do this at all; the next provider is used"]


def test_a_silent_fallback_to_the_cpu_is_found_out_with_its_reason(monkeypatch):
    install(monkeypatch, CUDA="silent")
    assert failure(FIRST, 1) == "no libfake.so"


def test_a_provider_that_answers_wrongly_does_not_count_as_loaded(monkeypatch):
    fake = install(monkeypatch, CUDA="wrong")
    fake._does["CUDAExecutionProvider"] = "wrong:bytes"
    assert failure(FIRST, 1).startswith("it answers [[-2.0, 4.0, -6.0, -1.0]] where 2 * ")


def test_one_that_is_not_in_this_onnxruntime_does_not_load(monkeypatch):
    install(monkeypatch, OpenVINO="works")
    assert failure(THIRD, 1) == "this onnxruntime has OpenVINOExecutionProvider, CPUExecutionProvider"


def test_each_is_tried_once_in_a_process(monkeypatch):
    fake = install(monkeypatch, OpenVINO="works")
    for _ in range(3):
        assert failure(SECOND, 1) == ""
    assert len(fake.opened) == 1
    assert failure(ProviderChoice(SECOND.name, {"device_type": "GPU"}), 1) == ""
    assert len(fake.opened) == 2


def test_a_required_provider_that_does_not_load_is_an_error_with_the_reason_and_the_cure(monkeypatch):
    install(monkeypatch, OpenVINO="silent")
    with pytest.raises(
        UsageError, match=r"--require-provider openvino: OpenVINO does not load: no libfake.so; .*onnxruntime-openvino"
    ):
        loading((SECOND,), 1, require="openvino")


def test_a_line_is_said_once_in_a_process(monkeypatch, caplog):
    install(monkeypatch)
    with caplog.at_level(logging.WARNING):
        report("CUDA does not load")
        report("CUDA does not load")
    assert caplog.messages == ["CUDA does not load"]


def test_descriptor_2_is_as_it_was_afterwards(monkeypatch, capfd):
    install(monkeypatch, CUDA="silent")
    failure(FIRST, 1)
    os.write(2, b"still here\n")
    assert capfd.readouterr().err == "still here\n"


REAL = """
import json, sys
from edge_devices.profile import ProviderChoice
from edge_runtime.ort.providers.load import failure
print(json.dumps([failure(ProviderChoice(name, options), 1) for name, options in json.loads(sys.argv[1])]))
"""


def real(*choices):
    """The real onnxruntime, in a process where its own messages are nobody's."""
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}
    command = [sys.executable, "-c", REAL, json.dumps(choices)]
    done = subprocess.run(command, capture_output=True, text=True, check=True, env=environment)
    return json.loads(done.stdout), done.stderr


def test_the_cpu_of_the_real_onnxruntime_loads_and_what_it_has_not_does_not():
    found, _ = real(("CPUExecutionProvider", {}), ("ACLExecutionProvider", {}))
    assert found[0] == ""
    assert found[1].startswith("this onnxruntime has ")


def test_openvino_loads_for_the_cpu_and_says_why_not_for_a_gpu():
    if "OpenVINOExecutionProvider" not in onnxruntime.get_available_providers():
        pytest.skip("this onnxruntime has no OpenVINO (pip install onnxruntime-openvino)")
    name = "OpenVINOExecutionProvider"
    found, stderr = real((name, {"device_type": "CPU"}), (name, {"device_type": "NPU"}), (name, {"no_such": "1"}))
    assert found[0] == ""
    assert found[1].endswith("Device NPU is not available")
    assert "no_such" in found[2]
    assert all("/onnxruntime/" not in line for line in found)
    assert stderr == ""
