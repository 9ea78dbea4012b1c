"""NNCF's post-training quantization of an ONNX model. Options: `preset` "performance" or "mixed", `transformer`."""

from __future__ import annotations

import nncf  # type: ignore[import-not-found, unused-ignore]
import onnx
from common import read_job  # type: ignore[import-not-found, unused-ignore]


def main() -> None:
    """Quantize."""
    job = read_job()
    samples = list(job.samples())
    quantized = nncf.quantize(
        onnx.load(str(job.model)),
        nncf.Dataset(samples),
        preset=nncf.QuantizationPreset(job.options["preset"]),
        subset_size=len(samples),
        model_type=nncf.ModelType.TRANSFORMER if job.options.get("transformer") else None,
    )
    onnx.save(quantized, str(job.output))


if __name__ == "__main__":
    main()
