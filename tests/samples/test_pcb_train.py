"""The network's size, its export, and training that can stop and go on."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

torch = pytest.importorskip("torch")
torch.set_num_threads(1)  # several wait for one another on a busy machine

from pcb.dataset import Generated, Recipe, turned  # noqa: E402 - after the check for torch
from pcb.loss import assign, decode, loss, overlap  # noqa: E402
from pcb.model import Detector, Widths, multiply_adds, parameters  # noqa: E402
from pcb.train import Schedule, Trainer  # noqa: E402

TINY = Recipe(batch=2, crop=128, boards=1, lag=1)


def test_the_network_stays_small() -> None:
    model = Detector()
    assert 1.4e6 <= parameters(model) <= 2.0e6
    assert multiply_adds(model, 640) < 0.6e9


def test_the_output_has_ten_rows_and_a_column_for_every_cell() -> None:
    with torch.no_grad():
        assert Detector().eval()(torch.zeros(2, 1, 128, 192)).shape == (2, 10, 16 * 24)


def test_a_batch_is_the_same_whoever_asks_first() -> None:
    ahead = Generated(TINY)
    for number in range(3):
        batch = ahead[number]
    afresh = Generated(TINY)[2]
    assert np.array_equal(batch.images, afresh.images)
    assert np.array_equal(batch.boxes, afresh.boxes)


def test_a_turned_batch_keeps_its_boxes_on_its_defects() -> None:
    batch = Generated(TINY)[0]
    batch.images[:] = 255
    for i, boxes in enumerate(batch.boxes):
        for x1, y1, x2, y2 in boxes[batch.labels[i] >= 0].astype(int):
            batch.images[i, y1:y2, x1:x2] = 0
    again = turned(batch, np.random.default_rng(5))
    for i, boxes in enumerate(again.boxes):
        inside = np.zeros_like(again.images[i], bool)
        for x1, y1, x2, y2 in boxes[again.labels[i] >= 0].astype(int):
            inside[y1:y2, x1:x2] = True
        assert np.array_equal(again.images[i] == 0, inside)


def test_stopping_and_going_on_is_the_same_as_never_stopping(tmp_path: Path) -> None:
    schedule = Schedule(steps=4, warmup=1)
    source = Generated(TINY)
    through = Trainer(schedule, seed=3)
    for number in range(4):
        through.learn(source[number])
    first = Trainer(schedule, seed=3)
    for number in range(2):
        first.learn(source[number])
    first.save(tmp_path / "checkpoint.pt")
    second = Trainer(schedule, seed=99)
    second.load(tmp_path / "checkpoint.pt")
    assert second.step == 2
    for number in range(2, 4):
        second.learn(source[number])
    for one, other in ((through.model, second.model), (through.average, second.average)):
        for name, tensor in one.state_dict().items():
            torch.testing.assert_close(tensor, other.state_dict()[name], rtol=1e-5, atol=1e-6, msg=name)


def test_a_perfect_answer_costs_next_to_nothing() -> None:
    truth = torch.tensor([[[20.0, 20.0, 60.0, 52.0]]])
    labels = torch.tensor([[3]])
    raw = torch.full((1, 10, 256), -12.0)
    points = torch.arange(256)
    cells = torch.stack([points % 16, points // 16]).float()
    centre, size = torch.tensor([40.0, 36.0]), torch.tensor([40.0, 32.0])
    raw[0, :2] = centre[:, None] / 8 - cells
    raw[0, 2:4] = (size / 8).log()[:, None]
    raw[0, 4 + 3, ((cells * 8 + 4 - centre[:, None]).abs() < 6).all(0)] = 12.0
    right = sum(loss(raw, truth, labels, 16))
    raw[0, [4 + 3, 4 + 2]] = raw[0, [4 + 2, 4 + 3]]
    wrong = sum(loss(raw, truth, labels, 16))
    assert right < 0.1
    assert wrong > 1


def test_a_picture_without_defects_has_no_positives() -> None:
    scores, boxes = torch.rand(1, 256, 6), torch.rand(1, 256, 4)
    truth, labels = torch.zeros(1, 3, 4), torch.full((1, 3), -1)
    positive, _, target = assign(scores, boxes, truth, labels, 16)
    assert not positive.any()
    assert not target.any()


def test_giou_of_apart_boxes_is_negative() -> None:
    iou, giou = overlap(torch.tensor([0.0, 0, 10, 10]), torch.tensor([20.0, 0, 30, 10]))
    assert float(iou) == 0.0
    assert float(giou) == pytest.approx(-1 / 3, abs=1e-4)


def test_the_loss_and_the_runtime_decode_alike() -> None:
    from pcb.detect import decode as numpy_decode

    raw = torch.full((1, 10, 16), -20.0)
    raw[0, :5, 5] = torch.tensor([0.3, 0.6, 1.0, 1.2, 4.0])
    box = decode(raw[:, :4], 4)[0, 5]
    np.testing.assert_allclose(numpy_decode(raw[0].numpy(), 4).boxes[0], box.numpy(), rtol=1e-5)


def test_the_exported_network_answers_as_the_trained_one(tmp_path: Path) -> None:
    ort = pytest.importorskip("onnxruntime")
    pytest.importorskip("onnx")
    from pcb.export import export

    torch.manual_seed(0)
    model = Detector(Widths(s64=32, s32=32, down32=16, down16=16, head=16)).eval()
    export(model, tmp_path / "small.onnx", 128)
    session = ort.InferenceSession(str(tmp_path / "small.onnx"), providers=["CPUExecutionProvider"])
    images = torch.rand(3, 1, 128, 128)
    with torch.no_grad():
        expected = model(images).numpy()
    got = session.run(None, {"images": images.numpy()})[0]
    np.testing.assert_allclose(got, expected, atol=1e-3, err_msg=f"differs by {abs(got - expected).max():.2g}")
    facts = session.get_modelmeta().custom_metadata_map
    assert facts["task"] == "detect"
    assert facts["strides"] == "8"
