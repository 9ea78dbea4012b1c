"""Prepared, trained and exported models: what torch answers is what onnxruntime answers."""

import copy
import dataclasses

import numpy as np
import onnx
import pytest
from tiny_models import convnet, samples, save, sqnr_db

torch = pytest.importorskip("torch", reason="torch is not installed")

from edge_export.pipeline import export_bundle  # noqa: E402
from edge_export.qat import CubicSparsity, DistillOptions, PrepareOptions, distill, export, prepare  # noqa: E402
from edge_export.qat.exporting import to_onnx  # noqa: E402
from edge_export.qat.pruning import prune, sparsity_of  # noqa: E402
from edge_export.quant.arrived import arrived_quantized  # noqa: E402
from edge_export.run import open_session, run  # noqa: E402
from edge_export.state import ExportOptions  # noqa: E402
from edge_runtime.errors import DataError, ModelError, UsageError  # noqa: E402

IMAGES = samples(24)
QUICK = DistillOptions(steps=6, batch=2, scale_rate=0.1, checks=1)


@pytest.fixture(scope="module")
def model_path(tmp_path_factory):
    return save(convnet(), tmp_path_factory.mktemp("qat") / "net.onnx")


@pytest.fixture(scope="module")
def prepared(model_path):
    return prepare(model_path, list(IMAGES[:, None]), options=PrepareOptions(keep_float=("none",)))


@pytest.fixture
def qat(prepared):
    return copy.deepcopy(prepared)


def answers(model, images, optimize):
    session = open_session(model, optimize=optimize)
    return np.concatenate([run(session, {"images": image[None]})["logits"] for image in images])


def in_torch(qat, images):
    with torch.no_grad():
        return qat(torch.from_numpy(images)).numpy()


def miscalibrate(qat):
    """Make every activation's steps seven times as wide, so that there is something to learn."""
    with torch.no_grad():
        for quantizer in qat.activations.values():
            quantizer.log_scale += 2.0


def scales(model):
    return {w.name: onnx.numpy_helper.to_array(w) for w in model.graph.initializer}


def test_the_prepared_model_answers_as_its_export_does(qat):
    found, expected = in_torch(qat, IMAGES), answers(to_onnx(qat), IMAGES, optimize=False)
    assert sqnr_db(expected, found) > 60, f"largest difference {np.abs(expected - found).max()}"


def test_a_trained_model_answers_as_its_export_does(qat, tmp_path):
    miscalibrate(qat)
    assert distill(qat, QUICK).best_step > 0
    export(qat, tmp_path / "out.onnx")
    model, found = onnx.load(tmp_path / "out.onnx"), in_torch(qat, IMAGES)
    plain, fused = (answers(model, IMAGES, optimize) for optimize in (False, True))
    step = np.abs(found).max() / 255
    assert np.abs(plain - found).max() < step / 10, f"largest difference {np.abs(plain - found).max()}"
    assert np.abs(fused - found).max() < 4 * step, f"largest difference {np.abs(fused - found).max()}"
    before, after = scales(qat.plan.qdq), scales(model)
    assert set(before) == set(after)
    assert any(not np.array_equal(before[name], after[name]) for name in after)
    assert [node.SerializeToString() for node in model.graph.node] == [
        node.SerializeToString() for node in qat.plan.qdq.graph.node
    ]


def test_an_export_is_recognised_as_quantized_already(qat):
    assert {node.precision for node in arrived_quantized(to_onnx(qat))} == {"int8"}


def test_a_bundle_is_made_of_an_export_without_calibration(qat, tmp_path):
    export(qat, tmp_path / "trained.onnx")
    manifest, _ = export_bundle(ExportOptions(str(tmp_path / "trained.onnx"), tmp_path / "trained.edge"))
    assert {node.precision for node in manifest.precision if node.op in ("Conv", "Gemm")} == {"int8"}
    found, bundled = in_torch(qat, IMAGES), answers(tmp_path / "trained.edge" / "model.onnx", IMAGES, optimize=False)
    assert sqnr_db(bundled, found) > 60, f"largest difference {np.abs(bundled - found).max()}"


def test_learning_from_the_float_model_brings_the_answers_closer(qat):
    miscalibrate(qat)
    report = distill(qat, DistillOptions(steps=40, batch=4, scale_rate=6e-2, checks=2))
    assert report.after.sqnr_db > report.before.sqnr_db + 2
    assert report.after.loss < report.before.loss
    assert report.best_step > 0
    assert "held-back samples" in report.text()


def test_the_same_seed_trains_the_same_model(prepared):
    first, second, third = (copy.deepcopy(prepared) for _ in range(3))
    for each in (first, second, third):
        miscalibrate(each)
    distill(first, QUICK)
    distill(second, QUICK)
    distill(third, dataclasses.replace(QUICK, seed=5))
    assert to_onnx(first).SerializeToString() == to_onnx(second).SerializeToString()
    assert to_onnx(first).SerializeToString() != to_onnx(third).SerializeToString()


def test_training_never_ends_worse_than_it_began(qat):
    report = distill(qat, DistillOptions(steps=6, batch=2, rate=10.0, scale_rate=1.0))
    assert report.best_step == 0
    assert report.after == report.before


def test_pruned_weights_are_zero_in_the_file(qat):
    report = distill(qat, DistillOptions(steps=12, batch=4, sparsity=CubicSparsity(0.6, smallest=0)))
    arrays = scales(to_onnx(qat))
    for name in qat.int8_values():
        assert (arrays[name] == 0).mean() >= 0.59
    assert report.sparsity >= 0.59
    assert report.best_step > 8  # a state from before the masks were final is not taken


def test_a_mask_keeps_the_largest_weights_and_never_grows_back(qat):
    prune(qat, 0.5)
    _, weight, quantizer = qat.prunable()[0]
    first = quantizer.mask.clone()
    kept, gone = (weight.detach().abs()[first == value] for value in (1, 0))
    assert gone.max() <= kept.min()
    weight.data[first == 0] = 100.0
    prune(qat, 0.7)
    assert bool((quantizer.mask <= first).all())
    assert sparsity_of(qat) >= 0.69


def test_weights_that_arrive_pruned_stay_pruned(tmp_path):
    model = convnet()
    for weight in model.graph.initializer:
        if weight.name == "w1":
            values = onnx.numpy_helper.to_array(weight).copy()
            values[np.abs(values) < np.median(np.abs(values))] = 0.0
            weight.CopyFrom(onnx.numpy_helper.from_array(values, "w1"))
    options = PrepareOptions(keep_float=("none",))
    qat = prepare(save(model, tmp_path / "pruned.onnx"), list(IMAGES[:8, None]), options=options)
    distill(qat, QUICK)
    stored = {name: scales(to_onnx(qat))[name] for name in qat.int8_values()}
    assert (stored["w1_dq"] == 0).mean() >= 0.5


def test_layers_that_are_kept_float_have_no_quantizer_but_are_trained(model_path):
    qat = prepare(model_path, list(IMAGES[:6, None]), options=PrepareOptions(keep_float=("conv0",)))
    assert {item.name for item in qat.plan.int8} == {"conv1", "conv2", "gemm"}
    assert {"w0", "b0"} <= set(qat.trained_names())
    weight = qat.weight("w0")
    qat(torch.from_numpy(IMAGES[:2])).sum().backward()
    assert weight.grad is not None


def test_a_module_is_prepared_with_example_inputs_and_stays_in_its_mode(monkeypatch):
    def convert(network, examples, name):
        assert not network.training
        assert [tuple(example.shape) for example in examples] == [(1, 3, 16, 16)]
        return convnet()

    monkeypatch.setattr("edge_export.qat.preparing.convert_module", convert)
    net = torch.nn.Identity().train()
    images = torch.from_numpy(IMAGES)
    loader = [(images[:4], torch.zeros(4)), (images[4:8], torch.zeros(4))]  # labels are not looked at
    qat = prepare(net, loader, examples=images[:1], options=PrepareOptions(keep_float=("none",)))
    assert net.training
    assert (len(qat.plan.training), len(qat.plan.holdout)) == (7, 1)
    assert sqnr_db(answers(convnet(), IMAGES, optimize=True), in_torch(qat, IMAGES)) > 20


def test_a_quantized_model_is_not_prepared_again(qat, tmp_path):
    export(qat, tmp_path / "out.onnx")
    with pytest.raises(ModelError, match="is quantized already; give the float model"):
        prepare(tmp_path / "out.onnx", list(IMAGES[:4, None]))


def test_a_pattern_that_matches_nothing_is_refused(model_path):
    with pytest.raises(UsageError, match="--keep-float 'head' matches no layer"):
        prepare(model_path, list(IMAGES[:4, None]), options=PrepareOptions(keep_float=("head",)))


def test_data_for_another_input_is_refused(model_path):
    with pytest.raises(DataError, match="expected a tensor for input 'images', found only 'pictures'"):
        prepare(model_path, [{"pictures": IMAGES[:1]}])


def test_a_module_without_examples_is_refused():
    with pytest.raises(UsageError, match="prepare needs `examples`"):
        prepare(torch.nn.Linear(2, 2), [torch.rand(1, 2)])
