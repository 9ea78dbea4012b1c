"""How the command begins."""

from __future__ import annotations

import os

import pytest

from edge_export import __main__ as command


@pytest.mark.parametrize(("said", "expected"), [(None, "1"), ("0", "0")])
def test_telemetry_is_off_unless_the_environment_says_otherwise(monkeypatch, said, expected):
    monkeypatch.setattr(command, "start", lambda module: None)
    monkeypatch.setenv("ORT_DISABLE_TELEMETRY", "x")  # so that it is put back
    monkeypatch.delenv("ORT_DISABLE_TELEMETRY") if said is None else monkeypatch.setenv("ORT_DISABLE_TELEMETRY", said)
    command.main()
    assert os.environ["ORT_DISABLE_TELEMETRY"] == expected
