"""onnxruntime.quantization as its documentation has it: pre-processing, then static QDQ, U8 activations, S8 weights
per channel. Options: `method` "MinMax", "Entropy" or "Percentile".
"""

from __future__ import annotations

from typing import Any

from common import Feeds, read_job  # type: ignore[import-not-found, unused-ignore]
from onnxruntime import quantization
from onnxruntime.quantization.shape_inference import quant_pre_process


class Reader(quantization.CalibrationDataReader):  # type: ignore[misc, unused-ignore]
    """The job's samples, one by one."""

    def __init__(self, samples: Any) -> None:
        self._samples = iter(samples)

    def get_next(self) -> Feeds | None:
        """Return the next sample, None after the last."""
        return next(self._samples, None)


def main() -> None:
    """Quantize."""
    job = read_job()
    prepared = job.model
    if job.options.get("prepare", True):
        prepared = job.output.with_name("prepared.onnx")
        try:
            quant_pre_process(str(job.model), str(prepared))
        except Exception as error:  # that is all it raises
            if "symbolic" not in str(error):
                raise
            quant_pre_process(str(job.model), str(prepared), skip_symbolic_shape=True)
    quantization.quantize_static(
        str(prepared),
        str(job.output),
        Reader(job.samples()),
        quant_format=quantization.QuantFormat.QDQ,
        per_channel=True,
        activation_type=quantization.QuantType.QUInt8,
        weight_type=quantization.QuantType.QInt8,
        calibrate_method=quantization.CalibrationMethod[job.options["method"]],
    )


if __name__ == "__main__":
    main()
