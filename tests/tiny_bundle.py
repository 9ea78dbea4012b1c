"""A small bundle made by the real exporter, for tests of what reads bundles."""

from __future__ import annotations

from pathlib import Path

from tiny_models import convnet, save

from edge_export.pipeline import export_bundle
from edge_export.state import ExportOptions, FactFlags

CHANNELS = (3, 16, 32, 32, 48)


def make_bundle(folder: Path) -> Path:
    """Export `convnet` (FP32, several blocks, images 16x16, five classes, the first is OK) into `folder`."""
    source = save(convnet(CHANNELS), folder / "tiny.onnx")
    labels = folder / "labels.txt"
    labels.write_text("good\nopen\nshort\nspur\nhole\n")
    flags = FactFlags(
        task="classify", preprocess={"width": 16, "height": 16}, labels=labels, ok_classes=("good",), confidence=0.0
    )
    target = folder / "tiny.edge"
    export_bundle(ExportOptions(str(source), target, flags, quantize="fp32", block_bytes=20_000))
    return target
