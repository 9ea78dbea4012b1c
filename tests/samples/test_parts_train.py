"""The detector of masks, key points and turned boxes: it learns, and the device reads what it exports."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import onnxruntime
import pytest

torch = pytest.importorskip("torch")
torch.set_num_threads(1)  # several wait for one another on a busy machine

from parts.learn import loss, targets_of  # noqa: E402 - after the check for torch
from parts.network import Detector, grid  # noqa: E402
from parts.scenes import KINDS, NAMES, SIDE, draw_scene  # noqa: E402
from parts.train import export  # noqa: E402

PARTS = {"masks": 8, "points": 51, "oriented": 1}


@pytest.mark.parametrize("kind", KINDS)
def test_a_few_steps_on_one_batch_bring_the_loss_down(kind: str) -> None:
    torch.manual_seed(0)
    model, targets = Detector(kind), targets_of(kind, [draw_scene(kind, seed) for seed in range(2)])
    optimiser = torch.optim.Adam(model.parameters(), lr=3e-3)
    losses = []
    for _ in range(6):
        value = loss(model, targets, grid())
        optimiser.zero_grad()
        value.backward()
        optimiser.step()
        losses.append(value.item())
    assert np.isfinite(losses).all()
    assert losses[-1] < losses[0]


@pytest.mark.parametrize("kind", KINDS)
def test_the_exported_model_has_a_row_for_every_place(tmp_path: Path, kind: str) -> None:
    export(Detector(kind), tmp_path / "model.onnx")
    session = onnxruntime.InferenceSession(tmp_path / "model.onnx", providers=["CPUExecutionProvider"])
    rows, *prototypes = session.run(None, {"images": np.zeros((1, 3, SIDE, SIDE), np.float32)})
    assert rows.shape == (1, 4 + len(NAMES[kind]) + PARTS[kind], 20 * 20 + 10 * 10 + 5 * 5)
    assert [one.shape for one in prototypes] == ([(1, 8, 40, 40)] if kind == "masks" else [])
    scores = rows[:, 4 : 4 + len(NAMES[kind])]
    assert 0 < scores.min() <= scores.max() < 1
