"""A made-up certificate with everything in it, for tests of what is written from one."""

from __future__ import annotations

import dataclasses

from edge_export.certificate.findings import Findings, part_bytes
from edge_export.state import Comparison, Flip, Flips, Score
from edge_runtime.bundle.facts import TensorSpec, Thresholds, VerdictRule
from edge_runtime.bundle.manifest import (
    Block,
    Certificate,
    FileEntry,
    Latency,
    Manifest,
    ModelInfo,
    NodePrecision,
    Provenance,
    Stage,
)
from edge_runtime.bundle.postprocess_spec import Classify
from edge_runtime.bundle.versions import SCHEMA_VERSION

STAGES = (
    Stage("min-max ranges", 21.4, 0.871, True),
    Stage("equalization", 20.9, 0.86, False, "gained nothing"),
    Stage("precision search", 34.5, 0.984, True, "1 layer at FP16"),
)
LAYERS = (
    NodePrecision("conv0", "Conv", "fp16", "kept: int8 here alone takes the outputs down to 12.0 dB", 12.0),
    NodePrecision("conv1", "Conv", "int8", "int8 here alone leaves the outputs at 40.1 dB", 40.1),
    NodePrecision("conv2", "Conv", "int8", "int8", None),
    NodePrecision("add", "Add", "int8", "lies between int8 nodes", 34.5),
)


def score(metric, value, half=0.01, images=94):
    return Score(metric, value, value - half, value + half, images)


def comparison(drop=0.002, half=0.01, images=94):
    before, after = score("top1", 0.8, 0.03, images), score("top1", 0.8 - drop, 0.03, images)
    agreement = score("agreement", 0.984, 0.01, images)
    return Comparison("photos: 94 images", (before,), (after,), (score("top1", -drop, half, images),), (agreement,), ())


def certificate(**changes):
    base = Certificate(
        "good",
        "a machine",
        0.01,
        "16 held-back images",
        STAGES,
        Latency("a machine", 2, 40.0, 22.0),
        ("Agreement is not accuracy: give --evaluate.",),
    )
    return dataclasses.replace(base, **changes)


def manifest(**changes):
    names = ("block-00.onnx", "golden.npz", "model.onnx", "weights.bin")
    base = Manifest(
        schema=SCHEMA_VERSION,
        model=ModelInfo("boards", "1", "a" * 64, 17, "int8 3, fp16 1", 1_000_000, 200_000),
        inputs=(TensorSpec("images", "float32", ("batch", 3, 16, 16)),),
        outputs=(TensorSpec("logits", "float32", ("batch", 2)),),
        preprocess=None,
        postprocess=Classify(),
        labels=("good", "bad"),
        thresholds=Thresholds(0.5),
        verdict=VerdictRule("class", (), ("good",)),
        precision=LAYERS,
        blocks=(Block("block-00.onnx", ("images",), ("logits",), 4, 0, 200_000, "b" * 64),),
        accuracy=comparison().accuracy(),
        provenance=Provenance("", "0.1", "1.17", "1.20", "boards.onnx", "photos: 64 images", "edge-export boards.onnx"),
        certificate=certificate(),
        files={name: FileEntry(50_000, "c" * 64) for name in names},
    )
    return dataclasses.replace(base, **changes)


def flips(name="board-7.png", change="good (0.80) became bad (0.70)"):
    return Flips("photos", 94, 2, 1, (Flip(name, change, True, 10.75, b"\xff\xd8 one", b"\xff\xd8 other"),))


def findings(**changes):
    made = changes.pop("manifest", None) or manifest()
    base = Findings(made, part_bytes(made, 7_000), comparison(), flips(), ("a note",), ("a warning",))
    return dataclasses.replace(base, **changes)
