"""Two bundles side by side: equal ones, changed ones, damaged ones, those of other models."""

import dataclasses
import json
import shutil
from pathlib import Path

import pytest
from certificate_cases import LAYERS, certificate, manifest
from click.testing import CliRunner
from rich.console import Console
from tiny_bundle import CHANNELS, make_bundle
from tiny_models import convnet, save

from edge_export.certificate.compare import SAME_DB, Side, compare_bundles, is_bundle, open_side, stages_of
from edge_export.certificate.compare_table import print_comparison
from edge_export.cli.command import edge_export_command
from edge_export.pipeline import export_bundle
from edge_export.state import ExportOptions, FactFlags
from edge_runtime.bundle.manifest import Stage
from edge_runtime.errors import BundleError


@pytest.fixture(scope="module")
def old(tmp_path_factory):
    return make_bundle(tmp_path_factory.mktemp("old"))


@pytest.fixture(scope="module")
def half(old):
    """The same model with FP16 weights."""
    flags = FactFlags(
        task="classify",
        preprocess={"width": 16, "height": 16},
        labels=old.parent / "labels.txt",
        ok_classes=("good",),
        confidence=0.0,
    )
    target = old.parent / "half.edge"
    export_bundle(ExportOptions(str(old.parent / "tiny.onnx"), target, flags, quantize="fp16"))
    return target


def compared(*paths):
    return compare_bundles(*(open_side(path) for path in paths))


def invoke(*arguments):
    return CliRunner().invoke(edge_export_command, [str(one) for one in arguments])


def text(found):
    console = Console(width=200)
    with console.capture() as captured:
        print_comparison(found, console)
    return captured.get()


def test_a_bundle_is_equal_to_its_copy(old, tmp_path):
    found = compared(old, shutil.copytree(old, tmp_path / "copy.edge"))
    assert found.equal
    assert found.remarks == ()
    assert [answer.sqnr_db for answer in found.answers] == [SAME_DB]
    assert found.answers[0].largest == 0.0
    assert "The bundles are equal" in text(found)


def test_what_changed_is_shown_with_how_far_the_answers_are(old, half):
    found = compared(old, half)
    assert not found.equal
    assert {(layer.old, layer.new) for layer in found.layers} == {("fp32", "fp16")}
    assert 40 < found.answers[0].sqnr_db < SAME_DB
    words = text(found)
    for part in ("old: tiny.edge", "new: half.edge", "layers changed", "weights", "logits"):
        assert part in words


def test_the_command_compares_two_bundles_and_writes_nothing(old, half, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    result = invoke(half, "--compare", old, "--json")
    assert result.exit_code == 0
    assert list(tmp_path.iterdir()) == []
    report = json.loads(result.stdout)
    assert report["bytes_ratio"] < 0.7
    assert report["old"]["precision"] == {"fp32": 5}
    assert report["remarks"] == []


def test_two_bundles_and_an_output_are_a_mistake(old, half):
    result = invoke(half, "--compare", old, "-o", "x.edge")
    assert "writes nothing" in str(result.exception)


def test_an_export_may_replace_what_it_is_compared_with(old, tmp_path):
    target = shutil.copytree(old, tmp_path / "m.edge")
    source = old.parent / "tiny.onnx"
    arguments = (source, "-o", target, "--quantize", "fp16", "--task", "classify", "--size", "16", "--compare", target)
    report = json.loads(invoke(*arguments, "--json").stdout)
    assert report["compare"]["old"]["precision"] == {"fp32": 5}
    assert report["compare"]["new"]["precision"] == {"fp16": 5}
    assert "layers changed" in invoke(*arguments[:3], *arguments[3:-1], old).stdout


def test_a_damaged_bundle_is_said_to_be_and_compared_as_far_as_it_can_be_read(old, half, tmp_path):
    broken = shutil.copytree(old, tmp_path / "broken.edge")
    (broken / "weights.bin").write_bytes(b"short")
    found = compared(broken, half)
    assert found.damaged
    assert "weights.bin has 5 bytes" in found.remarks[0]
    assert found.answers == ()
    assert len(found.layers) == 5
    result = invoke(half, "--compare", broken)
    assert result.exit_code == BundleError.exit_code
    assert "broken.edge is damaged" in result.stdout.replace("\n", " ")


@pytest.mark.parametrize("payload", [b"{", b"[]", b'{"schema": 1}', b"\xff"])
def test_a_bundle_whose_manifest_cannot_be_read_is_refused(old, tmp_path, payload):
    broken = shutil.copytree(old, tmp_path / "broken.edge")
    (broken / "manifest.json").write_bytes(payload)
    with pytest.raises(BundleError, match=r"manifest\.json"):
        open_side(broken)


def test_what_is_no_bundle_is_refused_before_anything_is_exported(old, tmp_path):
    result = invoke(old.parent / "tiny.onnx", "-o", tmp_path / "m.edge", "--compare", tmp_path / "nowhere.edge")
    assert isinstance(result.exception, BundleError)
    assert not (tmp_path / "m.edge").exists()


def test_another_model_is_said_to_be_and_still_compared(old, tmp_path):
    source = save(convnet(CHANNELS, seed=5), tmp_path / "other.onnx")
    export_bundle(ExportOptions(str(source), tmp_path / "other.edge", quantize="fp32"))
    found = compared(old, tmp_path / "other.edge")
    assert "different models" in found.remarks[0]
    assert not found.equal
    assert found.as_json()["new"]["bytes"]["total"] > 0


def test_other_thresholds_on_the_same_weights_are_not_equal():
    base = manifest()
    changed = dataclasses.replace(base, thresholds=dataclasses.replace(base.thresholds, confidence=0.9))
    found = compare_bundles(side("a", base), side("b", changed))
    assert not found.equal
    assert "what they say of the model differs: thresholds" in found.remarks


def test_layers_that_came_or_went_are_listed():
    fewer = manifest(precision=LAYERS[1:])
    found = compare_bundles(side("a", fewer), side("b", manifest()))
    assert [(layer.node, layer.old, layer.new) for layer in found.layers] == [("conv0", "", "fp16")]
    gone = compare_bundles(side("a", manifest()), side("b", fewer))
    assert [(layer.node, layer.old, layer.new) for layer in gone.layers] == [("conv0", "fp16", "")]


def test_a_bundle_without_a_certificate_is_compared_too():
    words = text(compare_bundles(side("a", manifest(certificate=None)), side("b", manifest())))
    assert "min-max ranges" in words
    assert "22 ms, 0.55x of FP32's 40 ms" in words


def test_hostile_names_do_not_style_the_table():
    named = dataclasses.replace(
        manifest(), provenance=dataclasses.replace(manifest().provenance, source="[red]x[/red]")
    )
    assert "[red]x[/red]" in text(compare_bundles(side("[b]a[/b]", manifest()), side("b", named)))


def test_steps_of_the_same_name_are_told_apart():
    twice = certificate(stages=(Stage("search", 1.0, None, True), Stage("search", 2.0, None, True)))
    assert list(stages_of(manifest(certificate=twice))) == ["search", "search (2)"]


def test_a_bundle_is_told_from_a_model_by_its_folder(old, tmp_path):
    assert is_bundle(str(old))
    (tmp_path / "empty.edge").mkdir()
    assert is_bundle(str(tmp_path / "empty.edge"))
    assert not is_bundle(str(tmp_path))
    assert not is_bundle("x" * 5000)


def side(name, made):
    return Side(Path(name), name, made, {"weights": 100})
