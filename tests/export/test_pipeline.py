"""edge-export from a file to a bundle, and what it refuses."""

import dataclasses
import json
from pathlib import Path

import cv2
import numpy as np
import onnxruntime
import pytest
from click.testing import CliRunner
from tiny_models import convnet, samples, save, sqnr_db

from edge_export import passes
from edge_export.cli.command import edge_export_command
from edge_export.pipeline import PASSES, export_bundle
from edge_export.state import ExportOptions, FactFlags
from edge_runtime import open_bundle
from edge_runtime.bundle.bundle import read_bundle
from edge_runtime.errors import DataError, ModelError, OutputError, UsageError
from edge_runtime.verify.golden import compare, load_golden, read_golden

WIDE = (3, 16, 32, 32, 48, 48, 64)


@pytest.fixture(scope="module")
def photos(tmp_path_factory):
    folder = tmp_path_factory.mktemp("photos")
    rng = np.random.default_rng(0)
    for i in range(6):
        coarse = rng.integers(0, 256, (4, 5, 3), dtype=np.uint8)
        cv2.imwrite(str(folder / f"photo-{i}.png"), cv2.resize(coarse, (40, 30), interpolation=cv2.INTER_CUBIC))
    return folder


@pytest.fixture(scope="module")
def exported(tmp_path_factory, photos):
    folder = tmp_path_factory.mktemp("bundle")
    source = save(convnet(WIDE), folder / "tiny.onnx")
    labels = folder / "labels.txt"
    labels.write_text("good\nopen\nshort\nspur\nhole\n")
    flags = FactFlags(
        task="classify",
        preprocess={"width": 16, "height": 16, "mean": [0.5], "std": [0.25]},
        labels=labels,
        ok_classes=("good",),
    )
    options = ExportOptions(str(source), folder / "tiny.edge", flags, calibrate=photos, block_bytes=20_000)
    manifest, draft = export_bundle(options)
    return options, manifest, draft


def test_a_bundle_opens_and_its_manifest_says_what_was_asked(exported):
    options, manifest, _ = exported
    bundle = read_bundle(options.output)
    assert bundle.manifest == manifest
    assert manifest.labels[0] == "good"
    assert manifest.verdict.ok_classes == ("good",)
    assert manifest.preprocess.mean == (0.5, 0.5, 0.5)
    assert {node.precision for node in manifest.precision} <= {"int8", "int8-weights", "fp16"}
    assert all(node.reason for node in manifest.precision)


def test_the_whole_graph_loads_in_plain_onnxruntime_and_is_close_to_fp32(exported):
    options, _, draft = exported
    bundle = onnxruntime.InferenceSession(str(options.output / "model.onnx"), providers=["CPUExecutionProvider"])
    source = onnxruntime.InferenceSession(options.source, providers=["CPUExecutionProvider"])
    for feed in draft.samples(3):
        expected, found = source.run(None, feed)[0], bundle.run(None, feed)[0]
        assert sqnr_db(expected, found) > 20, f"largest difference {np.abs(expected - found).max()}"


def test_blocks_one_after_another_give_the_whole_graphs_output_exactly(exported):
    options, manifest, draft = exported
    assert len(manifest.blocks) >= 3
    feed = next(draft.samples(1))
    whole = onnxruntime.InferenceSession(str(options.output / "model.onnx"), providers=["CPUExecutionProvider"])
    values = dict(feed)
    for block in manifest.blocks:
        session = onnxruntime.InferenceSession(str(options.output / block.file), providers=["CPUExecutionProvider"])
        outputs = session.run(list(block.outputs), {name: values[name] for name in block.inputs})
        values.update(zip(block.outputs, outputs, strict=True))
    assert np.array_equal(values["logits"], whole.run(["logits"], feed)[0])


def test_the_golden_samples_are_what_the_bundle_answers(exported):
    options, manifest, _ = exported
    arrays = load_golden(options.output / "golden.npz")
    golden = list(read_golden(arrays, manifest.inputs[0], manifest.preprocess))
    assert len(golden) == 2
    with open_bundle(options.output) as engine:
        for sample in golden:
            assert max(compare(sample, engine.infer(sample.feeds))) == 0.0


def test_the_engine_judges_images_of_any_size_in_one_batch(exported):
    options, _, _ = exported
    rng = np.random.default_rng(0)
    images = [rng.integers(0, 256, shape, dtype=np.uint8) for shape in ((10, 20, 3), (64, 48, 3), (16, 16))]
    with open_bundle(options.output, confidence=0.0) as engine:
        together = engine.run(images)
        alone = [engine.run([image])[0] for image in images]
    assert [result.verdict for result in together] == [result.verdict for result in alone]
    assert all(len(result.predictions) == 5 for result in together)


def test_the_same_export_twice_gives_the_same_weights_and_graph(exported, tmp_path):
    options, manifest, _ = exported
    again, _ = export_bundle(
        ExportOptions(
            options.source, tmp_path / "b.edge", options.flags, calibrate=options.calibrate, block_bytes=20_000
        )
    )
    assert again.files == manifest.files


def test_tensors_calibrate_a_model_that_takes_no_images(tmp_path):
    np.savez(tmp_path / "data.npz", images=samples(4))
    source = save(convnet(), tmp_path / "m.onnx")
    manifest, _ = export_bundle(ExportOptions(str(source), tmp_path / "m.edge", calibrate=tmp_path / "data.npz"))
    assert manifest.postprocess.task in ("classify", "raw")
    with open_bundle(tmp_path / "m.edge") as engine:
        assert engine.infer({"images": samples(3)})["logits"].shape == (3, 5)
        with pytest.raises(DataError, match="expected float32"):
            engine.infer({"images": samples(3).astype(np.float64)})


@pytest.mark.parametrize("quantize", ["fp16", "fp32"])
def test_without_int8_no_data_is_needed(tmp_path, quantize):
    source = save(convnet(), tmp_path / "m.onnx")
    manifest, _ = export_bundle(ExportOptions(str(source), tmp_path / "m.edge", quantize=quantize))
    assert {node.precision for node in manifest.precision} <= {quantize, "fp32"}


def test_int8_without_data_says_what_to_give(tmp_path):
    source = save(convnet(), tmp_path / "m.onnx")
    with pytest.raises(UsageError, match="--calibrate"):
        export_bundle(ExportOptions(str(source), tmp_path / "m.edge"))
    assert not (tmp_path / "m.edge").exists()


def test_layers_named_by_a_pattern_stay_fp16(exported, photos, tmp_path):
    options, _, _ = exported
    manifest, _ = export_bundle(
        ExportOptions(options.source, tmp_path / "m.edge", options.flags, calibrate=photos, keep_fp16=("conv[12]",))
    )
    kept = {node.node for node in manifest.precision if node.precision == "fp16"}
    assert kept == {"conv1", "conv2"}
    with pytest.raises(UsageError, match="matches none"):
        export_bundle(
            ExportOptions(options.source, tmp_path / "n.edge", options.flags, calibrate=photos, keep_fp16=("cnv*",))
        )


def test_a_model_that_answers_nan_on_the_data_is_refused_with_the_node(tmp_path):
    np.savez(tmp_path / "data.npz", images=np.full((2, 3, 16, 16), np.nan, np.float32))
    source = save(convnet(), tmp_path / "m.onnx")
    with pytest.raises(ModelError, match="not finite"):
        export_bundle(ExportOptions(str(source), tmp_path / "m.edge", calibrate=tmp_path / "data.npz"))
    assert sorted(path.name for path in tmp_path.iterdir()) == ["data.npz", "m.onnx"]


def test_something_that_is_not_a_bundle_is_never_replaced(exported, tmp_path):
    options, _, _ = exported
    (tmp_path / "thesis").mkdir()
    (tmp_path / "thesis" / "chapter.txt").write_text("years of work")
    with pytest.raises(OutputError, match="not a bundle"):
        export_bundle(ExportOptions(options.source, tmp_path / "thesis", quantize="fp32"))
    assert (tmp_path / "thesis" / "chapter.txt").read_text() == "years of work"


def test_a_missing_labels_file_is_one_line(exported, tmp_path):
    options, _, _ = exported
    with pytest.raises(DataError, match="no labels file"):
        export_bundle(
            ExportOptions(options.source, tmp_path / "m.edge", FactFlags(labels=tmp_path / "nope"), quantize="fp32")
        )


def test_the_command_prints_one_json_object(exported, photos, tmp_path):
    options, _, _ = exported
    arguments = [options.source, "-o", str(tmp_path / "m.edge"), "--calibrate", str(photos), "--task", "classify"]
    result = CliRunner().invoke(edge_export_command, [*arguments, "--size", "16x16", "--json"], catch_exceptions=False)
    report = json.loads(result.stdout)
    total = sum(path.stat().st_size for path in (tmp_path / "m.edge").iterdir() if path.name != "report.html")
    assert report["bundle_bytes"] == total
    assert report["precision"]["int8"] >= 3


def test_the_command_ends_with_tables_a_person_can_read(exported, photos, tmp_path):
    options, _, _ = exported
    arguments = [options.source, "-o", str(tmp_path / "m.edge"), "--calibrate", str(photos), "--size", "16"]
    result = CliRunner().invoke(edge_export_command, arguments, catch_exceptions=False)
    for words in ("Where the bytes went", "weights", "Precision", "Accuracy", "sqnr_db"):
        assert words in result.stdout


def test_a_bundle_tells_no_folders_of_the_machine_that_made_it(exported):
    options, manifest, _ = exported
    assert manifest.provenance.source == "tiny.onnx"
    assert str(options.output.parent) not in (options.output / "manifest.json").read_text()


def test_a_bundle_as_source_is_told_from_a_model(exported, tmp_path):
    options, _, _ = exported
    with pytest.raises(UsageError, match="is a bundle already"):
        export_bundle(ExportOptions(str(options.output), tmp_path / "again.edge", quantize="fp32"))


def test_images_without_labels_say_how_far_the_answers_are_those_of_fp32(exported, tmp_path):
    options = exported[0]
    folder = tmp_path / "unlabelled"
    folder.mkdir()
    rng = np.random.default_rng(7)
    for i in range(5):
        cv2.imwrite(str(folder / f"{i}.png"), rng.integers(0, 256, (20, 30, 3), dtype=np.uint8))
    changed = dataclasses.replace(options, output=tmp_path / "m.edge", evaluate=folder, effort="fast")
    manifest, _ = export_bundle(changed)
    (row,) = [row for row in manifest.accuracy if row.metric == "agreement"]
    assert row.data == "unlabelled: 5 images without labels"
    assert 0.0 <= row.bundle <= 1.0
    empty = tmp_path / "empty"
    empty.mkdir()
    with pytest.raises(DataError, match="no labels and no unseen images"):
        export_bundle(dataclasses.replace(changed, evaluate=empty))


def test_the_folder_of_passes_holds_the_listed_ones_one_file_each() -> None:
    listed = [step.__module__ for _, step in PASSES]
    files = {f"edge_export.passes.{path.stem}" for path in Path(passes.__path__[0]).glob("*.py")}
    assert sorted(listed) == sorted(files - {"edge_export.passes.__init__"})
