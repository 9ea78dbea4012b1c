"""Models of random weights: the right sizes, valid graphs, activations that stay sane, and the same bytes each time."""

from __future__ import annotations

import hashlib
import math
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
import onnx
import onnxruntime as ort
import pytest
from click.testing import CliRunner
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray

from edge_export.model.metadata.read import facts_of_onnx
from edge_runtime.bundle.postprocess_spec import Classify, Detect
from edge_runtime.cli.console import run_command
from edge_tools import zoo_graph, zoo_vit
from edge_tools.zoo import MODELS, Entry, zoo
from edge_tools.zoo_graph import IR_VERSION, OPSET, Graph, bell, notice
from edge_tools.zoo_resnet import ResnetShape, build_resnet
from edge_tools.zoo_vit import VitShape, build_vit
from edge_tools.zoo_yolo import YoloShape, build_yolo

VIT = VitShape(image=32, patch=8, width=48, depth=12, heads=3, mlp=96, classes=20)
RESNET = ResnetShape(blocks=(3, 4, 6, 3), width=8, image=64, classes=20)
RESNET_BASIC = ResnetShape(blocks=(2, 2, 2, 2), width=8, bottleneck=False, image=64, classes=20)
YOLO = YoloShape(image=64, channels=(8, 16, 24, 32, 40), depth=(2, 4, 4, 2), classes=5)

TINY: dict[str, Callable[[int], onnx.ModelProto]] = {
    "vit": lambda seed: build_vit("vit", VIT, seed),
    "resnet": lambda seed: build_resnet("resnet", RESNET, seed),
    "resnet-basic": lambda seed: build_resnet("resnet-basic", RESNET_BASIC, seed),
    "yolo": lambda seed: build_yolo("yolo", YOLO, seed),
}
every_kind = pytest.mark.parametrize("kind", TINY)


def _images(model: onnx.ModelProto, count: int) -> NDArray[np.float32]:
    _, *shape = (dim.dim_value for dim in model.graph.input[0].type.tensor_type.shape.dim)
    return np.random.default_rng(3).random((count, *shape), np.float32)


def _run(model: onnx.ModelProto, images: NDArray[np.float32]) -> list[NDArray[np.float32]]:
    options = ort.SessionOptions()
    options.intra_op_num_threads = 1
    options.graph_optimization_level = ort.GraphOptimizationLevel.ORT_DISABLE_ALL
    session = ort.InferenceSession(model.SerializeToString(), options, providers=["CPUExecutionProvider"])
    results: list[NDArray[np.float32]] = session.run(None, {model.graph.input[0].name: images})
    return results


def _with_outputs(model: onnx.ModelProto, kinds: Sequence[str]) -> onnx.ModelProto:
    """The model with what every operator of `kinds` computes as a further output."""
    known = {output.name for output in model.graph.output}
    names = [node.output[0] for node in model.graph.node if node.op_type in kinds]
    model.graph.output.extend(onnx.helper.make_tensor_value_info(n, 1, None) for n in names if n not in known)
    return model


@every_kind
def test_a_model_passes_the_checker_and_strict_shape_inference(kind: str) -> None:
    model = TINY[kind](0)
    onnx.checker.check_model(model, full_check=True)
    inferred = onnx.shape_inference.infer_shapes(model, check_type=True, strict_mode=True, data_prop=True)
    assert {entry.domain: entry.version for entry in model.opset_import} == {"": OPSET}
    assert model.ir_version == IR_VERSION
    assert inferred.graph.input[0].type.tensor_type.shape.dim[0].dim_param == "N"
    assert inferred.graph.output[0].type.tensor_type.shape.dim[0].dim_param == "N"


@every_kind
def test_a_batch_gives_what_its_images_give_alone(kind: str) -> None:
    model = TINY[kind](0)
    images = _images(model, 2)
    together = _run(model, images)[0]
    alone = np.concatenate([_run(model, images[i : i + 1])[0] for i in range(2)])
    difference = float(np.abs(together - alone).max())
    assert difference < 1e-3, f"largest difference {difference:.3g}"


@every_kind
def test_activations_stay_sane_through_the_whole_depth(kind: str) -> None:
    model = _with_outputs(TINY[kind](0), ("Conv", "MatMul", "Gemm"))
    values = _run(model, _images(model, 2))
    assert len(values) > 10
    for output, value in zip(model.graph.output, values, strict=True):
        assert np.isfinite(value).all(), output.name
        spread = float(value.std())
        if output.name != "output0" and "dfl" not in output.name:  # those are boxes, in pixels
            assert 0.02 < spread < 100, f"{output.name}: standard deviation {spread:.3g}"


@every_kind
def test_different_images_give_different_answers(kind: str) -> None:
    model = TINY[kind](0)
    answers = _run(model, _images(model, 4))[0]
    scores = answers[:, 4:] if kind == "yolo" else answers
    assert float(scores.std(axis=0).mean()) > 0.05 * float(scores.std())
    for index in range(3):
        assert not np.allclose(answers[index], answers[index + 1], rtol=1e-2)


@every_kind
def test_the_same_seed_gives_the_same_bytes_and_another_seed_other_weights(kind: str) -> None:
    first, second, other = (TINY[kind](seed).SerializeToString(deterministic=True) for seed in (7, 7, 8))
    assert first == second
    assert first != other


@every_kind
def test_a_model_says_that_its_answers_mean_nothing(kind: str) -> None:
    model = TINY[kind](5)
    sentence = "random weights (seed 5), for measuring size and speed only: its answers mean nothing"
    assert model.doc_string == model.graph.doc_string == sentence == notice(5)
    assert {entry.key: entry.value for entry in model.metadata_props}["description"] == sentence
    assert model.producer_name == "edge_tools.zoo"


@every_kind
def test_the_exporter_reads_every_fact_from_the_file_and_guesses_none(kind: str) -> None:
    model = TINY[kind](0)
    facts = facts_of_onnx(model)
    assert facts.notes == ()
    assert facts.preprocess is not None
    if kind == "yolo":
        assert facts.postprocess == Detect(format="yolo", box="cxcywh", axis="channels-first")
        assert facts.labels == tuple(f"class{index}" for index in range(YOLO.classes))
    else:
        assert facts.postprocess == Classify()


def test_boxes_lie_around_the_cells_that_predict_them() -> None:
    model = TINY["yolo"](0)
    answers = _run(model, _images(model, 2))[0]
    assert answers.shape == (2, 4 + YOLO.classes, YOLO.anchors)
    sides = [YOLO.image // stride for stride in (8, 16, 32)]
    strides = np.repeat([8.0, 16.0, 32.0], [side * side for side in sides])
    x = np.concatenate([np.tile(np.arange(side) + 0.5, side) for side in sides]) * strides
    y = np.concatenate([np.repeat(np.arange(side) + 0.5, side) for side in sides]) * strides
    # A side is at most 15 strides from the cell's middle, so the box's middle at most 7.5.
    assert (np.abs(answers[:, 0] - x) <= 7.5 * strides + 1e-3).all()
    assert (np.abs(answers[:, 1] - y) <= 7.5 * strides + 1e-3).all()
    assert (answers[:, 2:4] >= 0).all()
    assert (answers[:, 2:4] <= 30 * strides + 1e-3).all()
    assert ((answers[:, 4:] >= 0) & (answers[:, 4:] <= 1)).all()


# Parameters of torchvision's ResNets less batch normalisation plus the biases it is folded into, of timm's ViTs.
PARAMETERS = {"vit-b16": 86_567_656, "vit-ti16": 5_717_416, "resnet50": 25_530_472, "resnet18": 11_684_712}


@pytest.mark.parametrize("name", MODELS)
def test_a_named_model_has_the_size_that_the_help_says(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    def flat(seed: int, name: str, shape: Sequence[int], std: float, *, centred: bool = False) -> NDArray[np.float32]:
        return np.broadcast_to(np.float32(0), shape)  # takes no memory

    sizes: dict[str, int] = {}

    def measured(_graph: Graph, name: str, values: NDArray[np.float32]) -> str:
        sizes[name] = values.nbytes
        return name

    monkeypatch.setattr(zoo_graph, "bell", flat)
    monkeypatch.setattr(zoo_vit, "bell", flat)
    monkeypatch.setattr(Graph, "tensor", measured)
    MODELS[name].build(0)
    total = sum(sizes.values())
    assert total == pytest.approx(MODELS[name].megabytes * 1e6, rel=0.01)
    assert name not in PARAMETERS or total == pytest.approx(4 * PARAMETERS[name], rel=1e-5)
    assert name != "yolo-m" or 95e6 < total < 105e6


@given(st.integers(0, 2**63), st.text(max_size=20), st.floats(0.001, 10), st.booleans())
def test_weights_are_bounded_and_have_the_asked_spread(seed: int, name: str, std: float, centred: bool) -> None:
    values = bell(seed, name, (8, 200), std, centred=centred)
    assert values.dtype == np.float32
    assert float(np.abs(values).max()) <= 3.8 * std
    assert float(values.std()) == pytest.approx(std, rel=0.2)
    if centred:
        assert float(np.abs(values.mean(axis=1)).max()) <= 1e-4 * std


def test_weights_are_the_same_on_every_machine() -> None:
    # Recorded on x86-64 with numpy 2: a change of these bytes changes every model that was ever named by its seed.
    values = bell(0, "weight", (16, 3, 3), 0.5, centred=True)
    assert hashlib.sha256(values.astype("<f4").tobytes()).hexdigest() == (
        "fc854d730211cd0bd3b4d110fc74a23aa0f5ef0b98d2a95ff8b1f588960eedb6"
    )


def test_weights_depend_on_the_name_and_not_on_what_was_made_before() -> None:
    forward, backward = Graph("a", 0), Graph("b", 0)
    for graph, order in ((forward, ("x", "y")), (backward, ("y", "x"))):
        for name in order:
            graph.weight(name, (4, 4), 1.0)
    assert {t.name: t.raw_data for t in forward._tensors.values()} == {
        t.name: t.raw_data for t in backward._tensors.values()
    }
    assert forward._tensors["x"].raw_data != forward._tensors["y"].raw_data


def test_dimensions_that_do_not_divide_are_refused() -> None:
    with pytest.raises(ValueError, match="image must be a multiple of patch"):
        VitShape(image=33, patch=8)
    with pytest.raises(ValueError, match="image must be a multiple of 32"):
        YoloShape(image=100)


@pytest.fixture
def tiny_resnet18(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(MODELS, "resnet18", Entry(TINY["resnet-basic"], 0.1, "tiny"))


@pytest.mark.usefixtures("tiny_resnet18")
def test_the_command_writes_one_whole_file_and_says_what_it_is(tmp_path: Path) -> None:
    result = CliRunner().invoke(zoo, ["resnet18", "-o", str(tmp_path / "m.onnx"), "--seed", "4"])
    assert result.exit_code == 0
    assert result.output.endswith(
        "random weights (seed 4), for measuring size and speed only: its answers mean nothing\n"
    )
    assert [path.name for path in tmp_path.iterdir()] == ["m.onnx"]
    assert (tmp_path / "m.onnx").read_bytes() == TINY["resnet-basic"](4).SerializeToString(deterministic=True)


@pytest.mark.usefixtures("tiny_resnet18")
def test_the_command_is_silent_when_asked(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    result = CliRunner().invoke(zoo, ["resnet18", "--quiet"])
    assert (result.exit_code, result.output) == (0, "")
    assert (tmp_path / "resnet18.onnx").is_file()


@pytest.mark.usefixtures("tiny_resnet18")
@pytest.mark.parametrize(
    ("arguments", "code", "words"),
    [
        (["alexnet"], 2, "'alexnet' is not one of"),
        (["resnet18", "--seed", "-1"], 2, "-1 is not in the range"),
        (["resnet18", "-o", "absent/m.onnx"], 7, "cannot write absent/m.onnx: No such file or directory"),
    ],
)
def test_a_refusal_is_one_line_and_an_exit_code(
    arguments: list[str], code: int, words: str,
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str],
) -> None:  # fmt: skip
    monkeypatch.chdir(tmp_path)
    with pytest.raises(SystemExit) as stopped:
        run_command(zoo, "python -m edge_tools.zoo", arguments)
    error = capsys.readouterr().err
    assert stopped.value.code == code
    assert words in error
    assert error.count("\n") == 1


def test_the_help_lists_every_model_with_its_size() -> None:
    text = CliRunner().invoke(zoo, ["--help"]).output
    for name, entry in MODELS.items():
        assert f"{name:<10}{entry.megabytes:>6.1f} MB" in text
    assert math.isclose(MODELS["vit-b16"].megabytes, 346.3, rel_tol=0.01)
