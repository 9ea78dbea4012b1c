"""`python -m edge_tools.families MODELS PICTURES`: each model's bundle against its own family's answers, as a table."""

from __future__ import annotations

import dataclasses
import json
import math
import subprocess
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import click
import cv2

from edge_devices.interpreter import python_environment, python_module
from edge_runtime.engine import open_bundle
from edge_runtime.files.atomic import write_text
from edge_tools.families.compare import Likeness, compare
from edge_tools.families.truth import SUFFIX, read_truth

_FORMS = {
    "fp32": ("--quantize", "fp32", "--effort", "fast"),
    "fast": ("--effort", "fast"),
    "good": ("--effort", "good"),
    "best": ("--effort", "best"),
}


@dataclass(frozen=True)
class Row:
    """One model in one form. `said` is how the export refused it or why it judges nothing, "" for neither."""

    model: str
    form: str
    family: str
    verdict_rule: str
    likeness: Likeness | None
    said: str


def _row(model: Path, truth: Path, pictures: Path, form: str, limit: float) -> Row:
    name = truth.name.removesuffix(SUFFIX)
    with tempfile.TemporaryDirectory(prefix="edge-families-") as work:
        bundle = Path(work) / "model.edge"
        command = [*python_module("edge_export"), str(model), "-o", str(bundle), "--calibrate", str(pictures),
                   *_FORMS[form], "--json"]  # fmt: skip
        try:
            done = subprocess.run(
                command, capture_output=True, text=True, check=False, env=python_environment(), timeout=limit
            )
        except subprocess.TimeoutExpired:
            return Row(name, form, "", "", None, f"not done after {limit:.0f} s")
        if done.returncode:
            return Row(name, form, "", "", None, f"exit {done.returncode}: {done.stderr.strip().splitlines()[-1][:300]}")
        report = json.loads(done.stdout.strip().splitlines()[-1])
        notes = [note for note in report["notes"] if "family" in note or "read as" in note or "confirmed" in note]
        with open_bundle(bundle) as engine:
            facts = engine.manifest
            if facts.postprocess.task == "raw":
                return Row(name, form, "", facts.verdict.rule, None, "raw: " + " / ".join(report["notes"])[:600])
            engine_truth = read_truth(truth)
            pairs = []
            for picture, truths in engine_truth.items():
                image = cv2.imread(str(pictures / picture))
                predictions = engine.run([image])[0].predictions
                pairs.append((truths, predictions))
            likeness = compare(pairs, facts.thresholds.confidence)
        return Row(name, form, " / ".join(notes)[:300], facts.verdict.rule, likeness, "")


def _text(row: Row) -> str:
    if row.likeness is None:
        return f"{row.model:45s} {row.form:5s} SAID {row.said}"
    like = row.likeness
    parts = [f"f1 {like.f1:.3f} ({like.found} of {like.right}, {like.wrong} wrong)"]
    for field in ("box", "score", "point", "mask"):
        value = getattr(like, field)
        if not math.isnan(value):
            parts.append(f"{field} {value:.3f}")
    return f"{row.model:45s} {row.form:5s} rule {row.verdict_rule:5s} {', '.join(parts)} | {row.family}"


@click.command()
@click.argument("models", type=click.Path(exists=True, path_type=Path, file_okay=False))
@click.argument("pictures", type=click.Path(exists=True, path_type=Path, file_okay=False))
@click.option("--form", "forms", multiple=True, type=click.Choice(list(_FORMS)), default=("fp32",), show_default=True)
@click.option("--only", default="*", show_default=True, help="Models whose name fits this pattern.")
@click.option("--timeout", default=300.0, show_default=True, help="Seconds that an export may take.")
@click.option("-o", "--output", type=click.Path(path_type=Path), help="Write the rows as JSON lines.")
def main(models: Path, pictures: Path, forms: Sequence[str], only: str, timeout: float, output: Path | None) -> None:
    """Export each model of MODELS that has answers beside it, run the bundle on PICTURES, and compare."""
    rows = []
    for truth in sorted(models.glob(f"{only}{SUFFIX}")):
        stem = truth.name.removesuffix(SUFFIX)
        model = models / f"{stem}.onnx"
        model = model if model.exists() else models / stem
        for form in forms:
            row = _row(model, truth, pictures, form, timeout)
            rows.append(row)
            print(_text(row), flush=True)
    if output is not None:
        write_text(output, "".join(json.dumps(dataclasses.asdict(row)) + "\n" for row in rows))


main()
