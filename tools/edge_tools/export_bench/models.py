"""The ONNX files of a subject: as found, and prepared for exporters that need a younger opset and inferred shapes."""

from __future__ import annotations

import tempfile
from dataclasses import dataclass
from pathlib import Path

import onnx
import onnx.utils
from onnx import version_converter
from onnxruntime.quantization.shape_inference import quant_pre_process

from edge_export.graph import default_opset
from edge_export.passes.clean import clean_graph
from edge_runtime.errors import DataError, ModelError
from edge_runtime.files.atomic import sha256_file, write_bytes
from edge_tools.calibration_data import graph_inputs
from edge_tools.export_bench.places import CHECKOUT, Places
from edge_tools.export_bench.subjects import Subject
from edge_tools.zoo import MODELS

__all__ = ["Files", "find_files", "prepare"]

_YOUNGEST = 13  # the first opset with per-channel QuantizeLinear, and NNCF's least


@dataclass(frozen=True)
class Files:
    """`ours` is what edgeline gets and what answers are compared with, `others` what the other exporters get."""

    ours: Path
    others: Path
    input: str


def find_files(name: str, subject: Subject, places: Places) -> Files:
    """Return the subject's files, made if they are not there. Raises DataError for a file that is missing."""
    source = _source(subject, places)
    inputs = graph_inputs(source)
    if len(inputs) != 1:
        raise DataError(f"{source.name} has {len(inputs)} inputs; this table measures models that take one image")
    prepared = source
    if subject.prepared != "none":
        prepared = places.models / f"{name}-{sha256_file(source)[:12]}-prepared.onnx"
        if not prepared.exists():
            prepare(source, prepared, subject.cut)
    ours = prepared if subject.prepared == "all" else source
    return Files(ours, prepared, inputs[0].name)


def prepare(source: Path, target: Path, cut: str = "") -> None:
    """Write the graph with its opset raised to 13 where it is older, then onnxruntime's own preparation.

    Where onnx's converter does not know an operator, edgeline's clean pass raises the opset; where onnxruntime's
    symbolic shapes fail, the plain ones do. `cut`: the value that becomes the only output. Raises ModelError when none
    of them can.
    """
    target.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix="edge-prepare-", dir=target.parent) as folder:
        before, after = Path(folder) / "raised.onnx", Path(folder) / "prepared.onnx"
        raised = _raised(onnx.load(str(source)))
        onnx.save(_cut(raised, cut) if cut else raised, str(before))
        try:
            try:
                quant_pre_process(str(before), str(after))
            except Exception:  # noqa: BLE001  "Incomplete symbolic shape inference" is a bare Exception
                quant_pre_process(str(before), str(after), skip_symbolic_shape=True)
        except Exception as error:  # onnxruntime raises what it likes
            raise ModelError(f"{source.name} cannot be prepared for other exporters: {error}") from error
        after.replace(target)


def _raised(model: onnx.ModelProto) -> onnx.ModelProto:
    if default_opset(model) >= _YOUNGEST:
        return model
    try:
        return version_converter.convert_version(model, _YOUNGEST)
    except Exception:  # noqa: BLE001  onnx raises what it likes; the next one says why in one line
        return clean_graph(model, {}).model


def _cut(model: onnx.ModelProto, output: str) -> onnx.ModelProto:
    return onnx.utils.Extractor(model).extract_model([value.name for value in model.graph.input], [output])


def _source(subject: Subject, places: Places) -> Path:
    place, _, rest = subject.source.partition("/")
    if place == "zoo":
        path = places.models / f"{rest}.onnx"
        if not path.exists():
            path.parent.mkdir(parents=True, exist_ok=True)
            write_bytes(path, MODELS[rest].build(0).SerializeToString(deterministic=True))
        return path
    path = CHECKOUT / subject.source if place == "samples" else places.data / rest
    if not path.is_file():
        raise DataError(f"{path} is not there; give --data the folder that holds models/, imagenet/, coco128/")
    return path
