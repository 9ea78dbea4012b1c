"""What is told of onnxruntime's messages, and what is opened where int8 sums saturate."""

import onnxruntime
import pytest
from tiny_models import convnet

from edge_export import run
from edge_export.run import OrtError, one_line, open_session

ENTRY = "session.x64quantprecision"


def test_a_temporary_files_name_is_not_quoted():
    found = one_line(
        RuntimeError(
            "[ONNXRuntimeError] : 1 : FAIL : Load model from /some where/tmp4.onnx failed:Fatal error: x(1) is no op"
        )
    )
    assert found == "Fatal error: x(1) is no op"


def opened(monkeypatch, exact, refused):
    """Whether exact sums were asked of each session that was tried; those in `refused` do not open."""
    tried, usual = [], onnxruntime.InferenceSession

    def session(payload, options, **more):
        try:
            with_entry = options.get_session_config_entry(ENTRY) == "1"
        except RuntimeError:  # it has none
            with_entry = False
        tried.append(with_entry)
        if with_entry in refused:
            raise RuntimeError("Attempt to replace the existing tensor")
        return usual(payload, options, **more)

    monkeypatch.setattr(run, "exact_products", lambda: {ENTRY: "1"} if exact else {})
    monkeypatch.setattr(onnxruntime, "InferenceSession", session)
    try:
        open_session(convnet())
    except OrtError as error:
        tried.append(str(error))
    return tried


@pytest.mark.parametrize(
    ("exact", "refused", "tried"),
    [
        (True, (), [True]),
        (True, (True,), [True, False]),
        (False, (), [False]),
    ],
)
def test_a_model_that_does_not_open_with_exact_sums_is_opened_without(monkeypatch, exact, refused, tried):
    assert opened(monkeypatch, exact, refused) == tried


@pytest.mark.parametrize("exact", [True, False])
def test_a_model_that_does_not_open_at_all_is_told(monkeypatch, exact):
    assert "Attempt to replace" in opened(monkeypatch, exact, (True, False))[-1]
