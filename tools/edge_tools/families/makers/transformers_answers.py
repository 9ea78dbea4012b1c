"""What transformers' own post-processing makes of detectors that optimum exported, beside each folder.

    pip install transformers==4.57.* optimum-onnx onnxruntime torch pillow scipy
    optimum-cli export onnx --model CHECKPOINT --task object-detection MODELS/hf-NAME
    python transformers_answers.py PICTURES MODELS/hf-NAME...

`transformers_detectors.py` makes small ones of DETR, YOLOS, RT-DETR, its second version and D-FINE.
"""

import json
import sys
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import onnxruntime
import torch
from PIL import Image
from transformers import AutoImageProcessor


def main():
    """Answer every picture with every model."""
    pictures = sorted(Path(sys.argv[1]).glob("*.jpg"))
    for folder in map(Path, sys.argv[2:]):
        processor = AutoImageProcessor.from_pretrained(folder)
        session = onnxruntime.InferenceSession(str(folder / "model.onnx"))
        names = [value.name for value in session.get_outputs()]
        rows = {}
        for picture in pictures:
            image = Image.open(picture).convert("RGB")
            given = processor(images=image, return_tensors="np")
            feed = {
                value.name: given[value.name] if value.name in given else np.ones((1, 64, 64), np.int64)
                for value in session.get_inputs()
            }
            out = dict(zip(names, session.run(None, feed)))
            answer = SimpleNamespace(
                logits=torch.from_numpy(out["logits"]), pred_boxes=torch.from_numpy(out["pred_boxes"])
            )
            found = processor.post_process_object_detection(
                answer, threshold=0.3, target_sizes=[(image.height, image.width)]
            )[0]
            rows[picture.name] = [
                {"box": box.tolist(), "score": float(score), "class": int(label)}
                for box, score, label in zip(found["boxes"], found["scores"], found["labels"])
            ]
        folder.with_name(f"{folder.name}.answers.json").write_text(json.dumps(rows))
        print(folder.name, {name: len(found) for name, found in rows.items()}, flush=True)


main()
