"""RF-DETR for boxes, masks and key points by its own exporter, with random weights that find something, and answers.

pip install rfdetr[onnx]==1.11.2 torch torchvision onnxruntime
python rfdetr_models.py PICTURES MODELS

The answers are those of `rfdetr`'s own decoder of exported models, which leaves the last class ("nothing") out.
"""

import json
import shutil
import sys
import tempfile
from pathlib import Path

import numpy as np
import onnxruntime
import torch
from PIL import Image
from rfdetr import RFDETRKeypointPreview, RFDETRNano, RFDETRSegNano
from rfdetr.export._onnx.inference import _run_inference
from rfdetr.export._runtime.preprocess import preprocess_to_nchw


def runs(mask):
    """First pixel and one past the last of each run, row by row."""
    edges = np.flatnonzero(np.diff(np.concatenate([[0], mask.reshape(-1).astype(np.int8), [0]])))
    return {"size": list(mask.shape), "runs": edges.reshape(-1, 2).tolist()}


def spread(network, batch):
    """Scale the classes' last layer, so that scores of queries lie on both sides of a threshold."""
    network.eval()
    with torch.no_grad():
        logits = network(batch)["pred_logits"]
        head = network.class_embed
        wide = 2 / logits.std(dim=(0, 1)).mean()
        head.weight *= wide
        head.bias *= wide
        head.bias -= network(batch)["pred_logits"].mean(dim=(0, 1)) + 1
        head.bias[-1] = -8.0  # trained models never answer it


def main():
    """Make each model and its answers."""
    torch.set_num_threads(1)
    pictures, models = sorted(Path(sys.argv[1]).glob("*.jpg")), Path(sys.argv[2])
    for name, kind in {
        "rfdetr-nano": RFDETRNano,
        "rfdetr-seg": RFDETRSegNano,
        "rfdetr-pose": RFDETRKeypointPreview,
    }.items():
        torch.manual_seed(0)
        more = {"num_keypoints_per_class": [5], "num_classes": 1} if "pose" in name else {"num_classes": 3}
        side = 288 if "nano" in name else 312 if "seg" in name else 288
        cells = {"positional_encoding_size": side // (16 if "nano" in name else 12)}
        network = kind(
            pretrain_weights=None, device="cpu", resolution=side, num_queries=40, num_select=40, **cells, **more
        )
        images = [preprocess_to_nchw(Image.open(path), side, side, 3) for path in pictures]
        spread(network.model.model, torch.from_numpy(np.concatenate(images)))
        with tempfile.TemporaryDirectory() as work:
            shutil.move(str(network.export(output_dir=work, verbose=False)), models / f"{name}.onnx")
        session = onnxruntime.InferenceSession(str(models / f"{name}.onnx"))
        print([(value.name, value.shape) for value in session.get_outputs()])
        rows = {}
        for path in pictures:
            found, _ = _run_inference(session, path, threshold=0.2)
            rows[path.name] = []
            for index, box in enumerate(found.xyxy.tolist()):
                row = {"box": box, "score": float(found.confidence[index]), "class": int(found.class_id[index])}
                if found.mask is not None:
                    row["mask"] = runs(np.asarray(found.mask[index]))
                rows[path.name].append(row)
        (models / f"{name}.answers.json").write_text(json.dumps(rows))
        print(name, {key: len(one) for key, one in rows.items()}, flush=True)


main()
