"""Olive's OnnxStaticQuantization pass with its own defaults (min-max, S8 activations, QDQ of every operator)."""

from __future__ import annotations

import os
from pathlib import Path

os.environ.setdefault("OLIVE_DISABLE_TELEMETRY", "1")

import torch
from common import read_job  # type: ignore[import-not-found, unused-ignore]
from olive.data.config import DataComponentConfig, DataConfig  # type: ignore[import-not-found, unused-ignore]
from olive.data.registry import Registry  # type: ignore[import-not-found, unused-ignore]
from olive.model import ONNXModelHandler  # type: ignore[import-not-found, unused-ignore]
from olive.passes.olive_pass import create_pass_from_dict  # type: ignore[import-not-found, unused-ignore]
from olive.passes.onnx.quantization import OnnxStaticQuantization  # type: ignore[import-not-found, unused-ignore]


def main() -> None:
    """Quantize."""
    job = read_job()
    samples = list(job.samples())

    class Samples(torch.utils.data.Dataset):  # type: ignore[misc, type-arg, unused-ignore]
        def __len__(self) -> int:
            return len(samples)

        def __getitem__(self, index: int) -> tuple[object, int]:
            return {name: torch.from_numpy(values[0]) for name, values in samples[index].items()}, 0

    Registry.register_dataset("edgeline_samples")(lambda *_args, **_kwargs: Samples())
    data = DataConfig(
        name="calibration",
        load_dataset_config=DataComponentConfig(type="edgeline_samples"),
        pre_process_data_config=DataComponentConfig(type="skip_pre_process"),
        post_process_data_config=DataComponentConfig(type="skip_post_process"),
        dataloader_config=DataComponentConfig(params={"batch_size": 1}),
    )
    step = create_pass_from_dict(OnnxStaticQuantization, {"data_config": data, **job.options}, disable_search=True)
    written = Path(step.run(ONNXModelHandler(str(job.model)), str(job.output.with_name("olive"))).model_path)
    for path in written.parent.iterdir():
        path.replace(job.output.with_name(job.output.name if path == written else path.name))


if __name__ == "__main__":
    main()
