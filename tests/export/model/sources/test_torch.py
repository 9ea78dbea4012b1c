"""A PyTorch factory as a source. What needs torch itself is skipped where torch is not installed."""

from __future__ import annotations

import importlib
import sys

import numpy as np
import pytest

from edge_export.model.sources import LoadOptions, load_source
from edge_export.probe import open_session, run_session
from edge_runtime.errors import DependencyError, ModelError, UsageError

NETWORK = """
import torch
from torch import nn

class Net(nn.Module):
    def __init__(self):
        super().__init__()
        self.layer = nn.Linear(4, 2)
    def forward(self, x):
        return torch.relu(self.layer(x))

def net():
    torch.manual_seed(0)
    return Net()

def failing():
    raise RuntimeError("no weights here")

def number():
    return 3

def leaving():
    raise SystemExit(3)
"""


@pytest.fixture
def here(tmp_path, monkeypatch, request):
    """A current folder with a module of a name that no other test uses."""
    monkeypatch.chdir(tmp_path)
    name = f"user_net_{abs(hash(request.node.name))}"
    (tmp_path / f"{name}.py").write_text(NETWORK)
    yield name
    sys.modules.pop(name, None)


@pytest.fixture
def installed():
    pytest.importorskip("torch", reason="torch is not installed")
    pytest.importorskip("onnxscript", reason="onnxscript is not installed")


def test_without_torch_the_install_line_is_given(here, monkeypatch):
    real = importlib.import_module

    def without_torch(name, package=None):
        if name == "torch":
            raise ModuleNotFoundError("No module named 'torch'", name="torch")
        return real(name, package)

    monkeypatch.setattr(importlib, "import_module", without_torch)
    with pytest.raises(DependencyError, match=r"pip install 'edgeline\[torch\]'"):
        load_source(f"{here}:net", LoadOptions())


@pytest.mark.parametrize(
    ("attribute", "kind", "words"),
    [
        ("absent", UsageError, "no 'absent' in .*it offers Net, failing, leaving, net, number"),
        ("failing", ModelError, "the factory fails: RuntimeError: no weights here"),
        ("number", ModelError, "expected a torch.nn.Module from the factory, found int"),
        ("net", UsageError, "the input's shape is not known"),
    ],
)
def test_a_factory_that_cannot_be_used_is_explained(installed, here, attribute, kind, words):
    with pytest.raises(kind, match=words):
        load_source(f"{here}:{attribute}", LoadOptions())


def test_a_module_that_is_not_there_is_a_usage_error(installed, here):
    before = list(sys.path)
    with pytest.raises(UsageError, match="no Python module 'nowhere_net'"):
        load_source("nowhere_net:net", LoadOptions())
    assert sys.path == before


def test_a_shape_that_the_module_refuses_is_reported_with_its_own_reason(installed, here):
    with pytest.raises(ModelError, match=r"fails on inputs of shape \[\[1, 5\]\]: RuntimeError"):
        load_source(f"{here}:net", LoadOptions({"x": (1, 5)}))


def test_a_module_is_exported_with_a_free_batch_and_answers_as_pytorch(installed, here):
    source = load_source(f"{here}:net", LoadOptions({"x": (1, 4)}))
    (value,) = source.proto.graph.input
    assert value.name == "x"
    weights = importlib.import_module("torch")
    weights.manual_seed(0)
    layer = weights.nn.Linear(4, 2)
    batch = np.random.default_rng(0).random((3, 4), dtype=np.float32)
    (found,) = run_session(open_session(source.proto), {"x": batch})
    expected = np.maximum(batch @ layer.weight.detach().numpy().T + layer.bias.detach().numpy(), 0)
    np.testing.assert_allclose(found, expected, rtol=1e-5, atol=1e-6)
    assert source.fp32_bytes > 0
    assert len(source.sha256) == 64


def test_a_factory_that_ends_the_program_is_an_error(here, installed):
    with pytest.raises(ModelError, match="the factory fails: SystemExit: 3"):
        load_source(f"{here}:leaving", LoadOptions({"x": (1, 4)}))
