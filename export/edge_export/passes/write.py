"""Write the bundle: every file into a sibling temp folder, flushed, then renamed into place."""

from __future__ import annotations

import dataclasses
import datetime
import hashlib
import io
import json
import os
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import onnxruntime
from numpy.typing import NDArray

import edge_export
from edge_export.blocks.chain import same_bits
from edge_export.blocks.layout import Layout, lay_out
from edge_export.blocks.models import block_models
from edge_export.certificate.certify import certificate_of
from edge_export.certificate.page import render_page
from edge_export.certificate.record import precision_counts, record_of
from edge_export.graph import default_opset
from edge_export.graph.outside import inside, point_outside, tensor_array
from edge_export.paths import check_target
from edge_export.run import open_session, run
from edge_export.state import Draft, Progress
from edge_export.text import without_folders
from edge_runtime.bundle.bundle import MANIFEST, REPORT, read_bundle
from edge_runtime.bundle.manifest import (
    SCHEMA_VERSION,
    Block,
    FileEntry,
    Manifest,
    ModelInfo,
    NodePrecision,
    Provenance,
)
from edge_runtime.bundle.seal import UNSEALED, seal
from edge_runtime.errors import BundleError, ModelError, UsageError
from edge_runtime.files.atomic import new_folder, sha256_file, writing
from edge_runtime.files.schema import to_json
from edge_runtime.vision.settings import Settings

__all__ = ["manifest_of", "precision_in_words", "render_manifest", "write_bundle"]

WEIGHTS = "weights.bin"


def write_bundle(draft: Draft, progress: Progress) -> Draft:
    """Write draft.options.output as a whole or not at all, and fill `manifest`."""
    target = draft.options.output
    check_target(target)  # hours may have passed since it was looked at
    with progress.step("write", 1) as advance:
        manifest = _write(draft, target)
        advance()
    return dataclasses.replace(draft, manifest=manifest)


def _write(draft: Draft, target: Path) -> Manifest:
    layout = lay_out(draft.model, draft.cuts)
    with new_folder(target) as folder:
        with writing(target):
            _write_weights(draft.model, layout, folder / WEIGHTS)
            _write_graph(draft.model, layout, folder / "model.onnx")
            names = []
            for index, block in enumerate(block_models(draft.model, draft.cuts, draft.values)):
                names.append(f"block-{index:02d}.onnx")
                _write_graph(block, layout, folder / names[-1])
            (folder / "golden.npz").write_bytes(_npz(draft.golden.arrays if draft.golden else {}))
        _check_files(draft, folder, names)
        blocks = _block_table(draft, layout, names, folder / WEIGHTS)
        files = {path.name: FileEntry(path.stat().st_size, sha256_file(path)) for path in sorted(folder.iterdir())}
        manifest = manifest_of(draft, blocks, files, layout.size)
        with writing(target):
            payload = seal(render_manifest(manifest).encode("utf-8"))
            (folder / MANIFEST).write_bytes(payload)
            page = render_page(record_of(draft, manifest, len(payload)))
            (folder / REPORT).write_bytes(page.encode("utf-8"))
        return _check_opens(folder)


def _write_weights(model: onnx.ModelProto, layout: Layout, path: Path) -> None:
    spots = layout.spots
    arrays = {weight.name: weight for weight in model.graph.initializer if weight.name in spots}
    with path.open("wb") as stream:
        for block in layout.blocks:
            for spot in block.spots:
                stream.seek(spot.offset)
                stream.write(tensor_array(arrays[spot.name]).tobytes())
        stream.truncate(layout.size)


def _write_graph(model: onnx.ModelProto, layout: Layout, path: Path) -> None:
    """Write a graph whose large initializers point into weights.bin; inner shapes and doc strings are left out."""
    spots = layout.spots
    slim = onnx.ModelProto()
    slim.ir_version = model.ir_version
    slim.producer_name = "edgeline"
    slim.opset_import.extend(model.opset_import)
    slim.functions.extend(model.functions)
    slim.graph.name = model.graph.name or "model"
    slim.graph.input.extend(model.graph.input)
    slim.graph.output.extend(model.graph.output)
    slim.graph.node.extend(model.graph.node)
    for node in slim.graph.node:
        node.ClearField("doc_string")
    for weight in model.graph.initializer:
        spot = spots.get(weight.name)
        if spot is None:
            slim.graph.initializer.append(inside(weight))
            continue
        outside = slim.graph.initializer.add()
        outside.name, outside.data_type = weight.name, weight.data_type
        outside.dims.extend(weight.dims)
        point_outside(outside, WEIGHTS, spot.offset, spot.size)
    path.write_bytes(slim.SerializeToString(deterministic=True))


def _check_opens(folder: Path) -> Manifest:
    """Return the manifest as a device reads it; refuse what it would refuse before an older bundle is replaced."""
    try:
        manifest = read_bundle(folder).manifest
        Settings.of(manifest)
        return manifest
    except BundleError as error:
        raise ModelError(f"a device would refuse this bundle: {error}") from error


def _check_files(draft: Draft, folder: Path, names: list[str]) -> None:
    """Run what was written, from where it was written: the blocks' files must give the whole graph's answer, to the bit
    where the optimizer reorders nothing."""
    feed = next(draft.samples(1), None)
    if feed is None:
        return
    whole = run(open_session(folder / "model.onnx", optimize=False, pack=False), feed)
    found = dict(feed)
    for name in names:
        found.update(run(open_session(folder / name, optimize=False, keep_arena=False, pack=False), found))
    if not same_bits(whole, found):
        raise ModelError(f"the written blocks do not give the answer of {folder / 'model.onnx'}: check the disk")


def _npz(arrays: dict[str, NDArray[np.generic]]) -> bytes:
    buffer = io.BytesIO()
    np.savez_compressed(buffer, **arrays)  # type: ignore[arg-type]
    return buffer.getvalue()


def _block_table(draft: Draft, layout: Layout, names: list[str], weights: Path) -> tuple[Block, ...]:
    table = []
    with weights.open("rb") as stream:
        for cut, block, name in zip(draft.cuts, layout.blocks, names, strict=True):
            stream.seek(block.offset)
            digest = hashlib.sha256(stream.read(block.size)).hexdigest()
            table.append(Block(name, cut.inputs, cut.outputs, len(cut.nodes), block.offset, block.size, digest))
    return tuple(table)


def manifest_of(draft: Draft, blocks: tuple[Block, ...], files: dict[str, FileEntry], weight_bytes: int) -> Manifest:
    """Return the manifest of a finished draft."""
    known, facts, options = draft.facts, draft.model_facts(), draft.options
    return Manifest(
        schema=SCHEMA_VERSION,
        model=ModelInfo(
            name=known.name or options.output.stem,
            version=known.version or "1",
            sha256=draft.source.sha256,
            opset=default_opset(draft.model),
            precision=precision_in_words(draft.precision),
            fp32_bytes=draft.source.fp32_bytes,
            weight_bytes=weight_bytes,
        ),
        inputs=facts.inputs,
        outputs=facts.outputs,
        preprocess=facts.preprocess,
        postprocess=facts.postprocess,
        labels=facts.labels,
        thresholds=facts.thresholds,
        verdict=facts.verdict,
        precision=draft.precision,
        blocks=blocks,
        accuracy=draft.accuracy,
        provenance=Provenance(
            created_utc=_created(),
            edgeline=edge_export.__version__,
            onnx=onnx.__version__,
            onnxruntime=onnxruntime.__version__,
            source=without_folders([draft.source.origin])[0],
            calibration=draft.calibration.description,
            command=options.command,
        ),
        certificate=certificate_of(draft),
        files=files,
        digest=UNSEALED,
    )


def precision_in_words(precision: tuple[NodePrecision, ...]) -> str:
    """Return the mix of a model's nodes, such as "int8 52, fp16 4"; "fp32" where nothing was chosen."""
    return ", ".join(f"{kind} {count}" for kind, count in precision_counts(precision).items()) or "fp32"


def _created() -> str:
    """The time that SOURCE_DATE_EPOCH says (reproducible-builds.org), else none: equal exports are equal files."""
    text = os.environ.get("SOURCE_DATE_EPOCH", "")
    if not text:
        return ""
    try:
        moment = datetime.datetime.fromtimestamp(int(text), datetime.timezone.utc)
    except (ValueError, OverflowError, OSError) as error:
        raise UsageError(
            f"SOURCE_DATE_EPOCH: expected seconds since 1970, found {text[:40]!r}; correct or unset it"
        ) from error
    return moment.isoformat(timespec="seconds")


def render_manifest(manifest: Manifest) -> str:
    """Return the manifest as JSON that a person can read: one line for each node, block and file."""
    data: dict[str, Any] = to_json(manifest)
    lines = []
    for key, value in data.items():
        many = isinstance(value, list) and any(isinstance(item, dict) for item in value)
        if many:
            rows = ",\n  ".join(_compact(item) for item in value)
            lines.append(f' "{key}": [\n  {rows}\n ]')
        elif key == "files" and value:
            rows = ",\n  ".join(f"{json.dumps(name)}: {_compact(entry)}" for name, entry in value.items())
            lines.append(f' "{key}": {{\n  {rows}\n }}')
        else:
            lines.append(f' "{key}": {_compact(value)}')
    return "{\n" + ",\n".join(lines) + "\n}\n"


def _compact(value: object) -> str:
    return json.dumps(value, ensure_ascii=False, separators=(", ", ": "), allow_nan=False)
