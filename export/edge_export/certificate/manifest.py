"""The manifest of a draft, and how it is written down."""

from __future__ import annotations

import datetime
import json
import os
from typing import Any

import onnx
import onnxruntime

import edge_export
from edge_export.certificate.certify import certificate_of
from edge_export.certificate.findings import precision_counts
from edge_export.graph import default_opset
from edge_export.state import Draft
from edge_export.text import without_folders
from edge_runtime.bundle.manifest import (
    Block,
    FileEntry,
    Manifest,
    ModelInfo,
    NodePrecision,
    Provenance,
)
from edge_runtime.bundle.seal import UNSEALED
from edge_runtime.bundle.versions import MINOR_VERSION, SCHEMA_VERSION
from edge_runtime.errors import UsageError
from edge_runtime.files.schema import needs_of, to_json

__all__ = ["manifest_of", "precision_in_words", "render_manifest"]


def manifest_of(draft: Draft, blocks: tuple[Block, ...], files: dict[str, FileEntry], weight_bytes: int) -> Manifest:
    """Return the manifest of a finished draft."""
    known, facts, options = draft.facts, draft.model_facts(), draft.options
    needs = needs_of(facts)
    return Manifest(
        schema=SCHEMA_VERSION,
        minor=MINOR_VERSION if needs else 0,
        requires=needs,
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
    for key in ("minor", "requires"):  # told only where they say something: BUNDLE.md
        if not data[key]:
            del data[key]
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
