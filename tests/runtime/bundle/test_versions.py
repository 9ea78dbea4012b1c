"""A format that grows: today's bundle opens for good, and so does a newer one whose additions may be ignored.

`format-1.0.edge` was written by the version before manifests had minor versions; it is never written anew.
"""

from __future__ import annotations

import dataclasses
import json
import logging
import os
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest

from edge_export.certificate.manifest import render_manifest
from edge_runtime import open_bundle
from edge_runtime.bundle import versions
from edge_runtime.bundle.bundle import read_bundle
from edge_runtime.bundle.postprocess_spec import Anomaly, Classify, Detect, Masks, Points, Segment
from edge_runtime.bundle.seal import UNSEALED, seal
from edge_runtime.errors import BundleError
from edge_runtime.files.schema import needs_of, to_json
from edge_runtime.verify.golden import load_golden, read_golden

FIRST = Path(__file__).parent / "format-1.0.edge"

Change = Callable[[dict[str, Any]], None]


@pytest.fixture(autouse=True)
def forget(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(versions, "_NAMED", set())


@pytest.fixture
def changed(tmp_path: Path) -> Callable[[Change], Path]:
    """A copy of the bundle with another manifest, sealed as a writer of a later version would."""

    def make(change: Change) -> Path:
        bundle = tmp_path / "newer.edge"
        shutil.copytree(FIRST, bundle)
        data = json.loads((bundle / "manifest.json").read_text())
        change(data)
        data["digest"] = UNSEALED
        (bundle / "manifest.json").write_bytes(seal(json.dumps(data).encode()))
        return bundle

    return make


def test_a_bundle_of_the_first_version_opens_and_gives_the_answers_that_were_recorded() -> None:
    manifest = read_bundle(FIRST).manifest
    assert (manifest.schema, manifest.minor, manifest.requires) == (1, 0, ())
    largest = 0.0
    with open_bundle(FIRST, threads=1, use_cache=False) as engine:
        for sample in read_golden(load_golden(FIRST / "golden.npz"), manifest.inputs[0], manifest.preprocess):
            found = engine.infer(sample.feeds)["logits"].reshape(-1)
            assert found.argmax() == sample.expected["logits"].argmax()
            largest = max(largest, float(np.abs(found - sample.expected["logits"].reshape(-1)).max()))
        (result,) = engine.run([np.full((20, 30, 3), 128, np.uint8)])
    # The export left 0.008 against FP32, and processors round otherwise.
    assert largest < 0.05, f"largest difference {largest:.6f}"
    assert result.verdict in ("OK", "NG")
    assert {prediction.name for prediction in result.predictions} == {"good", "open", "short", "spur", "hole"}


def test_a_manifest_that_uses_nothing_new_is_written_as_the_first_version_wrote_it() -> None:
    manifest = dataclasses.replace(read_bundle(FIRST).manifest, digest=UNSEALED)
    assert seal(render_manifest(manifest).encode()) == (FIRST / "manifest.json").read_bytes()
    newer = json.loads(render_manifest(dataclasses.replace(manifest, minor=2, requires=("masks",))))
    assert list(newer)[:4] == ["schema", "minor", "requires", "model"]
    assert (newer["minor"], newer["requires"]) == (2, ["masks"])


def later(data: dict[str, Any]) -> None:
    data.update(minor=7, units={"pixel_mm": 0.02})
    data["postprocess"]["masks"] = "proto"
    for row in data["precision"]:
        row["cost_ms"] = 0.5


def test_a_newer_minor_version_opens_and_what_is_ignored_is_named_once(
    changed: Callable[[Change], Path], caplog: pytest.LogCaptureFixture
) -> None:
    bundle = changed(later)
    with caplog.at_level(logging.WARNING):
        assert read_bundle(bundle).manifest.minor == 7
        with open_bundle(bundle, threads=1, use_cache=False) as engine:
            assert engine.run([np.full((20, 30, 3), 128, np.uint8)])[0].verdict in ("OK", "NG")
    (line,) = [record.getMessage() for record in caplog.records if record.name == versions.__name__]
    assert "'units', 'postprocess.masks', 'precision[].cost_ms' (format 1.7, known up to 1.1)" in line
    assert line.count("\n") == 0


def test_an_unknown_key_of_the_same_minor_version_is_ignored_and_named_as_well(
    changed: Callable[[Change], Path], caplog: pytest.LogCaptureFixture
) -> None:
    bundle = changed(lambda data: data.update({"colour\x1b[31m": "red", **{f"k{i}": 1 for i in range(9)}}))
    read_bundle(bundle)
    (record,) = caplog.records
    assert "'colour\\x1b[31m'" in record.getMessage()
    assert "and 5 more" in record.getMessage()


def test_what_a_manifest_requires_and_this_version_does_not_know_is_refused_with_what_to_do(
    changed: Callable[[Change], Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    def change(data: dict[str, Any]) -> None:
        later(data)
        data["requires"] = ["masks"]
        data["postprocess"]["task"] = "instances"

    words = r"needs 'masks', which .* does not know \(format 1\.7, known up to 1\.1\); update edgeline on this device$"
    bundle = changed(change)
    with pytest.raises(BundleError, match=words):
        read_bundle(bundle)
    # Who understands it reads on: here to the task, which this version does not know.
    monkeypatch.setattr(versions, "UNDERSTOOD", {"masks": "1.7: instance masks"})
    with pytest.raises(BundleError, match=r"postprocess\.task: expected one of .* newer format: update edgeline"):
        read_bundle(bundle)


def test_another_major_version_is_refused_with_what_to_do(changed: Callable[[Change], Path]) -> None:
    bundle = changed(lambda data: data.update(schema=2))
    with pytest.raises(BundleError, match="has schema 2, this version of edgeline reads 1; update edgeline"):
        read_bundle(bundle)


@pytest.mark.parametrize("schema", [True, 1.0, "1", None, 0, [1]])
def test_a_version_that_is_no_version_is_refused(changed: Callable[[Change], Path], schema: Any) -> None:
    with pytest.raises(BundleError, match="has schema"):
        read_bundle(changed(lambda data: data.update(schema=schema)))


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (lambda data: data.update(requires="masks"), r"\$\.requires: expected a list"),
        (lambda data: data.update(requires=[5]), r"\$\.requires\[0\]: expected str"),
        (lambda data: data.update(requires=["a\x1b[31m"]), r"U\+001B"),
        (lambda data: data.update(minor=-1), r"minor must be 0\.\.9999"),
        (lambda data: data.update(minor=10**4000), "expected an integer of at most 63 bits"),
        (lambda data: data.update(minor=True), r"\$\.minor: expected int"),
        (lambda data: data.update(minor="9", colour="red"), r"\$\.minor: expected int"),
        (lambda data: data.update(minor=9, labels="good"), r"\$\.labels: expected a list.*update edgeline"),
        (lambda data: data.update(minor=9, labels=["a\ud800"]), r"U\+D800"),
    ],
)
def test_a_newer_manifest_is_read_as_strictly_in_what_is_known(
    changed: Callable[[Change], Path], change: Change, words: str
) -> None:
    with pytest.raises(BundleError, match=words):
        read_bundle(changed(change))


def test_an_unknown_key_that_was_written_in_by_hand_breaks_the_seal(changed: Callable[[Change], Path]) -> None:
    path = changed(later) / "manifest.json"
    path.write_bytes(path.read_bytes().replace(b'"proto"', b'"photo"'))
    with pytest.raises(BundleError, match="its digest does not fit"):
        read_bundle(path.parent)
    path.write_bytes((FIRST / "manifest.json").read_bytes().replace(b"{", b'{ "colour": "red",', 1))
    with pytest.raises(BundleError, match="its digest does not fit"):
        read_bundle(path.parent)


def test_a_command_says_it_once_on_stderr_and_its_records_stay_clean(
    changed: Callable[[Change], Path], tmp_path: Path
) -> None:
    cv2.imwrite(str(tmp_path / "a.png"), np.full((20, 30, 3), 128, np.uint8))
    code = "from edge_runtime.cli.run import main; main()"
    words = [str(changed(later)), "--source", str(tmp_path / "a.png"), "--json", "--device", "cpu"]
    environment = {**os.environ, "XDG_CACHE_HOME": str(tmp_path / "cache"), "PYTHONPATH": os.pathsep.join(sys.path)}
    done = subprocess.run(
        [sys.executable, "-c", code, *words], capture_output=True, text=True, env=environment, check=True
    )
    assert [json.loads(line)["verdict"] in ("OK", "NG") for line in done.stdout.splitlines()] == [True]
    assert done.stderr.count("'postprocess.masks'") == 1


def needs_in(kind: Any) -> set[str]:
    """Every need that a field of a dataclass, or of those that it holds, may name."""
    found = set()
    for field in dataclasses.fields(kind):
        found |= {field.metadata["needs"]} if field.metadata.get("needs") else set()
        found |= set(field.metadata.get("values", {}).values())
    return found


def test_all_that_a_manifest_may_require_is_understood_and_told() -> None:
    kinds = (Classify, Detect, Segment, Anomaly, Masks, Points)
    assert set().union(*map(needs_in, kinds)) == set(versions.UNDERSTOOD)


@pytest.mark.parametrize(
    ("post", "needs"),
    [
        (Detect(), ()),
        (Detect(format="final", box="xyxy", nms=False), ()),
        (Detect(masks=Masks("protos")), ("object masks",)),
        (Detect(masks=Masks("protos", enlarged="scores")), ("masks of scores", "object masks")),
        (Detect(points=Points(17)), ("key points",)),
        (Detect(angle="radians", columns=("box", "classes", "angle")), ("columns", "oriented boxes")),
        (Detect(format="final-split", first_class=1), ("first class",)),
    ],
)
def test_what_a_detector_says_beside_boxes_is_required_and_opens_here_but_not_on_an_older_device(
    post: Detect, needs: tuple[str, ...], monkeypatch: pytest.MonkeyPatch, changed: Callable[[Change], Path]
) -> None:
    def change(data: dict[str, Any]) -> None:
        data["postprocess"] = to_json(post)
        data["verdict"] = {"rule": "any", "classes": [], "ok_classes": []}
        data.update({"minor": versions.MINOR_VERSION, "requires": list(needs)} if needs else {})

    assert needs_of(post) == needs
    later_keys = ("columns", "first_class", "angle", "points", "masks")
    used = {name for name in later_keys if getattr(post, name) != getattr(Detect(), name)}
    assert set(to_json(post)) == set(to_json(Detect())) | used
    bundle = changed(change)
    assert read_bundle(bundle).manifest.postprocess == post
    monkeypatch.setattr(versions, "UNDERSTOOD", {})
    if needs:
        with pytest.raises(BundleError, match="update edgeline on this device"):
            read_bundle(bundle)
    else:
        assert read_bundle(bundle).manifest.postprocess == post
