"""The tables: rows from reports, words for failures, calibration tensors for models with odd inputs."""

from __future__ import annotations

import json
import subprocess
import types
from pathlib import Path

import cv2
import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper

from edge_devices.interpreter import python_module
from edge_export.evaluate.data import open_calibration
from edge_export.state import Comparison, Score
from edge_runtime.bundle.preprocess_spec import Preprocess
from edge_runtime.errors import DataError
from edge_tools.accuracy_table import Line, line_of, measure_sample
from edge_tools.accuracy_table import as_markdown as accuracy_markdown
from edge_tools.calibration_data import calibration_path, graph_inputs
from edge_tools.known_models import KNOWN, UNKNOWN, KnownModel
from edge_tools.models_table import Row, as_markdown, export_row, read_report

REPORT = {
    "task": "detect",
    "fp32_bytes": 1000,
    "bundle_bytes": 270,
    "precision": {"int8": 12, "fp16": 2},
    "blocks": 3,
    "accuracy": [
        {"metric": "map50", "data": "coco", "fp32": 0.5, "bundle": 0.49},
        {"metric": "sqnr_db boxes", "data": "32 images", "fp32": None, "bundle": 31.0},
        {"metric": "sqnr_db scores", "data": "32 images", "fp32": None, "bundle": 18.5},
        {"metric": "max_abs_diff boxes", "data": "32 images", "fp32": None, "bundle": 0.7},
    ],
    "notes": ["a note"],
}


def model(path: Path, *inputs: tuple[str, int, list[int | str]]) -> Path:
    values = [helper.make_tensor_value_info(name, kind, shape) for name, kind, shape in inputs]
    first = inputs[0]
    out = helper.make_tensor_value_info("y", first[1], first[2])
    graph = helper.make_graph([helper.make_node("Identity", [first[0]], ["y"])], "g", values, [out])
    onnx.save(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)]), str(path))
    return path


def fake_export(monkeypatch: pytest.MonkeyPatch, code: int, out: str = "", err: str = "") -> list[list[str]]:
    """Stand in for the edge-export process; the commands it was given are returned."""
    commands: list[list[str]] = []

    def run(command: list[str], **options: object) -> subprocess.CompletedProcess[str]:
        commands.append(command)
        return subprocess.CompletedProcess(command, code, out, err)

    monkeypatch.setattr("edge_tools.models_table.subprocess.run", run)
    return commands


def row(path: Path, known: KnownModel = UNKNOWN) -> Row:
    return export_row(path, known, path.parent, 4, "int8", 10.0)


def test_the_worst_output_speaks_for_the_model() -> None:
    made = read_report("m.onnx", 13, REPORT, 2.0)
    assert (made.sqnr_db, made.largest_error, made.calibration) == (18.5, 0.7, "32 images")
    assert (made.task, made.blocks, made.notes) == ("detect", 3, ("a note",))


def test_an_exported_model_is_one_row_of_the_table(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    commands = fake_export(monkeypatch, 0, json.dumps(REPORT) + "\n")
    made = row(model(tmp_path / "m.onnx", ("x", TensorProto.FLOAT, ["n", 4])))
    assert made.verdict == "exported"
    assert made.opset == 17
    started = python_module("edge_export", str(tmp_path / "m.onnx"))
    assert commands[0][: len(started)] == started
    assert commands[0][-1].endswith("random-noise.npz")
    text = as_markdown([made])
    assert "| m | detect | 17 | 1,000 | 270 | 0.27x | 12 int8, 2 fp16 | 3 | 18.5 | 0.7 |" in text
    assert text.endswith("1 models: 1 exported, 0 refused, 0 failed.\n")


@pytest.mark.parametrize(
    ("code", "err", "verdict"),
    [
        (4, "a warning\nedge-export: the model has no nodes\n", "refused: the model has no nodes"),
        (-9, "", "failed: killed by SIGKILL (out of memory?)"),
        (-11, "", "failed: killed by SIGSEGV"),
        (1, "Traceback (most recent call last):\n  ...\nKeyError: 'x'\n", "failed: crashed with KeyError: 'x'"),
        (1, "", "refused: no message"),
    ],
)
def test_each_way_to_fail_is_told_apart(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, code: int, err: str, verdict: str
) -> None:
    fake_export(monkeypatch, code, err=err)
    assert row(model(tmp_path / "m.onnx", ("x", TensorProto.FLOAT, [1, 4]))).verdict == verdict


def test_a_hanging_export_is_one_row(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def run(command: list[str], **options: object) -> None:
        raise subprocess.TimeoutExpired(command, 10.0)

    monkeypatch.setattr("edge_tools.models_table.subprocess.run", run)
    made = row(model(tmp_path / "m.onnx", ("x", TensorProto.FLOAT, [1, 4])))
    assert made.verdict == "failed: not done after 10 s"


def test_missing_images_are_a_row_too(tmp_path: Path) -> None:
    known = KnownModel(Preprocess(4, 4), data="coco128")
    made = row(model(tmp_path / "m.onnx", ("x", TensorProto.FLOAT, [1, 3, 4, 4])), known)
    assert made.verdict.startswith("failed: ")
    assert "coco128 is not there" in made.verdict


def test_a_file_that_is_no_model_is_left_to_the_exporter(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    fake_export(monkeypatch, 4, err="edge-export: m.onnx is not an ONNX file\n")
    (tmp_path / "m.onnx").write_bytes(b"hello")
    made = row(tmp_path / "m.onnx")
    assert (made.opset, made.verdict) == (None, "refused: m.onnx is not an ONNX file")


def test_models_with_many_inputs_get_images_constants_and_noise(tmp_path: Path) -> None:
    (tmp_path / "coco128").mkdir()
    for index in range(3):
        shade = np.full((9, 9, 3), 50 * index, dtype=np.uint8)
        assert cv2.imwrite(str(tmp_path / "coco128" / f"{index}.png"), shade)
    path = model(
        tmp_path / "m.onnx",
        ("image", TensorProto.FLOAT, [1, 3, 4, 4]),
        ("sr", TensorProto.INT64, []),
        ("state", TensorProto.FLOAT, [2, "n"]),
    )
    known = KnownModel(
        data="coco128",
        more_inputs={"image": Preprocess(4, 4)},
        constants={"sr": 16000},
        input_shapes={"state": (2, 5)},
    )
    made = calibration_path(path, known, tmp_path, tmp_path, 3)
    samples = list(open_calibration(made, graph_inputs(path), None, 0, 0))
    assert [sample["sr"].item() for sample in samples] == [16000] * 3
    assert [float(np.asarray(s["image"], np.float32).mean() * 255) for s in samples] == pytest.approx([0, 50, 100])
    assert samples[0]["state"].shape == (2, 5)


def test_an_input_of_strings_cannot_be_calibrated(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="no tensor of numbers"):
        graph_inputs(model(tmp_path / "m.onnx", ("x", TensorProto.STRING, [1])))


def test_every_evaluated_model_says_how_its_images_and_answers_are_read() -> None:
    for name, known in KNOWN.items():
        assert name.endswith(".onnx")
        if known.evaluate:
            assert known.preprocess is not None, name
            assert known.postprocess.task in ("classify", "detect"), name
            assert known.data != "noise", name


def comparison() -> Comparison:
    def scores(value: float) -> tuple[Score, ...]:
        return Score("map50", value, value - 0.05, value + 0.05, 96), Score("recall", 0.4, 0.3, 0.5, 96)

    change = (Score("map50", -0.01, -0.02, 0.005, 96), Score("recall", 0.0, 0.0, 0.0, 96))
    return Comparison("coco128", scores(0.5), scores(0.49), change, (Score("box_f1", 0.93, 0.9, 0.95, 96),), ())


def test_a_bundle_of_another_model_is_not_compared(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    source = model(tmp_path / "pcb.onnx", ("x", TensorProto.FLOAT, [1, 4]))
    bundle = types.SimpleNamespace(manifest=types.SimpleNamespace(model=types.SimpleNamespace(sha256="0" * 64)))
    monkeypatch.setattr("edge_tools.accuracy_table.read_bundle", lambda path: bundle)
    line = measure_sample(source, tmp_path / "pcb.edge", tmp_path, 0, lambda done, total: None)
    assert line.problem == "pcb.edge was not made from this pcb.onnx: export it again"


def test_a_comparison_becomes_a_line_with_its_paired_interval() -> None:
    line = line_of("yolox", comparison(), "12 int8")
    assert (line.metric, line.fp32, line.bundle, line.change) == ("map50", 0.5, 0.49, -0.01)
    text = accuracy_markdown([line, Line("other", "top1", "imagenet", problem="refused")], "make it")
    assert "| yolox | map50 | 12 int8 | 0.500 | 0.490 | -0.010 (-0.020 .. +0.005) | same boxes (F1) 0.930 |" in text
    assert "| other | top1 | - | - | - | refused | - | imagenet |" in text
    assert text.endswith("Made by `make it`.\n")
