"""AIMET's quantization simulation of an ONNX model with its own defaults, exported as QDQ."""

from __future__ import annotations

import onnx
from aimet_onnx import QuantizationSimModel  # type: ignore[import-not-found, unused-ignore]
from common import read_job  # type: ignore[import-not-found, unused-ignore]


def main() -> None:
    """Quantize."""
    job = read_job()
    simulation = QuantizationSimModel(onnx.load(str(job.model)), providers=["CPUExecutionProvider"], **job.options)
    simulation.compute_encodings(list(job.samples()))
    # Weights and biases stored as integers: by default it leaves them float, and the file grows.
    written = simulation.to_onnx_qdq(export_int32_bias=True, prequantize_constants=True)
    onnx.save(written, str(job.output))


if __name__ == "__main__":
    main()
