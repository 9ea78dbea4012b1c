"""Write the bundle: every file into a sibling temp folder, flushed, then renamed into place."""

from __future__ import annotations

import dataclasses
import io
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from edge_export.blocks.chain import same_bits
from edge_export.blocks.files import WEIGHTS, block_table, write_graph, write_weights
from edge_export.blocks.layout import lay_out
from edge_export.blocks.models import block_models
from edge_export.certificate.findings import findings_of
from edge_export.certificate.manifest import manifest_of, render_manifest
from edge_export.certificate.page import render_page
from edge_export.paths import check_target
from edge_export.run import open_session, run
from edge_export.state import Draft, Progress
from edge_runtime.bundle.bundle import MANIFEST, REPORT, read_bundle
from edge_runtime.bundle.manifest import (
    FileEntry,
    Manifest,
)
from edge_runtime.bundle.seal import seal
from edge_runtime.errors import BundleError, ModelError
from edge_runtime.files.atomic import new_folder, sha256_file, writing
from edge_runtime.vision.settings import Settings

__all__ = ["write_bundle"]


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
            write_weights(draft.model, layout, folder / WEIGHTS)
            write_graph(draft.model, layout, folder / "model.onnx")
            names = []
            for index, block in enumerate(block_models(draft.model, draft.cuts, draft.values)):
                names.append(f"block-{index:02d}.onnx")
                write_graph(block, layout, folder / names[-1])
            (folder / "golden.npz").write_bytes(_npz(draft.golden.arrays if draft.golden else {}))
        _check_files(draft, folder, names)
        blocks = block_table(draft.cuts, layout, names, folder / WEIGHTS)
        files = {path.name: FileEntry(path.stat().st_size, sha256_file(path)) for path in sorted(folder.iterdir())}
        manifest = manifest_of(draft, blocks, files, layout.size)
        with writing(target):
            payload = seal(render_manifest(manifest).encode("utf-8"))
            (folder / MANIFEST).write_bytes(payload)
            page = render_page(findings_of(draft, manifest, len(payload)))
            (folder / REPORT).write_bytes(page.encode("utf-8"))
        return _check_opens(folder)


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
