"""report.html in a bundle: written there, needed by nobody, refused where it is not what it should be."""

import json
import os
import shutil

import cv2
import numpy as np
import pytest
from click.testing import CliRunner
from tiny_bundle import CHANNELS, make_bundle
from tiny_models import convnet, save

from edge_export.cli.command import edge_export_command
from edge_export.paths import check_target
from edge_export.pipeline import export_bundle
from edge_export.state import ExportOptions, FactFlags
from edge_runtime import open_bundle
from edge_runtime.bundle.bundle import read_bundle
from edge_runtime.errors import BundleError, UsageError


@pytest.fixture(scope="module")
def pristine(tmp_path_factory):
    return make_bundle(tmp_path_factory.mktemp("pristine"))


@pytest.fixture
def bundle(pristine, tmp_path):
    return shutil.copytree(pristine, tmp_path / "b.edge")


@pytest.fixture(scope="module")
def labelled(tmp_path_factory):
    """Two class folders of smooth images."""
    folder = tmp_path_factory.mktemp("labelled")
    rng = np.random.default_rng(0)
    for index in range(12):
        place = folder / ("good", "open")[index % 2]
        place.mkdir(exist_ok=True)
        coarse = rng.integers(0, 256, (4, 5, 3), dtype=np.uint8)
        cv2.imwrite(str(place / f"{index}.png"), cv2.resize(coarse, (40, 30), interpolation=cv2.INTER_CUBIC))
    return folder


def flags(folder):
    labels = folder / "labels.txt"
    labels.write_text("good\nopen\nshort\nspur\nhole\n")
    return FactFlags(task="classify", preprocess={"width": 16, "height": 16}, labels=labels, ok_classes=("good",))


def test_an_export_leaves_a_report_that_the_manifest_does_not_list(pristine):
    page = (pristine / "report.html").read_text(encoding="utf-8")
    assert page.startswith("<!DOCTYPE html>")
    assert "report.html" not in read_bundle(pristine).manifest.files
    assert str(pristine.parent) not in page


def test_a_bundle_runs_without_its_report_and_with_another_one(bundle):
    (bundle / "report.html").write_text("notes of mine")
    with open_bundle(bundle):
        pass
    (bundle / "report.html").unlink()
    with open_bundle(bundle):
        pass


def test_a_report_that_is_a_link_is_refused(bundle, tmp_path):
    (bundle / "report.html").unlink()
    (bundle / "report.html").symlink_to(tmp_path / "elsewhere.html")
    with pytest.raises(BundleError, match=r"report\.html is not a plain file"):
        read_bundle(bundle)


def test_a_report_that_is_a_folder_is_refused(bundle):
    (bundle / "report.html").unlink()
    (bundle / "report.html").mkdir()
    with pytest.raises(BundleError, match=r"report\.html is not a plain file"):
        read_bundle(bundle)


def test_a_report_beyond_its_size_is_refused(bundle):
    os.truncate(bundle / "report.html", (16 << 20) + 1)
    with pytest.raises(BundleError, match=r"report\.html has 16777217 bytes; at most"):
        read_bundle(bundle)


def test_any_other_file_is_still_a_stranger(bundle):
    (bundle / "report.htm").write_text("x")
    with pytest.raises(BundleError, match=r"report\.htm"):
        read_bundle(bundle)


def test_a_bundle_with_its_report_may_be_replaced(bundle):
    check_target(bundle)


def test_the_same_export_twice_gives_the_same_manifest_and_report(tmp_path):
    files = []
    for part in ("one", "other"):
        (tmp_path / part).mkdir()
        made = make_bundle(tmp_path / part)
        files.append({path.name: path.read_bytes() for path in made.iterdir()})
    assert files[0] == files[1]


def test_the_clock_is_written_only_where_source_date_epoch_gives_it(tmp_path, monkeypatch):
    monkeypatch.delenv("SOURCE_DATE_EPOCH", raising=False)
    assert read_bundle(make_bundle(tmp_path)).manifest.provenance.created_utc == ""
    monkeypatch.setenv("SOURCE_DATE_EPOCH", "86400")
    assert read_bundle(make_bundle(tmp_path)).manifest.provenance.created_utc == "1970-01-02T00:00:00+00:00"
    monkeypatch.setenv("SOURCE_DATE_EPOCH", "yesterday")
    with pytest.raises(UsageError, match="SOURCE_DATE_EPOCH"):
        make_bundle(tmp_path)


def test_labelled_images_give_changed_answers_in_the_same_run(labelled, tmp_path):
    source = save(convnet(CHANNELS), tmp_path / "m.onnx")
    options = ExportOptions(
        str(source), tmp_path / "m.edge", flags(tmp_path), quantize="fp32", evaluate=labelled, evaluate_limit=8
    )
    manifest, draft = export_bundle(options)
    assert (draft.flips.images, draft.flips.changed) == (8, 0)
    row = next(row for row in manifest.accuracy if row.metric == "top1")
    assert row.low <= row.bundle <= row.high
    assert "None of 8 images looked at" in (options.output / "report.html").read_text()


def test_held_back_images_show_what_changed_where_there_are_no_labels(labelled, tmp_path):
    source = save(convnet(CHANNELS), tmp_path / "m.onnx")
    options = ExportOptions(str(source), tmp_path / "m.edge", flags(tmp_path), calibrate=labelled, quantize="fp16")
    _, draft = export_bundle(options)
    assert draft.flips.images == len(draft.holdout)
    assert draft.flips.data == draft.holdout.description


def test_a_fast_export_looks_at_a_few_images_only(labelled, tmp_path, monkeypatch):
    monkeypatch.setattr("edge_export.passes.flips.FEW", 2)
    source = save(convnet(CHANNELS), tmp_path / "m.onnx")
    options = ExportOptions(
        str(source), tmp_path / "m.edge", flags(tmp_path), calibrate=labelled, quantize="fp16", effort="fast"
    )
    flips = export_bundle(options)[1].flips
    assert flips.images == 2
    assert flips.data == "2 of 3 held-back images"


def test_the_command_tells_the_certificate_as_text_and_as_json(pristine, tmp_path):
    arguments = [str(pristine.parent / "tiny.onnx"), "-o", str(tmp_path / "m.edge"), "--quantize", "fp32"]
    arguments += ["--task", "classify", "--size", "16"]
    words = CliRunner().invoke(edge_export_command, arguments, catch_exceptions=False).stdout
    for part in ("fp32 bundle:", "What to try next", "report.html (not needed on the device)"):
        assert part in words
    report = json.loads(CliRunner().invoke(edge_export_command, [*arguments, "--json"], catch_exceptions=False).stdout)
    assert report["certificate"]["effort"] == "good"
    assert report["verdict"]["sentence"].startswith("fp32 bundle:")
    assert report["report_bytes"] == (tmp_path / "m.edge" / "report.html").stat().st_size
    listed = sum(path.stat().st_size for path in (tmp_path / "m.edge").iterdir() if path.name != "report.html")
    assert report["bundle_bytes"] == listed
