"""The distillation loss and the batches it is computed on."""

import itertools

import numpy as np
import pytest
from tiny_models import convnet

torch = pytest.importorskip("torch", reason="torch is not installed")

from edge_export.qat.data import Batches  # noqa: E402
from edge_export.qat.losses import DistillLoss  # noqa: E402
from edge_export.state import KnownFacts  # noqa: E402
from edge_runtime.bundle.postprocess_spec import Classify, Detect  # noqa: E402
from edge_runtime.errors import DataError  # noqa: E402

TEACHER = {"logits": torch.tensor([[2.0, 0.0, -1.0], [0.5, 0.4, 3.0]])}


@pytest.mark.parametrize("post", [None, Classify(activation="softmax"), Classify(activation="none")])
def test_equal_answers_cost_nothing_and_others_do(post):
    loss = DistillLoss(convnet(), KnownFacts(postprocess=post))
    assert loss(TEACHER, TEACHER).item() == pytest.approx(0.0, abs=1e-6)
    assert loss(TEACHER, {"logits": TEACHER["logits"] * 0.9}).item() > 1e-4


def test_a_classifier_is_judged_by_the_divergence_of_its_classes():
    loss = DistillLoss(convnet(), KnownFacts(postprocess=Classify(activation="softmax")))
    p, q = TEACHER["logits"].softmax(1), (TEACHER["logits"] + torch.tensor([0.0, 1.0, 0.0])).softmax(1)
    divergence = (p * (p.log() - q.log())).sum(1).mean()
    relative = 2.0 / TEACHER["logits"].square().sum()
    found = loss(TEACHER, {"logits": TEACHER["logits"] + torch.tensor([0.0, 1.0, 0.0])})
    assert found.item() == pytest.approx(float(divergence + relative), rel=1e-5)


def test_a_detectors_boxes_do_not_drown_its_scores():
    loss = DistillLoss(convnet(), KnownFacts(postprocess=Detect(format="yolo")))
    answer = torch.rand(1, 6, 10)
    answer[:, :4] *= 1000
    wrong = answer.clone()
    wrong[:, 4:] = 0.0
    assert loss({"logits": answer}, {"logits": wrong}).item() == pytest.approx(1.0)


def test_batches_show_every_sample_once_in_each_round():
    data = [{"x": np.full((1, 2), i, np.float32)} for i in range(6)]
    shown = [batch["x"][:, 0].tolist() for batch in itertools.islice(Batches(data, 2, seed=1), 6)]
    assert sorted(itertools.chain(*shown[:3])) == sorted(itertools.chain(*shown[3:])) == [0, 1, 2, 3, 4, 5]
    again = [batch["x"][:, 0].tolist() for batch in itertools.islice(Batches(data, 2, seed=1), 6)]
    assert again == shown


def test_varied_images_keep_their_shape_and_their_range():
    images = [{"x": np.random.default_rng(i).random((1, 2, 5, 7)).astype(np.float32)} for i in range(4)]
    for batch in itertools.islice(Batches(images, 4, 0, axes=(2, 3)), 5):
        assert batch["x"].shape == (4, 2, 5, 7)
        assert float(batch["x"].min()) >= 0.0
        assert float(batch["x"].max()) <= 1.0


def test_bytes_are_mirrored_only():
    image = np.arange(6, dtype=np.uint8).reshape(1, 2, 3, 1)
    shown = {tuple(b["x"].reshape(-1).tolist()) for b in itertools.islice(Batches([{"x": image}], 1, 0, (1, 2)), 20)}
    assert shown == {(0, 1, 2, 3, 4, 5), (2, 1, 0, 5, 4, 3)}


def test_data_that_comes_only_once_is_refused():
    with pytest.raises(DataError, match="use a list or a loader"):
        next(iter(Batches(iter(()), 2, 0)))
